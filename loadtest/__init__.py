"""The load tester: synthetic participants that hold whole sessions, and what they saw.

It reaches the server over the network only, and of the house it imports :mod:`protocol` alone. What travels
in frames it packs, unpacks and checks with code of its own (:mod:`loadtest.wire`), so that it cannot share
the server's mistakes. :mod:`loadtest.client` is at the same time the reference client in Python.
"""

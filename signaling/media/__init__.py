"""The media of sessions as signaling sees it: which node and worker has it, and who has to offer again.

A session's media is at one *host*: the node that the session itself names, in the life (*generation*) that it
names. ``service`` answers offers on whatever node they arrive, ``hosts`` asks the host, ``messages`` are what
nodes say to each other. ``hosting`` is what a host does, with its ``placement`` on the worker processes that
``pool`` keeps alive. ``cut`` has hosts compare what they forward with the store, ``moving`` gives sessions
another host, ``choosing`` says which. How media is forwarded is the matter of :mod:`rtc`.
"""

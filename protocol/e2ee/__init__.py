"""End-to-end encryption, as a client does it: what the server carries and cannot read.

From the bottom up: :mod:`~protocol.e2ee.kdf`, :mod:`~protocol.e2ee.signing` and :mod:`~protocol.e2ee.xwing`
wrap the primitives; :mod:`~protocol.e2ee.devices`, :mod:`~protocol.e2ee.prekeys` and
:mod:`~protocol.e2ee.vault` are who someone is; :mod:`~protocol.e2ee.epochs` and
:mod:`~protocol.e2ee.messages` seal and open; :mod:`~protocol.e2ee.contents` is what stands inside; and
:mod:`~protocol.e2ee.device` is a whole client without a socket. Time and randomness are arguments, except
that HPKE draws its own ephemeral keys. The bytes are described in docs/encryption.md.
"""

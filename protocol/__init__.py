"""The wire: bytes on one side, frozen validated values on the other.

Everything that a client and the server say to each other is declared here once, in
:mod:`protocol.frames`, :mod:`protocol.events`, :mod:`protocol.signals` and :mod:`protocol.errors`;
:mod:`protocol.codec` turns it into bytes and back, :mod:`protocol.tokens` makes and checks the tokens
that say who is speaking, and :mod:`protocol.reference` writes the reference page from the declarations.

Nothing in this package opens a socket or a file, reads a clock or draws a random number.
"""

"""The hash ratchet of an epoch: from a seed to one key per message, forwards only.

A chain key gives the key of its message and the next chain key, and is then forgotten: whoever steals a
device cannot go back. What media and live chat derive comes from a key of its own, which is kept meanwhile.
"""

from __future__ import annotations

from protocol.e2ee.kdf import digest, expand, extract
from protocol.e2ee.structures import Bytes32, Count, Secret

MAX_MESSAGES = 100
"""How many messages an epoch has at most."""

SEED_BYTES = 32


class Chain(Secret, frozen=True):
    """Where a ratchet stands."""

    key: Bytes32
    """The chain key of message ``index``."""
    index: Count
    """The message whose key comes next."""

    def message_key(self) -> tuple[bytes, bytes]:
        """Key, 32 bytes, and nonce, 12 bytes, of message ``index``."""
        material = expand(self.key, b"rapport/v1/message", 44)
        return material[:32], material[32:]

    def forward(self, index: int) -> Chain:
        """The chain at a later ``index``, or the same one."""
        key = self.key
        for _ in range(index - self.index):
            key = expand(key, b"rapport/v1/next", 32)
        return Chain(key, index)


def commitment(seed: bytes) -> bytes:
    """What an epoch's header says of its seed, so that everyone is given the same one."""
    return digest(b"rapport/v1/commit\0" + seed)


def start(header: bytes, seed: bytes) -> tuple[Chain, bytes]:
    """The chain of an epoch at its first message, and the key of :func:`export`."""
    root = extract(digest(header), seed)
    return Chain(expand(root, b"rapport/v1/chain", 32), 0), expand(root, b"rapport/v1/exporter", 32)


def export(exporter: bytes, label: str, context: bytes, length: int) -> bytes:
    """A key for another use: ``label`` says which one, ``context`` for what, such as a session's id."""
    return expand(exporter, b"rapport/v1/export/" + label.encode() + b"\0" + context, length)

"""UUIDv7 (RFC 9562, 5.7): ids that sort by the time at which they were made."""

from __future__ import annotations

from uuid import UUID

CHANCE_BYTES = 10


def uuid7(at_ms: int, chance: bytes) -> UUID:
    """The id for an instant; ``chance`` is :data:`CHANCE_BYTES` random bytes, of which 74 bits are used."""
    rest = int.from_bytes(chance, "big")
    random_a, random_b = rest & 0xFFF, (rest >> 12) & ((1 << 62) - 1)
    stamp = at_ms & ((1 << 48) - 1)
    return UUID(int=stamp << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)

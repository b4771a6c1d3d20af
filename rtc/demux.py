"""Telling the protocols on one port apart by their first bytes (RFC 7983, RFC 5761)."""

from enum import IntEnum
from typing import Final


class Kind(IntEnum):
    """What a datagram is, judged by its first byte alone."""

    UNKNOWN = 0
    STUN = 1
    DTLS = 2
    MEDIA = 3
    "SRTP or SRTCP; `RTCP_TYPES` tells which."


def _kind(first: int) -> Kind:
    if first <= 3:
        return Kind.STUN
    if 20 <= first <= 63:
        return Kind.DTLS
    if 128 <= first <= 191:
        return Kind.MEDIA
    return Kind.UNKNOWN


KIND_BY_FIRST_BYTE: Final = tuple(_kind(first) for first in range(256))
"RFC 7983, section 7. TURN channels and ZRTP are not spoken here and count as unknown."

RTCP_TYPES: Final = frozenset(range(192, 224))
"RFC 5761, section 4: second bytes that make a media packet RTCP rather than RTP."

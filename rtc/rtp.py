"""The layout of RTP headers (RFC 3550, section 5.1)."""

from struct import Struct
from typing import Final

HEADER: Final = Struct("!BBHII")
"Version, padding, extension and CSRC count; marker and payload type; sequence number; timestamp; SSRC."
SEQUENCE_AND_SSRC: Final = Struct("!2xH4xI")
HEADER_BYTES: Final = 12

MARKER: Final = 0x80
EXTENSION_BIT: Final = 0x10

U16: Final = 0xFFFF
U32: Final = 0xFFFF_FFFF


def extension_offset(first_byte: int) -> int:
    """Where the extension header begins in a packet that has one: behind the fixed header and the CSRCs."""
    return HEADER_BYTES + 4 * (first_byte & 0x0F)

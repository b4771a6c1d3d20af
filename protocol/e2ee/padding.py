"""Padding, so that sizes tell little: up to 256, 512 or 1,024 bytes, then to a multiple of 1,024."""

from __future__ import annotations

from protocol.e2ee.errors import ContentError

STEP = 1024
_MARK = b"\x80"


def pad(content: bytes) -> bytes:
    """The content, one byte 0x80, and zeros."""
    needed = len(content) + 1
    size = next((small for small in (256, 512) if needed <= small), -(-needed // STEP) * STEP)
    return (content + _MARK).ljust(size, b"\0")


def unpad(padded: bytes) -> bytes:
    """The inverse of :func:`pad`; :exc:`ContentError` when there is no mark."""
    content, mark, _ = padded.rstrip(b"\0").rpartition(_MARK)
    if not mark or len(pad(content)) != len(padded) or pad(content) != padded:
        raise ContentError("the padding is not well-formed")
    return content

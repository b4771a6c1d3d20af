"""Moving pictures that say which one they are, and reading that off a decoded copy. No I/O, no clock.

A picture is grey, with a bright stripe that wanders down, and on top sixteen squares, black or white: the
bits of its number. They survive a video codec at any sensible quality, so that a receiver can tell a new
picture from a frozen one.
"""

from __future__ import annotations

from typing import Final

from av import VideoFrame

WIDTH: Final = 320
HEIGHT: Final = 240
BITS: Final = 16
_SQUARE: Final = WIDTH // BITS
_STRIPE: Final = 12
_BLACK, _GREY, _WHITE = 16, 96, 235  # luma of video range (ITU-R BT.601)
_NEUTRAL: Final = 128


def draw(number: int) -> VideoFrame:
    """The picture with this number, of which the lowest sixteen bits show; its ``pts`` is not set."""
    frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
    luma, *chroma = frame.planes
    lines = bytearray([_GREY]) * luma.buffer_size
    stride = luma.line_size
    top = _squares(number).ljust(stride, b"\0") * _SQUARE
    lines[: len(top)] = top
    stripe = _SQUARE + number * 4 % (HEIGHT - _SQUARE - _STRIPE)
    lines[stripe * stride : (stripe + _STRIPE) * stride] = bytes([_WHITE]) * (_STRIPE * stride)
    luma.update(bytes(lines))
    for plane in chroma:
        plane.update(bytes([_NEUTRAL]) * plane.buffer_size)
    return frame


def _squares(number: int) -> bytes:
    """One line through the squares."""
    return b"".join(bytes([_WHITE if number >> bit & 1 else _BLACK]) * _SQUARE for bit in range(BITS))


def read(frame: VideoFrame) -> int | None:
    """The number a decoded picture shows; none when it is not one of these."""
    if (frame.width, frame.height) != (WIDTH, HEIGHT):
        return None
    luma = frame.planes[0]
    line = memoryview(luma)[_SQUARE // 2 * luma.line_size :]
    centres = (line[bit * _SQUARE + _SQUARE // 2] for bit in range(BITS))
    return sum(1 << bit for bit, centre in enumerate(centres) if centre > _NEUTRAL)

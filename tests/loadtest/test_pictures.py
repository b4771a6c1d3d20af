"""Pictures that say which one they are, also after a codec has had them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from av import VideoCodecContext, VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from loadtest import pictures


@given(st.integers(0, 1 << 20))
def test_a_picture_shows_the_lowest_bits_of_its_number(number: int) -> None:
    assert pictures.read(pictures.draw(number)) == number & 0xFFFF


def test_the_number_survives_vp8_at_a_low_bit_rate() -> None:
    encoder = VideoCodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = pictures.WIDTH, pictures.HEIGHT, "yuv420p"
    encoder.bit_rate, encoder.time_base = 100_000, Fraction(1, 15)
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    decoder = VideoCodecContext.create("vp8", "r")
    numbers = [0, 1, 0x5555, 0xAAAA, 0xFFFF, 0x00FF, 12_345]
    seen = []
    for at, number in enumerate(numbers):
        frame = pictures.draw(number)
        frame.pts, frame.time_base = at, encoder.time_base
        seen += [pictures.read(out) for packet in encoder.encode(frame) for out in decoder.decode(packet)]
    assert seen == numbers


@pytest.mark.parametrize("size", [(160, 120), (640, 480)])
def test_another_picture_has_no_number(size: tuple[int, int]) -> None:
    assert pictures.read(VideoFrame(*size, "yuv420p")) is None

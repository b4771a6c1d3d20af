"""The tone and its energy."""

from __future__ import annotations

import pytest
from av import AudioFrame
from hypothesis import given
from hypothesis import strategies as st

from loadtest import sound


@given(st.integers(0, 1 << 30))
def test_frames_of_the_tone_follow_each_other(number: int) -> None:
    frame = sound.tone(number)
    assert (frame.pts, frame.samples, frame.sample_rate) == (number * 960, 960, 48_000)


def test_the_energy_of_the_tone_is_that_of_a_sine_wave() -> None:
    expected = (8_000 / 32_768) ** 2 / 2 * 0.02
    assert sound.energy(sound.tone(0)) == pytest.approx(expected, rel=0.05)


def test_silence_has_none() -> None:
    frame = AudioFrame(format="s16", layout="stereo", samples=960)
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    frame.sample_rate = 48_000
    assert sound.energy(frame) == 0.0

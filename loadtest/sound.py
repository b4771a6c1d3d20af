"""A tone, and the energy in what arrives of it. No I/O, no clock."""

from __future__ import annotations

import math
from array import array
from fractions import Fraction
from typing import Final

from av import AudioFrame

RATE: Final = 48_000
SAMPLES: Final = 960
"""Samples in a frame: 20 ms."""
TONE_HZ: Final = 400  # a whole number of waves in a frame, so that all frames are alike
_LEVEL: Final = 8_000
_FULL_SCALE: Final = 32_768
_EVERY: Final = 7  # it suffices to look at every seventh sample

_WAVE: Final = array(
    "h", (round(_LEVEL * math.sin(2 * math.pi * TONE_HZ * at / RATE)) for at in range(SAMPLES))
).tobytes()


def tone(number: int) -> AudioFrame:
    """The frame with this number of a steady tone (16 bit, mono)."""
    frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
    frame.planes[0].update(_WAVE)
    frame.sample_rate = RATE
    frame.time_base = Fraction(1, RATE)
    frame.pts = number * SAMPLES
    return frame


def energy(frame: AudioFrame) -> float:
    """The energy of a decoded frame: its mean square level, 1 being full scale, times its seconds.

    Added up it is the ``totalAudioEnergy`` of WebRTC statistics. The frame has interleaved 16-bit samples.
    """
    count = frame.samples * len(frame.layout.channels)
    samples = memoryview(frame.planes[0])[: count * 2].cast("h")[::_EVERY]
    mean_square = sum(sample * sample for sample in samples) / len(samples) / _FULL_SCALE**2
    return mean_square * frame.samples / frame.sample_rate

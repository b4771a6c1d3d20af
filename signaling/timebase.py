"""What time it is, for a process that lives through steps of the machine's clock.

The wall clock is read once; from then on a monotonic clock carries it. A step of the wall clock (NTP, an
operator) therefore moves no deadline of a running process; the next process starts from the new time. The
monotonic clock is the one that goes on while the machine is suspended: what was due is carried out after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

boot_ns: Final = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
"""Nanoseconds since the machine was started, suspended or not."""


class Timebase:
    """Milliseconds since 1970, never going back and never stepping while the process lives.

    ``wall_ns`` and ``monotonic_ns`` are clocks in nanoseconds: in integers a millisecond is exactly one.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = boot_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._offset_ns = wall_ns() - monotonic_ns()

    def now_ms(self) -> int:
        """The instant, rounded down: what is due at it is never carried out early."""
        return (self._offset_ns + self._monotonic_ns()) // 1_000_000

    def seconds_until(self, instant_ms: int) -> float:
        """How long to wait for an instant; 0 when it has passed."""
        return max(0, instant_ms * 1_000_000 - self._offset_ns - self._monotonic_ns()) / 1e9

"""What time it is, for a process that lives through steps of the machine's clock.

The wall clock is read once; from then on the monotonic clock carries it. A step of the wall clock (NTP, an
operator) therefore moves no deadline of a running process; the next process starts from the new time.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Timebase:
    """Milliseconds since 1970, never going back and never jumping while the process lives."""

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._offset = wall() - monotonic()

    def now_ms(self) -> int:
        """The instant, rounded down: what is due at it is never carried out early."""
        return int((self._offset + self._monotonic()) * 1000)

    def seconds_until(self, instant_ms: int) -> float:
        """How long to wait for an instant; 0 when it has passed."""
        return max(0.0, instant_ms / 1000 - (self._offset + self._monotonic()))

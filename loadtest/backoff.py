"""How long to wait before connecting again. No I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter: those who were cut off together do not come back together."""

    base_seconds: float = 0.5
    """The ceiling of the first wait; every failed attempt doubles it."""
    cap_seconds: float = 30.0
    """The ceiling of all waits."""

    def seconds(self, failures: int, chance: float) -> float:
        """The wait after so many failures in a row; ``chance`` is uniform in [0, 1)."""
        # The exponent is bounded: the cap is reached long before, and the float would overflow long after.
        ceiling = min(self.cap_seconds, self.base_seconds * 2.0 ** min(failures, 32))
        return chance * ceiling

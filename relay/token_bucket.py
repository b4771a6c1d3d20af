"""How fast something may be done. Pure: time is an argument, in seconds of a monotonic clock."""

from __future__ import annotations


class TokenBucket:
    """Holds at most ``burst`` tokens and gains ``rate`` of them per second."""

    __slots__ = ("_burst", "_level", "_rate", "_then")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._then = now

    def take(self, cost: float, now: float) -> bool:
        """Take ``cost`` tokens if they are there; a refusal costs nothing."""
        level = self._level + (now - self._then) * self._rate
        self._then = now
        if level > self._burst:
            level = self._burst
        if level < cost:
            self._level = level
            return False
        self._level = level - cost
        return True

    def wait(self, cost: float) -> float:
        """Seconds from the last :meth:`take` until ``cost`` tokens will be there."""
        return max(0.0, (min(cost, self._burst) - self._level) / self._rate)

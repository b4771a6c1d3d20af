"""How fast a connection or an account may ask: token buckets, and patience with those who do not slow down.

Pure: time is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from enum import Enum

REQUEST_COST = 1.0
RECEIPT_COST = 1 / 32
"""What an ``ack`` or ``pong`` costs: it answers what the server sent, so it may be far more frequent."""


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


class Verdict(Enum):
    """What to do with a frame."""

    TAKE = "take"
    REFUSE = "refuse"
    CLOSE = "close"


class Allowance:
    """The rate of one connection: refused beyond it, closed when even the refusals go beyond it.

    A client that sends at most twice its rate is told to slow down for as long as it likes; one that goes on
    far beyond costs the server more than it is worth.
    """

    __slots__ = ("_bucket", "_patience")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._bucket = TokenBucket(rate, burst, now)
        self._patience = TokenBucket(rate, burst, now)

    def weigh(self, cost: float, now: float) -> Verdict:
        """The verdict on a frame that costs ``cost``."""
        if self._bucket.take(cost, now):
            return Verdict.TAKE
        return Verdict.REFUSE if self._patience.take(cost, now) else Verdict.CLOSE

    def endure(self, now: float) -> Verdict:
        """The verdict on a frame that another bucket has refused already."""
        return Verdict.REFUSE if self._patience.take(REQUEST_COST, now) else Verdict.CLOSE

    def wait(self, cost: float) -> float:
        """Seconds until a frame that costs ``cost`` would be taken."""
        return self._bucket.wait(cost)

"""How fast a connection or an account may ask: token buckets, and patience with those who do not slow down.

Pure: time is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

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


class Allowance:
    """How much one connection may ask: its own rate, its share of its account's, and patience beyond them.

    A client that sends at most twice its rate is told to slow down for as long as it likes. One that goes on
    far beyond costs more than it is worth, and is closed.
    """

    __slots__ = ("_account", "_own", "_patience")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._own = TokenBucket(rate, burst, now)
        self._patience = TokenBucket(rate, burst, now)
        self._account: TokenBucket | None = None

    def share(self, account: TokenBucket) -> None:
        """Take from the account's bucket, too, from here on."""
        self._account = account

    def take(self, cost: float, now: float) -> bool:
        """Whether a frame that costs ``cost`` is within the rates."""
        return self._own.take(cost, now) and (self._account is None or self._account.take(cost, now))

    def bear(self, cost: float, now: float) -> bool:
        """Whether a frame beyond the rates is borne once more."""
        return self._patience.take(cost, now)

    def wait(self, cost: float) -> float:
        """Seconds until a frame that costs ``cost`` is within the rates again."""
        own = self._own.wait(cost)
        return own if self._account is None else max(own, self._account.wait(cost))

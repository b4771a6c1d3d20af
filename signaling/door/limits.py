"""How fast a connection or an account may ask, and patience with those who do not slow down.

Pure: time is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from relay.token_bucket import TokenBucket

REQUEST_COST = 1.0
RECEIPT_COST = 1 / 32
"""What an ``ack`` or ``pong`` costs: it answers what the server sent, so it may be far more frequent."""


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

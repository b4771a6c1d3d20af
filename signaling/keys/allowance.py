"""How many prekeys may be claimed: a bucket for each who claims, and one for each whose prekeys they are.

Pure: time is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from config.settings import KeySettings
from protocol import errors
from protocol.errors import ProtocolError
from signaling.door.limits import TokenBucket

MAX_BUCKETS = 20_000
"""Buckets that are kept; those that were not used for longest go first, which fills them."""


class ClaimAllowance:
    """The rates of claims on one node."""

    def __init__(self, settings: KeySettings, limit: int = MAX_BUCKETS) -> None:
        self._settings = settings
        self._limit = limit
        self._buckets: dict[tuple[str, str], TokenBucket] = {}

    def take(self, claimer: str, claimed: Iterable[str], now: float) -> None:
        """Let ``claimer`` have one prekey of each of these accounts' devices; one name for each device.

        ``rate_limited``; then nothing is taken of the claimer's bucket, nor of those not reached.
        """
        settings = self._settings
        counts = Counter(claimed)
        wanted = [(("by", claimer), settings.claims_per_second, settings.claims_burst, counts.total())]
        for account, count in counts.items():
            rate, burst = settings.claimed_per_second, settings.claimed_burst
            wanted.append((("of", account), rate, burst, count))
        for key, rate, burst, count in wanted:
            bucket = self._buckets.pop(key, None) or TokenBucket(rate, burst, now)
            self._buckets[key] = bucket
            if len(self._buckets) > self._limit:
                del self._buckets[next(iter(self._buckets))]
            if not bucket.take(min(count, burst), now):
                wait_ms = int(bucket.wait(count) * 1000) + 1
                raise ProtocolError(errors.RATE_LIMITED, "too many claims of prekeys", retry_after_ms=wait_ms)

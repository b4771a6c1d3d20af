"""The Quota port: limits of rates that hold on all nodes together, and those of a node by itself."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from relay.token_bucket import TokenBucket

MAX_BUCKETS: Final = 20_000
"""Buckets that a node keeps; those that were not used for longest go first, which fills them."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Tokens to take from a bucket."""

    kind: str
    """What is limited: one word."""
    key: str
    """Whose bucket it is; buckets of another kind are others."""
    cost: float
    """How many tokens; more than a whole burst count as a whole burst."""
    rate: float
    """How many tokens the bucket gains per second."""
    burst: float
    """How many it holds."""


class Quota(Protocol):
    """Buckets of tokens."""

    async def take(self, draw: Draw) -> float:
        """Take the tokens: 0. Or take nothing, if they are not there: in how many seconds they will be."""


class LocalQuota:
    """`Quota` in this process. `now` is a monotonic clock, in seconds."""

    def __init__(self, *, now: Callable[[], float] | None = None, limit: int = MAX_BUCKETS) -> None:
        self._now = now
        self._limit = limit
        self._buckets: dict[tuple[str, str], TokenBucket] = {}

    async def take(self, draw: Draw) -> float:
        now = self._now() if self._now is not None else asyncio.get_running_loop().time()
        name = (draw.kind, draw.key)
        bucket = self._buckets.pop(name, None) or TokenBucket(draw.rate, draw.burst, now)
        self._buckets[name] = bucket
        if len(self._buckets) > self._limit:
            del self._buckets[next(iter(self._buckets))]
        cost = min(draw.cost, draw.burst)
        return 0.0 if bucket.take(cost, now) else bucket.wait(cost)

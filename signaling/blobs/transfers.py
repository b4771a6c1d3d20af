"""How many transfers an account has under way at the same time. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from protocol import errors
from protocol.errors import ProtocolError

RETRY_AFTER_MS = 1000


class Transfers:
    """Counts uploads and downloads, at most ``limit`` of an account."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def one(self, account: str) -> Iterator[None]:
        """One more while this lasts. ``rate_limited`` beyond the limit."""
        if self._under_way[account] >= self._limit:
            raise ProtocolError(
                errors.RATE_LIMITED, "too many transfers at once", retry_after_ms=RETRY_AFTER_MS
            )
        self._under_way[account] += 1
        try:
            yield
        finally:
            self._under_way[account] -= 1
            if not self._under_way[account]:
                del self._under_way[account]

"""Limits of rates as refusals."""

from __future__ import annotations

from config.settings import LimitSettings
from protocol import errors
from protocol.errors import ProtocolError
from relay.quota import Draw, Quota


async def take(quota: Quota, draw: Draw, hint: str) -> None:
    """Take tokens. ``rate_limited`` if they are not there, with the time after which they will be."""
    wait = await quota.take(draw)
    if wait:
        raise ProtocolError(errors.RATE_LIMITED, hint, retry_after_ms=int(wait * 1000) + 1)


class JoinAttempts:
    """How often an account may try to come into sessions, whatever comes of it."""

    def __init__(self, quota: Quota, limits: LimitSettings) -> None:
        self._quota = quota
        self._limits = limits

    async def take(self, account: str) -> None:
        """One attempt. ``rate_limited``."""
        draw = Draw("joins", account, 1, self._limits.joins_per_second, self._limits.joins_burst)
        await take(self._quota, draw, "too many attempts to join")

"""Issuers' public keys: fetched from their JWKS (RFC 7517), kept, and fetched again when they rotate.

A key set is fetched when a token needs it, and again when one names a key that is not in it or the set has
become old. Between two fetches of an issuer lies a floor, so that forged tokens cannot make this server a
nuisance to it. A set that cannot be fetched anew stays in force.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import aiohttp
import structlog

from protocol import errors
from protocol.errors import ProtocolError
from protocol.tokens import Key, parse_jwks

MAX_BYTES = 256 * 1024
TIMEOUT_SECONDS = 5.0
FLOOR_SECONDS = 10.0
"""The least time between two fetches from the same issuer."""
FRESH_SECONDS = 300.0
"""How old a set may become before it is fetched again: how long a withdrawn key is still good here."""

_log = structlog.get_logger()


class KeySets:
    """The key sets of the issuers in ``urls`` (issuer to address of its JWKS)."""

    def __init__(
        self,
        urls: Mapping[str, str],
        *,
        floor_seconds: float = FLOOR_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._urls = urls
        self._floor_seconds = floor_seconds
        self._monotonic = monotonic
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._fetched_at: dict[str, float] = {}
        self._tried_at: dict[str, float] = {}
        self._fetches: dict[str, asyncio.Task[bool]] = {}

    async def current(self, issuer: str) -> tuple[Key, ...]:
        """The keys of an issuer, fetched if there are none or they have become old; empty for a stranger.

        ``overloaded`` when there are none and they cannot be fetched.
        """
        fetched_at = self._fetched_at.get(issuer)
        if fetched_at is None or self._monotonic() - fetched_at > FRESH_SECONDS:
            await self.refresh(issuer)
        return self._keys.get(issuer, ())

    async def refresh(self, issuer: str) -> bool:
        """Fetch an issuer's keys again, unless that was tried a moment ago; whether they were fetched.

        ``overloaded`` when there are none and they cannot be fetched.
        """
        if issuer not in self._urls:
            return False
        if issuer not in self._fetches:
            if self._monotonic() - self._tried_at.get(issuer, float("-inf")) < self._floor_seconds:
                return self._missing(issuer)
            self._tried_at[issuer] = self._monotonic()
            self._fetches[issuer] = asyncio.get_running_loop().create_task(self._fetch(issuer))
        return await asyncio.shield(self._fetches[issuer]) or self._missing(issuer)

    def _missing(self, issuer: str) -> bool:
        if issuer not in self._keys:
            wait = self._tried_at[issuer] + self._floor_seconds - self._monotonic()
            raise ProtocolError(
                errors.OVERLOADED,
                "the issuer's keys cannot be fetched at the moment",
                retry_after_ms=max(0, int(wait * 1000)) + 1,
            )
        return False

    async def _fetch(self, issuer: str) -> bool:
        try:
            self._keys[issuer] = parse_jwks(await _get(self._urls[issuer]))
            self._fetched_at[issuer] = self._monotonic()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _log.warning("jwks_unavailable", error=type(error).__name__)
            return False
        finally:
            del self._fetches[issuer]
        return True


async def _get(url: str) -> bytes:
    """The document at ``url``; redirects are not followed: the address in the settings is the one trusted."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        document = await response.content.read(MAX_BYTES + 1)
        while len(document) <= MAX_BYTES and (more := await response.content.read(MAX_BYTES)):
            document += more
        if len(document) > MAX_BYTES:
            raise ValueError("the document is too large")
        return document

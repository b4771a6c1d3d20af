"""One request at a time goes on with an upload; a new one takes the place of the one before.

A client that comes back after its connection broke need not wait until the server has noticed that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from protocol import errors
from protocol.errors import ProtocolError


class Incoming(Protocol):
    """Bytes that somebody sends."""

    async def read(self, limit: int) -> bytes:
        """Some of them, at most ``limit``; none at the end. :exc:`ConnectionError` without an end."""


class Turn:
    """A request's turn at an upload."""

    def __init__(self) -> None:
        self._over = False
        self._reading: asyncio.Timeout | None = None

    def end(self) -> None:
        """Somebody else goes on."""
        self._over = True
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def read(self, incoming: Incoming, limit: int, seconds: float) -> bytes:
        """What comes next; ``upload_interrupted`` if nothing does in time, or the turn is over."""
        try:
            if self._over or seconds <= 0:  # also for bytes that are there, and need not be waited for
                raise TimeoutError
            async with asyncio.timeout(seconds) as timeout:
                self._reading = timeout
                try:
                    return await incoming.read(limit)
                finally:
                    self._reading = None
        except TimeoutError:
            detail = "another request goes on with it" if self._over else "the bytes came too slowly"
            raise ProtocolError(errors.UPLOAD_INTERRUPTED, detail) from None


class Turns:
    """The turns at all uploads of this node."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Turn]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def take(self, upload: str) -> AsyncIterator[Turn]:
        """A turn at an upload, once those before have ended, which they are told to do."""
        turn, lock = Turn(), self._locks.setdefault(upload, asyncio.Lock())
        others = self._waiting.setdefault(upload, [])
        for other in others:
            other.end()
        others.append(turn)
        try:
            async with lock:
                yield turn
        finally:
            others.remove(turn)
            if not others:
                del self._waiting[upload], self._locks[upload]

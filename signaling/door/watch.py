"""Looks after connections from time to time: whether their sockets move, and whether a doorbell was missed.

The bus may lose notices, and nothing else would tell that a room has gone on in silence. So every room that
is delivered here is compared with the store as often as connections are pinged, many rooms in one read. When
the bus tells that it may have missed something, that is done at once, and who may be connected and is in
which rooms is compared as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import islice

import structlog

from config.settings import LimitSettings
from protocol import errors
from protocol.errors import ProtocolError
from relay.errors import StoreError
from relay.store import Store
from signaling.door.hub import Hub
from signaling.door.welcome import MAX_ROOMS
from signaling.memberships import memberships_of

STALL_CHECKS = 4
"""How often within the time allowed a stalled socket is looked for."""

ROOMS_AT_ONCE = 256
PAUSE_SECONDS = 1.0
"""How soon after what was missed was looked for it is looked for again."""

_log = structlog.get_logger("rapport.door")


class Watch:
    """Watches all connections of a hub."""

    def __init__(self, hub: Hub, store: Store, limits: LimitSettings) -> None:
        self._hub = hub
        self._store = store
        self._limits = limits
        self._tasks: list[asyncio.Task[None]] = []
        self._missed = asyncio.Event()
        hub.on_missed(self._missed.set)

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._watch_progress()), loop.create_task(self._watch_heads())]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _watch_progress(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._limits.stall_seconds / STALL_CHECKS)
            for link in self._hub.links():
                link.check_progress(loop.time())

    async def _watch_heads(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.ping_seconds):
                    await self._missed.wait()
            missed = self._missed.is_set()
            self._missed.clear()
            try:
                await self.compare_heads()
                if missed:
                    await self.compare_accounts()
            except StoreError as error:
                _log.warning("heads_not_compared", error=error.name)
                if missed:
                    self._missed.set()
            if missed:
                await asyncio.sleep(PAUSE_SECONDS)

    async def compare_heads(self) -> None:
        """Have every room that lies behind the store read from it. Raises :exc:`StoreError`."""
        rooms = iter({room for link in self._hub.links() for room in link.rooms})
        while chunk := list(_take(rooms)):
            heads = await self._store.heads(chunk)
            for link in self._hub.links():
                for room in link.rooms & heads.keys():
                    link.observed(heads[room])

    async def compare_accounts(self) -> None:
        """End connections that are revoked, or do not know which rooms they are in. Raises
        :exc:`StoreError`.
        """
        for account, links in self._hub.by_account().items():
            rooms = frozenset(one.room for one in await memberships_of(self._store, account, MAX_ROOMS))
            for link in links:
                if link.device is not None and await self._store.revocation(account, link.device):
                    link.end(errors.DEVICE_REVOKED, ProtocolError(errors.REVOKED))
                else:
                    link.compare(rooms)


def _take(rooms: Iterator[str]) -> Iterator[str]:
    return islice(rooms, ROOMS_AT_ONCE)

"""Who comes and goes, told to those who share a room with them.

Told one account after the other, off the path of connections: when thousands reconnect at once, presence is
late and nothing else is. Of an account that comes and goes meanwhile only the last state is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from protocol.signals import Presence, SignalBody
from relay.errors import StoreError
from relay.store import Store
from signaling.memberships import memberships_of

_log = structlog.get_logger()
Signal = Callable[[str, Collection[str], SignalBody, str | None], None]


class PresenceTeller:
    """Signals presence; waits with at most one state for each account that is known to the bus."""

    def __init__(self, store: Store, signal: Signal) -> None:
        self._store = store
        self._signal = signal
        self._changed: dict[str, bool] = {}
        self._task: asyncio.Task[None] | None = None

    def changed(self, account: str, *, online: bool) -> None:
        """The account's first device connected, or its last one went."""
        self._changed[account] = online
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Tell nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._changed:
                account = next(iter(self._changed))
                online = self._changed.pop(account)
                try:
                    await self._tell(account, online)
                except StoreError as error:
                    _log.warning("presence_not_told", error=error.name)
        finally:
            self._task = None

    async def _tell(self, account: str, online: bool) -> None:
        for membership in await memberships_of(self._store, account):
            members = await self._store.members(membership.room)
            others = [member.account for member in members if member.account != account]
            self._signal(membership.room, others, Presence(online), account)

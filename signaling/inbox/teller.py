"""Changes of inboxes, signalled to the connections of this node that have asked for one.

Many changes of a room within a moment are one signal, made of what the store says then. Accounts are told one
after the other, off the path of messages: when much happens, inboxes are late and nothing else is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from protocol.around import InboxEntry
from protocol.signals import InboxChange, SignalBody
from relay.errors import StoreError
from signaling.caller import Caller

INTERVAL_SECONDS = 0.2
"""What happens to an inbox within this time is told together."""

_log = structlog.get_logger("rapport.inbox")
Entries = Callable[[str, Collection[str]], Awaitable[tuple[InboxEntry, ...]]]
SignalConnection = Callable[[str, str, SignalBody], None]


class InboxTeller:
    """Waits with each changed room of each account that watches its inbox once, and with nothing else."""

    def __init__(self, entries: Entries, signal: SignalConnection) -> None:
        self._entries = entries
        self._signal = signal
        self._watching: dict[
            str, dict[str, str | None]
        ] = {}  # by account, connection: the only room of its token
        self._changed: dict[str, set[str]] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, caller: Caller) -> None:
        """The caller's connection has asked for its inbox."""
        if caller.connection is not None:
            self._watching.setdefault(caller.account, {})[caller.connection] = caller.claims.room

    def forget(self, caller: Caller) -> None:
        """The caller's connection is gone."""
        watching = self._watching.get(caller.account)
        if watching is not None and caller.connection is not None:
            watching.pop(caller.connection, None)
            if not watching:
                del self._watching[caller.account]

    def changed(self, accounts: Collection[str], room: str) -> None:
        """Something in a room has changed that the inboxes of these accounts show."""
        if not self._watching:
            return
        for account in accounts:
            if account in self._watching:
                self._changed.setdefault(account, set()).add(room)
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
                await asyncio.sleep(INTERVAL_SECONDS)
                changed, self._changed = self._changed, {}
                for account, rooms in changed.items():
                    await self._tell(account, rooms)
        finally:
            self._task = None

    async def _tell(self, account: str, rooms: set[str]) -> None:
        if account not in self._watching:
            return
        try:
            entries = await self._entries(account, rooms)
        except StoreError as error:
            _log.warning("inbox_not_told", error=error.name)
            self._changed.setdefault(account, set()).update(rooms)
            return
        for entry in entries:
            for connection, only in list(self._watching.get(account, {}).items()):
                if only is None or only == entry.room:
                    self._signal(connection, entry.room, InboxChange(entry))

"""Devices' cursors on their way to the store: the newest of each room, written together a few times a second.

An ``ack`` that is lost with the process costs nothing but sending its events again, to a device that knows
them; so cursors need no commit of their own each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from relay.errors import BeyondHead, NotFound, StaleEpoch, StoreError
from relay.rows import Cursor
from relay.store import Store
from relay.writes import Ack

INTERVAL_SECONDS = 0.2
RETRY_SECONDS = 1.0
BATCH = 256
"""Cursors written by one commit."""

_log = structlog.get_logger()
_Device = tuple[str, str]


class Acks:
    """The cursors not yet written. At most one for each room of each device: the newest."""

    def __init__(self, store: Store, written: Callable[[Sequence[Ack]], None]) -> None:
        """``written`` is told what has become durable."""
        self._store = store
        self._written = written
        self._waiting: dict[_Device, dict[str, Cursor]] = {}
        self._writing: dict[_Device, dict[str, Cursor]] = {}
        self._task: asyncio.Task[None] | None = None
        self._due: asyncio.TimerHandle | None = None

    def put(self, account: str, device: str, room: str, epoch: int, offset: int) -> None:
        """The device holds the room's log durably up to ``offset``."""
        rooms = self._waiting.setdefault((account, device), {})
        rooms[room] = Cursor(epoch, offset)
        if self._task is None and self._due is None:
            self._later(INTERVAL_SECONDS)

    def latest(self, account: str, device: str) -> Mapping[str, Cursor]:
        """The device's cursors that the store may not have yet."""
        key = account, device
        return {**self._writing.get(key, {}), **self._waiting.get(key, {})}

    async def flush(self) -> None:
        """Write what waits now, as far as the store takes it."""
        while self._task is not None:
            await asyncio.wait([self._task])
        if self._waiting:
            if self._due is not None:
                self._due.cancel()
            await asyncio.wait([self._start()])

    def _later(self, seconds: float) -> None:
        self._due = asyncio.get_running_loop().call_later(seconds, self._start)

    def _start(self) -> asyncio.Task[None]:
        self._due = None
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    async def _run(self) -> None:
        try:
            written = await self._write()
        finally:
            self._task = None
        if self._waiting:
            self._later(INTERVAL_SECONDS if written else RETRY_SECONDS)

    async def _write(self) -> bool:
        """Whether the store took what was waiting."""
        self._writing, self._waiting = self._waiting, {}
        acks = [
            Ack(account, device, room, cursor.epoch, cursor.offset)
            for (account, device), rooms in self._writing.items()
            for room, cursor in rooms.items()
        ]
        taken = True
        for start in range(0, len(acks), BATCH):
            batch = acks[start : start + BATCH]
            try:
                await self._commit(batch)
            except StoreError as error:
                _log.warning("acks_delayed", error=error.name, count=len(batch))
                self._put_back(batch)
                taken = False
        self._writing = {}
        return taken

    async def _commit(self, batch: list[Ack]) -> None:
        """Together, or one by one when a membership or an epoch has ended under one of them."""
        try:
            await self._store.commit(*batch)
        except (NotFound, StaleEpoch, BeyondHead):
            for ack in batch if len(batch) > 1 else ():
                await self._commit([ack])
        else:
            self._written(batch)

    def _put_back(self, batch: list[Ack]) -> None:
        for ack in batch:
            rooms = self._waiting.setdefault((ack.account, ack.device), {})
            rooms.setdefault(ack.room, Cursor(ack.epoch, ack.offset))

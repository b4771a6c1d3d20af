"""Retention over a store and a clock that stands until it is moved."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from config.settings import AuditSettings, RetentionSettings
from protocol.codec import encode_body
from protocol.events import MessageBody
from relay.bus.local import LocalBus
from relay.inbox import MESSAGE
from relay.sqlite import SqliteStore
from relay.writes import Ack, Append
from signaling.audit.auditor import Auditor
from signaling.retention.service import Retention
from signaling.rooms import Rooms
from signaling.timebase import Timebase

DAY_NS = 86_400 * 10**9
BEGUN_NS = 1_900_000_000 * 10**9


@dataclass
class Clock:
    """How much time has passed."""

    now_ns: int = 0


@dataclass
class Practice:
    """Rooms, their retention, and what is recorded of it."""

    store: SqliteStore
    rooms: Rooms
    retention: Retention
    timebase: Timebase
    clock: Clock

    def pass_days(self, days: float) -> None:
        """It is so much later."""
        self.clock.now_ns += round(days * DAY_NS)

    async def send(self, room: str, text: bytes, *, number: int, sender: str = "anna") -> None:
        """A message, from the first device of its sender."""
        mid = number.to_bytes(16, "big")
        body = encode_body(MessageBody(uuid.UUID(bytes=mid), text))
        now_ms = self.timebase.now_ms()
        await self.store.commit(Append(room, sender, "d", mid, body, now_ms, MESSAGE))

    async def receive(self, room: str, *accounts: str) -> None:
        """The first device of each has acknowledged everything."""
        head = (await self.store.heads([room]))[room].head
        await self.store.commit(*[Ack(one, "d", room, self.store.epoch, head) for one in accounts])

    async def left(self, room: str) -> tuple[int, int]:
        """The lowest offset there is, and how many messages have expired."""
        log = (await self.store.heads([room]))[room]
        return log.lowest, log.expired

    async def recorded(self, *actions: str) -> list[tuple[str, str, int]]:
        """The entries of the trail with these actions: action, object, count."""
        found = await self.store.audit(after=0, limit=1_000)
        return [
            (one.entry.action, one.entry.object_id, one.entry.count)
            for one in found
            if one.entry.action in actions
        ]


@asynccontextmanager
async def practice(folder: Path, *, days: int = 0, wait_days: int = 90) -> AsyncIterator[Practice]:
    """A practice with an empty store."""
    store = SqliteStore(folder / "rapport.db")
    await store.open()
    clock = Clock()
    timebase = Timebase(lambda: BEGUN_NS, lambda: clock.now_ns)
    auditor = Auditor(AuditSettings(), store, f"sqlite:///{folder / 'rapport.db'}", timebase, "test")
    rooms = Rooms(store, LocalBus(), timebase, (auditor,))
    retention = Retention(store, rooms, timebase, RetentionSettings(message_days=days, wait_days=wait_days))
    try:
        yield Practice(store, rooms, retention, timebase, clock)
    finally:
        await store.close()

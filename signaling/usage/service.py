"""Usage of the sessions in the store: page by page, or all of them one after another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from relay.rows import SessionCursor
from relay.store import Store
from signaling.sessions.session import Session, from_row
from signaling.timebase import Timebase
from signaling.usage.records import UsageRecord, concerns, usage_of

BATCH: Final = 32
"""Sessions read at a time: the event loop waits for no more than these to be decoded."""

SCAN: Final = 2_048
"""Sessions looked at for one page: where few of them are an account's, the page stays short."""

ROOMS: Final = 512
"""Rooms of an account read at a time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose usage, and of when: sessions that start from ``from_ms`` on and before ``until_ms``."""

    from_ms: int
    until_ms: int
    room: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Some of the records asked for, by start, then id."""

    records: tuple[UsageRecord, ...]
    next: SessionCursor | None
    """The place behind which the following page begins; None if there is nothing."""


class Usage:
    """The usage of this deployment. Every method raises :exc:`relay.errors.StoreError` if the store fails."""

    def __init__(self, store: Store, timebase: Timebase) -> None:
        self._store = store
        self._timebase = timebase

    async def page(self, asked: Asked, after: SessionCursor | None, limit: int) -> UsagePage:
        """At most ``limit`` records; fewer, even none, do not mean that there are no more."""
        rooms = await self._rooms(asked.account)
        records: list[UsageRecord] = []
        looked_at = 0
        async for batch in self._batches(asked, after, min(BATCH, limit + 1)):
            for session in batch:
                if looked_at >= SCAN or len(records) == limit:
                    return UsagePage(tuple(records), after)
                looked_at += 1
                after = SessionCursor(session.starts_ms, session.id)
                records += self._records(asked, [session], rooms)
        return UsagePage(tuple(records), None)

    async def everything(self, asked: Asked) -> AsyncIterator[tuple[UsageRecord, ...]]:
        """All records, some at a time."""
        rooms = await self._rooms(asked.account)
        async for batch in self._batches(asked, None, BATCH):
            yield self._records(asked, batch, rooms)

    async def _batches(
        self, asked: Asked, after: SessionCursor | None, size: int
    ) -> AsyncIterator[list[Session]]:
        while True:
            rows = await self._store.sessions_between(
                asked.from_ms, asked.until_ms, room=asked.room, after=after, limit=size
            )
            if rows:
                yield [from_row(row) for row in rows]
            if len(rows) < size:
                return
            after = SessionCursor(rows[-1].starts_ms, rows[-1].id)

    def _records(
        self, asked: Asked, sessions: list[Session], rooms: frozenset[str]
    ) -> tuple[UsageRecord, ...]:
        now_ms = self._timebase.now_ms()
        return tuple(
            usage_of(session, now_ms)
            for session in sessions
            if asked.account is None or concerns(session, asked.account, rooms)
        )

    async def _rooms(self, account: str | None) -> frozenset[str]:
        """The rooms that an account is a member of now."""
        rooms: set[str] = set()
        after = ""
        while account is not None:
            page = await self._store.rooms_of(account, after=after, limit=ROOMS)
            rooms.update(one.room for one in page)
            if len(page) < ROOMS:
                break
            after = page[-1].room
        return frozenset(rooms)

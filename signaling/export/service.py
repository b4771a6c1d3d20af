"""Reads everything of an account, a page at a time; at most one page of a log is in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct

from relay.audit_trail import AuditFilter
from relay.errors import NotFound
from relay.rows import RoomHead, SessionCursor, reset_reason
from relay.store import Store
from signaling.audit.exporting import fields_of
from signaling.hours.service import HOURS
from signaling.inbox.preferences import PREFERENCES
from signaling.keys.vault import VAULT
from signaling.memberships import memberships_of
from signaling.ratings.rating import from_row as rating_of
from signaling.rooms import HISTORY_BYTES, event_of
from signaling.sessions.session import from_row as session_of
from signaling.timebase import Timebase
from signaling.usage.records import usage_of

PAGE = 200
"""Rows that are read together."""

_FOR_EVER = 1 << 62


class Line(Struct, frozen=True):
    """One thing that there is of the account. Bytes are written in base64."""

    kind: str
    """What kind of thing it is."""
    value: Any
    """What there is of it."""


class Export:
    """Exports of accounts. Raises :exc:`relay.errors.StoreError`."""

    def __init__(self, store: Store, timebase: Timebase) -> None:
        self._store = store
        self._timebase = timebase

    async def lines(self, account: str) -> AsyncIterator[bytes]:
        """Everything of an account as JSON lines; each chunk is some whole lines."""
        about = {"account": account, "at_ms": self._timebase.now_ms()}
        yield _encoded([Line("account", about), *await self._few(account)])
        async for membership in self._memberships(account):
            yield _encoded([membership])
            async for events in self._events(membership.value["room"]):
                yield _encoded(events)
        async for departure in self._departures(account):
            room, through = departure.value["room"], departure.value["through"]
            yield _encoded([departure])
            async for events in self._events(room, through):
                yield _encoded(events)
            async for page in self._attended(room, account):
                yield _encoded(page)
        async for page in self._sessions(account):
            yield _encoded(page)
        async for page in self._ratings(account):
            yield _encoded(page)
        async for page in self._audit(account):
            yield _encoded(page)

    async def _few(self, account: str) -> list[Line]:
        """What there is only so much of: documents, the device list and the devices."""
        lines: list[Line] = []
        for kind in (HOURS, PREFERENCES):
            found = (await self._store.documents(kind, [account])).values()
            lines += [Line(kind, msgspec.msgpack.decode(document.body)) for document in found]
        vaults = (await self._store.documents(VAULT, [account])).values()
        lines += [Line(VAULT, document.body) for document in vaults]
        lists = (await self._store.device_lists([account])).values()
        lines += [Line("device_list", {"number": row.number, "signed": row.body}) for row in lists]
        for device in await self._store.devices_of(account):
            lines.append(Line("device", device))
            if (doorbell := await self._store.doorbell(account, device.device)) is not None:
                lines.append(Line("doorbell", doorbell))
        lines += [Line("barred", each) for each in await self._store.revocations_of([account])]
        return lines

    async def _memberships(self, account: str) -> AsyncIterator[Line]:
        for one in await memberships_of(self._store, account):
            since = [m.since_ms for m in await self._store.members(one.room) if m.account == account]
            value = {"room": one.room, "role": one.role, "since_ms": [*since, None][0]}
            yield Line("membership", value | _about(one.log) | {"read": one.read})

    async def _departures(self, account: str) -> AsyncIterator[Line]:
        after = ""
        while page := await self._store.departures_of(account, after=after, limit=PAGE):
            for one in page:
                value = {"room": one.room, "role": one.role, "since_ms": one.since_ms, "through": one.through}
                yield Line("departure", value | _about(one.log))
            after = page[-1].room

    async def _events(self, room: str, through: int = _FOR_EVER) -> AsyncIterator[list[Line]]:
        """A room's log up to an offset, as its members get it: contents that are sealed stay sealed."""
        after = 0
        while after < through:
            limit = min(PAGE, through - after)
            try:
                page = await self._store.events(room, after=after, limit=limit, max_bytes=HISTORY_BYTES)
            except NotFound:
                return  # deleted meanwhile
            if page.events:
                yield [Line("event", event_of(room, page.log.epoch, event)) for event in page.events]
                after = page.events[-1].offset
            elif _purged_up_to(page.log, after):
                after = page.log.lowest - 1
            else:
                return

    async def _attended(self, room: str, account: str) -> AsyncIterator[list[Line]]:
        """The sessions of a room that an account has taken part in."""
        after, now_ms = None, self._timebase.now_ms()
        while page := await self._store.sessions_of(room, after=after, limit=PAGE):
            records = [usage_of(session_of(row), now_ms) for row in page]
            attended = [one for one in records if any(each.account == account for each in one.attendances)]
            if attended:
                yield [Line("session", record) for record in attended]
            after = SessionCursor(page[-1].starts_ms, page[-1].id)

    async def _sessions(self, account: str) -> AsyncIterator[list[Line]]:
        after, now_ms = SessionCursor(-1, ""), self._timebase.now_ms()
        while page := await self._store.sessions_of_account(
            account, after=after, before_ms=_FOR_EVER, limit=PAGE
        ):
            yield [Line("session", usage_of(session_of(row), now_ms)) for row in page]
            after = SessionCursor(page[-1].starts_ms, page[-1].id)

    async def _ratings(self, account: str) -> AsyncIterator[list[Line]]:
        after = ""
        while page := await self._store.ratings_of(account, after=after, limit=PAGE):
            yield [Line("rating", rating_of(row)) for row in page]
            after = page[-1].session

    async def _audit(self, account: str) -> AsyncIterator[list[Line]]:
        after, about = 0, AuditFilter(object_kind="account", object_id=account)
        while page := await self._store.audit(after=after, limit=PAGE, matching=about):
            yield [Line("audit", fields_of(record)) for record in page]
            after = page[-1].sequence


def _about(log: RoomHead) -> dict[str, int]:
    return {"head": log.head, "lowest": log.lowest, "expired": log.expired}


def _purged_up_to(log: RoomHead, after: int) -> bool:
    return reset_reason(log, log.epoch, after) == "purged" and log.lowest <= log.head


def _encoded(lines: list[Line]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)

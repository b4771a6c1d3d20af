"""Purges rooms: each time a page of rooms, of each the beginning of its log that may go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from config.settings import RetentionSettings
from relay.blob_rows import ExpireBlobs
from relay.documents import PutDocument
from relay.errors import Conflict, NotFound
from relay.retention import Purge
from relay.rows import Room
from relay.store import Store
from signaling.hours.replies import WORDS
from signaling.rooms import Rooms
from signaling.timebase import Timebase

RETENTION = "retention"
"""The kind of the documents that hold what rooms have of their own, by room."""

DAY_MS = 86_400_000

PAGE = 200
"""Rooms that are looked at together."""

UPLOAD_MS = DAY_MS
"""An attachment is uploaded before the message that names it, by so much at most."""

_log = structlog.get_logger("rapport.retention")


class RetentionTerms(msgspec.Struct, frozen=True):
    """What a room says about its messages."""

    days: int | None = None
    """For how long they are kept, 0 for ever; None: as the deployment says."""


_DECODER = msgspec.msgpack.Decoder(RetentionTerms)


class Retention:
    """The retention of rooms. Raises :exc:`relay.errors.StoreError`."""

    def __init__(self, store: Store, rooms: Rooms, timebase: Timebase, settings: RetentionSettings) -> None:
        self._store = store
        self._rooms = rooms
        self._timebase = timebase
        self._settings = settings

    async def of(self, rooms: Sequence[str]) -> Mapping[str, RetentionTerms]:
        """What these rooms say themselves; those that say nothing are left out."""
        found = await self._store.documents(RETENTION, rooms)
        return {room: _DECODER.decode(one.body) for room, one in found.items()}

    def days(self, terms: RetentionTerms | None) -> int:
        """For how many days messages are kept then; 0 for ever."""
        if terms is None or terms.days is None:
            return self._settings.message_days
        return terms.days

    async def delete(self, room: str) -> None:
        """Delete a room that has nothing younger than its retention. As :meth:`Rooms.delete`."""
        days = self.days((await self.of([room])).get(room))
        before_ms = self._timebase.now_ms() - days * DAY_MS if days else 0
        await self._rooms.delete(room, (RETENTION, WORDS), before_ms)

    async def purge(self) -> None:
        """Drop what is past its time, in all rooms. One that cannot be purged now is next time."""
        after = ""
        while rooms := await self._store.rooms(after=after, limit=PAGE):
            after = rooms[-1].room
            terms = await self.of([room.room for room in rooms])
            for room in rooms:
                if days := self.days(terms.get(room.room)):
                    await self._purge(room, days)

    async def _purge(self, room: Room, days: int) -> None:
        now_ms = self._timebase.now_ms()
        before_ms = now_ms - days * DAY_MS
        anyway_ms = before_ms - self._settings.wait_days * DAY_MS
        found = await self._store.purgeable(room.room, before_ms=before_ms, anyway_ms=anyway_ms)
        if found is None:
            return
        blobs = ExpireBlobs(room.room, found.last_ms - UPLOAD_MS, now_ms)
        try:
            await self._rooms.commit(Purge(found, before_ms, anyway_ms), blobs)
        except (Conflict, NotFound):
            return  # a hold was placed meanwhile, a device listed, or the room deleted
        _log.info("messages_purged", messages=found.messages)


def kept(room: str, terms: RetentionTerms) -> PutDocument:
    """The write that replaces what a room says."""
    return PutDocument(RETENTION, room, msgspec.msgpack.encode(terms))

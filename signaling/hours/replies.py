"""Automatic replies: who writes to a closed room is answered once until it opens again.

A message is looked at after it was stored and answered, so it never waits for this. The reply and the note
that it was given are one commit, guarded by the note's version: of many messages, and of many nodes, one
writes it. What a process that was killed has not looked at is found again at the next start.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from config.settings import ReplySettings
from protocol.codec import encode_body
from protocol.events import AutoReplyBody
from relay.documents import PutDocument
from relay.errors import Conflict
from relay.store import Store
from relay.writes import Append
from signaling.hours.offices import Office, office_of
from signaling.hours.service import HoursService
from signaling.sessions.ports import Ledger
from signaling.timebase import Timebase

WORDS = "reply_words"
"""The kind of the documents that hold a room's own words."""

GIVEN = "reply_given"
"""The kind of the documents that hold the closed time in which a room has replied last."""

RECHECK_MS = 15_000
"""How long it is not looked again whether a room has closed: hours may be changed on another node."""

MAX_ROOMS = 65_536
"""Rooms that may wait to be looked at, and rooms that are remembered as settled."""

PAGE = 512

_log = structlog.get_logger("rapport.replies")


class ReplyWords(msgspec.Struct, frozen=True):
    """What a room answers with outside office hours; not at all if the text is empty."""

    text: str
    emergency: str = ""


class Replies:
    """The automatic replies of a node."""

    def __init__(
        self, store: Store, ledger: Ledger, hours: HoursService, timebase: Timebase, settings: ReplySettings
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._hours = hours
        self._timebase = timebase
        self._default = ReplyWords(settings.text, settings.emergency) if settings.text else None
        self._waiting: dict[str, tuple[int, int]] = {}  # rooms, with the first and last message to look at
        self._settled: dict[str, int] = {}  # rooms in which no message before an instant has to be looked at
        self._rung = asyncio.Event()

    def asked(self, room: str, at_ms: int) -> None:
        """A client has written to a room."""
        if at_ms < self._settled.get(room, 0):
            return
        first, _ = self._waiting.get(room, (at_ms, at_ms))
        if room not in self._waiting and len(self._waiting) >= MAX_ROOMS:
            _log.warning("auto_reply_delayed", waiting=len(self._waiting))  # until the room's next message
            return
        self._waiting[room] = first, at_ms
        self._rung.set()

    async def recover(self) -> None:
        """Look at what was asked last in every room in which something waits for an answer."""
        after = ""
        while page := await self._store.asked(after=after, limit=PAGE):
            for one in page:
                await self._look(one.room, one.at_ms)
            after = page[-1].room

    async def run(self) -> None:
        """Look at what was asked since, and return; to be called again, also after it has raised."""
        if not self._waiting:
            self._rung.clear()
            await self._rung.wait()
        while self._waiting:
            room, (first_ms, last_ms) = next(iter(self._waiting.items()))
            for at_ms in dict.fromkeys((first_ms, last_ms)):
                await self._look(room, at_ms)
            # What came meanwhile is still to be looked at.
            if self._waiting[room] == (first_ms, last_ms):
                del self._waiting[room]
            else:
                self._waiting[room] = last_ms, self._waiting[room][1]

    async def words(self, room: str) -> ReplyWords | None:
        """What a room answers with; None if it does not."""
        kept = (await self._store.documents(WORDS, [room])).get(room)
        if kept is None:
            return self._default
        words = msgspec.msgpack.decode(kept.body, type=ReplyWords)
        return words if words.text else None

    async def _look(self, room: str, at_ms: int) -> None:
        office = await self._office(room, at_ms)
        now_ms = self._timebase.now_ms()
        over = office.until_ms is not None and office.until_ms <= now_ms
        words = await self.words(room) if office.closed and not over else None
        if words is not None:
            await self._reply(room, office, words, now_ms)
        if not over:
            self._settle(room, min(now_ms + RECHECK_MS, office.until_ms or now_ms + RECHECK_MS))

    async def _office(self, room: str, at_ms: int) -> Office:
        members = await self._store.members(room)
        hours = await self._hours.of([one.account for one in members if one.role == "therapist"])
        return office_of(hours.values(), at_ms)

    async def _reply(self, room: str, office: Office, words: ReplyWords, now_ms: int) -> None:
        given = (await self._store.documents(GIVEN, [room])).get(room)
        if given is not None and int(given.body) >= office.window:
            return
        body = AutoReplyBody(words.text, words.emergency, office.until_ms)
        note = PutDocument(GIVEN, room, b"%d" % office.window, given.version if given else 0)
        try:
            await self._ledger.commit(Append(room, None, None, None, encode_body(body), now_ms), note)
        except Conflict:
            _log.debug("auto_reply_given_elsewhere")

    def _settle(self, room: str, until_ms: int) -> None:
        if len(self._settled) >= MAX_ROOMS:
            self._settled.clear()
        self._settled[room] = until_ms

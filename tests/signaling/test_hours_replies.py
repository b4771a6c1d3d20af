"""One automatic reply for each closed time of a room: many messages, many nodes, restarts, new words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from config.settings import ReplySettings
from protocol.around import Hours, WeeklySpan
from protocol.codec import decode_body
from protocol.events import AutoReplyBody
from relay.bus.local import LocalBus
from relay.documents import PutDocument
from relay.inbox import QUESTION
from relay.sqlite import SqliteStore
from relay.writes import Append
from signaling.hours.replies import RECHECK_MS, WORDS, Replies, ReplyWords
from signaling.hours.service import HoursService, kept
from signaling.rooms import Rooms
from signaling.timebase import Timebase

OFFICE = Hours("UTC", tuple(WeeklySpan(day, 9 * 60, 17 * 60) for day in range(5)))
SETTINGS = ReplySettings("We read this tomorrow.", "Call 142.")


def utc(text: str) -> int:
    return round(datetime.fromisoformat(f"2026-01-{text}").replace(tzinfo=UTC).timestamp() * 1000)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.timebase = Timebase(lambda: 0, lambda: self.now_ms * 1_000_000)


class Practice:
    """A store with a room ``r`` of a therapist and a client, and the replies of one or more nodes."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.clock = Clock()
        self.rooms = Rooms(store, LocalBus(), self.clock.timebase)
        self._mids = 0

    def node(self, settings: ReplySettings = SETTINGS) -> Replies:
        hours = HoursService(self.store, self.rooms, self.clock.timebase)
        return Replies(self.store, self.rooms, hours, self.clock.timebase, settings)

    async def ask(self, at: str, *nodes: Replies, room: str = "r") -> None:
        """The client writes; the nodes hear of it and look."""
        self.clock.now_ms = utc(at)
        self._mids += 1
        write = Append(room, "ben", "d", self._mids.to_bytes(16, "big"), b"", utc(at), QUESTION)
        await self.store.commit(write)
        for node in nodes:
            node.asked(room, utc(at))

    async def replies(self, room: str = "r") -> list[AutoReplyBody]:
        page = await self.store.events(room, after=0, limit=1000, max_bytes=1 << 20)
        bodies = [decode_body(event.body) for event in page.events if event.sender is None]
        return [body for body in bodies if isinstance(body, AutoReplyBody)]


@pytest.fixture
async def practice(tmp_path: Path) -> AsyncIterator[Practice]:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    practice = Practice(store)
    await practice.rooms.create("r", b"", [("ann", "therapist"), ("ben", "client")])
    await store.commit(kept("ann", OFFICE))
    yield practice
    await store.close()


async def test_one_reply_for_a_closed_time(practice: Practice) -> None:
    node = practice.node()
    for minute in range(10):
        await practice.ask(f"14 18:{minute:02}", node)
        await node.run()
    assert await practice.replies() == [AutoReplyBody("We read this tomorrow.", "Call 142.", utc("15 09:00"))]
    await practice.ask("15 18:00", node)
    await node.run()
    assert [one.until_ms for one in await practice.replies()] == [utc("15 09:00"), utc("16 09:00")]


async def test_no_reply_in_office_hours(practice: Practice) -> None:
    node = practice.node()
    await practice.ask("14 16:59", node)
    await node.run()
    assert await practice.replies() == []
    await practice.ask("14 17:00", node)
    await node.run()
    assert len(await practice.replies()) == 1


async def test_of_many_messages_before_a_look_the_last_counts_too(practice: Practice) -> None:
    node = practice.node()
    await practice.ask("14 16:59", node)
    await practice.ask("14 17:00", node)
    await node.run()
    assert len(await practice.replies()) == 1


async def test_many_nodes_at_once_give_one_reply(practice: Practice) -> None:
    nodes = [practice.node() for _ in range(8)]
    await practice.ask("14 18:00", *nodes)
    await asyncio.gather(*(node.run() for node in nodes))
    assert len(await practice.replies()) == 1


async def test_what_was_not_looked_at_is_found_after_a_restart_and_once(practice: Practice) -> None:
    await practice.ask("14 18:00")
    for _ in range(3):
        await practice.node().recover()
    assert len(await practice.replies()) == 1


async def test_after_a_restart_in_office_hours_nothing_is_made_up_for(practice: Practice) -> None:
    await practice.ask("14 18:00")
    practice.clock.now_ms = utc("15 10:00")
    await practice.node().recover()
    assert await practice.replies() == []


async def test_an_older_closed_time_is_not_answered_after_a_newer_one(practice: Practice) -> None:
    node = practice.node()
    await practice.ask("15 18:00", node)
    await node.run()
    late = practice.node()
    practice.clock.now_ms = utc("14 20:00")
    late.asked("r", utc("14 18:00"))
    await late.run()
    assert len(await practice.replies()) == 1


async def test_a_room_without_words_says_nothing(practice: Practice) -> None:
    node = practice.node(ReplySettings())
    await practice.ask("14 18:00", node)
    await node.run()
    assert await practice.replies() == []


@pytest.mark.parametrize(("text", "said"), [("Only ours.", ["Only ours."]), ("", [])])
async def test_a_room_has_words_of_its_own(practice: Practice, text: str, said: list[str]) -> None:
    words = msgspec.msgpack.encode(ReplyWords(text))
    await practice.store.commit(PutDocument(WORDS, "r", words))
    node = practice.node()
    await practice.ask("14 18:00", node)
    await node.run()
    assert [one.text for one in await practice.replies()] == said


async def test_a_room_without_hours_says_nothing(practice: Practice) -> None:
    await practice.rooms.create("q", b"", [("eve", "therapist"), ("ben", "client")])
    node = practice.node()
    await practice.ask("14 18:00", node, room="q")
    await node.run()
    assert await practice.replies("q") == []


async def test_hours_that_were_changed_are_seen_again_soon(practice: Practice) -> None:
    node = practice.node()
    await practice.ask("14 12:00", node)
    await node.run()
    await practice.store.commit(kept("ann", Hours("UTC", ())))
    practice.clock.now_ms += RECHECK_MS
    node.asked("r", practice.clock.now_ms)
    await node.run()
    assert [one.until_ms for one in await practice.replies()] == [None]


async def test_a_look_that_the_store_refuses_is_repeated(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = practice.node()
    await practice.ask("14 18:00", node)
    members = practice.store.members

    async def fail(room: str) -> None:
        monkeypatch.setattr(practice.store, "members", members)
        raise OSError

    monkeypatch.setattr(practice.store, "members", fail)
    with pytest.raises(OSError):  # noqa: PT011 - whatever the store raises
        await node.run()
    await node.run()
    assert len(await practice.replies()) == 1

"""Rooms: committed first, told afterwards, and hidden from who is not in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from protocol import errors
from protocol.errors import ProtocolError
from protocol.events import MemberBody, MessageBody
from relay.bus import EventNotice, MembershipNotice, Notice, RevokedNotice
from relay.bus.local import LocalBus
from relay.rows import Session
from relay.sqlite import SqliteStore
from relay.writes import Append, Appended, PutSession, Reinstate, Revoke
from signaling.rooms import Rooms
from signaling.timebase import Timebase

NO_MID = UUID(int=0)


class Heard(LocalBus):
    """Notes what is published and to whom."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[tuple[set[str], Notice]] = []

    def publish(self, accounts: Collection[str], notice: Notice) -> None:
        self.notices.append((set(accounts), notice))

    def take(self) -> list[tuple[set[str], Notice]]:
        taken, self.notices = self.notices, []
        return taken


@pytest.fixture
def bus() -> Heard:
    return Heard()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "s.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def rooms(store: SqliteStore, bus: Heard) -> Rooms:
    rooms = Rooms(store, bus, Timebase())
    await rooms.create("r", b"", [("ann", "therapist"), ("ben", "client")])
    bus.take()
    return rooms


async def refused(work: Awaitable[object]) -> str:
    with pytest.raises(ProtocolError) as caught:
        await work
    return caught.value.kind.name


def message(data: bytes = b"hi", mid: UUID = NO_MID) -> MessageBody:
    return MessageBody(mid, data)


async def test_a_room_begins_with_its_members(rooms: Rooms) -> None:
    page = await rooms.history("ann", "r", 0, 10)
    assert [event.body for event in page.events] == [
        MemberBody("ann", "therapist", "added"),
        MemberBody("ben", "client", "added"),
    ]
    assert (page.head, page.lowest) == (2, 1)


async def test_an_event_of_a_newer_version_hides_no_other(rooms: Rooms, store: SqliteStore) -> None:
    newer = {"kind": "gossip", "about": "x"}
    await store.commit(Append("r", None, None, None, msgspec.msgpack.encode(newer), 1_000))
    await rooms.append("r", message(), sender="ann", device="d", mid=bytes(16))
    page = await rooms.history("ben", "r", 2, 10)
    assert [event.body for event in page.events] == [newer, message()]


async def test_a_room_is_created_once(rooms: Rooms) -> None:
    assert await refused(rooms.create("r", b"")) == "already_exists"


async def test_members_are_told_of_an_event_once_it_is_committed(rooms: Rooms, bus: Heard) -> None:
    appended = await rooms.append("r", message(), sender="ann", device="d", mid=bytes(16))
    ((accounts, notice),) = bus.take()
    assert accounts == {"ann", "ben"}
    assert isinstance(notice, EventNotice)
    assert (notice.event.offset, notice.event.sender) == (appended.offset, "ann")


async def test_a_repeated_message_is_not_told_again(rooms: Rooms, bus: Heard) -> None:
    first = await rooms.append("r", message(), sender="ann", device="d", mid=bytes(16))
    bus.take()
    again = await rooms.append("r", message(), sender="ann", device="d", mid=bytes(16))
    assert (again.offset, again.duplicate, bus.take()) == (first.offset, True, [])
    assert await refused(rooms.append("r", message(b"other"), sender="ann", device="d", mid=bytes(16))) == (
        "mid_differs"
    )


@pytest.mark.parametrize("room", ["r", "nowhere"])
async def test_a_room_one_is_not_in_is_like_none(rooms: Rooms, room: str) -> None:
    work: list[Awaitable[object]] = [
        rooms.append(room, message(), sender="eve", device="d", mid=bytes(16)),
        rooms.get("eve", room),
        rooms.history("eve", room, 0, 10),
        rooms.read_up_to("eve", room, 0),
        rooms.others("eve", room),
    ]
    refusals = set()
    for each in work:
        with pytest.raises(ProtocolError) as caught:
            await each
        refusals.add((caught.value.kind, caught.value.detail, caught.value.retry_after_ms))
    assert refusals == {(errors.NO_SUCH_ROOM, errors.NO_SUCH_ROOM.meaning, None)}


async def test_appending_without_a_task_gives_the_same(rooms: Rooms, bus: Heard) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    outcomes: list[Appended | ProtocolError] = []

    def collect(outcome: Appended | ProtocolError) -> None:
        outcomes.append(outcome)
        if len(outcomes) == 4:
            done.set_result(None)

    rooms.append_soon("r", message(b"1"), "ann", "d", bytes(15) + b"1", collect)
    rooms.append_soon("r", message(b"2"), "ann", "d", bytes(15) + b"2", collect)
    rooms.append_soon("r", message(b"other"), "ann", "d", bytes(15) + b"1", collect)
    rooms.append_soon("elsewhere", message(b"3"), "ann", "d", bytes(15) + b"3", collect)
    await done
    names = [one.offset if isinstance(one, Appended) else one.kind.name for one in outcomes]
    assert names == [3, 4, "mid_differs", "no_such_room"]
    assert len(bus.take()) == 2


async def test_appending_to_a_closed_store_is_refused_at_once(rooms: Rooms, store: SqliteStore) -> None:
    await store.close()
    outcomes: list[Appended | ProtocolError] = []
    rooms.append_soon("r", message(), "ann", "d", bytes(16), outcomes.append)
    (outcome,) = outcomes
    assert isinstance(outcome, ProtocolError)
    assert outcome.kind.name == "going_away"


async def test_a_new_member_is_told_first_and_the_room_then(rooms: Rooms, bus: Heard) -> None:
    assert await rooms.add_member("r", "cara", "guest")
    (own, to_all) = bus.take()
    assert own == ({"cara"}, MembershipNotice("r", "cara", "guest"))
    assert to_all[0] == {"ann", "ben", "cara"}
    assert not await rooms.add_member("r", "cara", "guest")
    assert bus.take() == []
    assert await rooms.add_member("r", "cara", "client")


async def test_who_is_removed_hears_of_nothing_more(rooms: Rooms, bus: Heard) -> None:
    assert await rooms.remove_member("r", "ben")
    told = bus.take()
    assert ({"ben"}, MembershipNotice("r", "ben", None)) in told
    assert [accounts for accounts, notice in told if isinstance(notice, EventNotice)] == [{"ann"}]
    assert not await rooms.remove_member("r", "ben")
    assert bus.take() == []
    assert await refused(rooms.append("r", message(), sender="ben", device="d", mid=bytes(16))) == (
        "no_such_room"
    )


async def test_an_event_and_other_writes_are_one_step(rooms: Rooms, store: SqliteStore, bus: Heard) -> None:
    session = Session("s", "r", 1, 2, "open", 1, b"")
    await rooms.append_with("r", MemberBody("x", "guest", "added"), PutSession(session, None))
    bus.take()
    assert await refused(
        rooms.append_with("r", MemberBody("y", "guest", "added"), PutSession(session, None))
    ) == ("already_exists")
    assert bus.take() == []
    assert (await rooms.get("ann", "r")).head == 3


async def test_revocations_are_told(rooms: Rooms, bus: Heard) -> None:
    await rooms.commit(Revoke("ben", "d", 1))
    await rooms.commit(Reinstate("ben", "d"))
    assert bus.take() == [({"ben"}, RevokedNotice("ben", "d"))]


async def test_a_room_shows_who_is_online(rooms: Rooms, bus: Heard) -> None:
    bus.attach("ben", "d")
    room = await rooms.get("ann", "r")
    assert [(member.account, member.online) for member in room.members] == [("ann", False), ("ben", True)]
    assert await rooms.others("ann", "r") == ["ben"]


async def test_how_far_is_read_is_kept(rooms: Rooms, store: SqliteStore) -> None:
    await rooms.read_up_to("ann", "r", 2)
    (membership,) = await store.rooms_of("ann", limit=10)
    assert membership.read == 2
    assert await refused(rooms.read_up_to("ann", "r", 3)) == "beyond_head"

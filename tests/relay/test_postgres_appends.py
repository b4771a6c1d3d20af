"""Two stores on one database that append to the same rooms: one log of each, no gap, each mid once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.errors import BeyondHead, NotFound
from relay.postgres import PostgresStore
from relay.postgres.maintenance import faults
from relay.writes import (
    Ack,
    AddMember,
    Append,
    Appended,
    CreateRoom,
    MarkRead,
    Outcome,
    RemoveMember,
    SetRoomBody,
    Trim,
    Write,
)
from tests.conformance.places import PostgresPlace, postgres_place

ROOMS = ("r0", "r1", "r2")
ACCOUNTS = ("ann", "ben")
Two = tuple[PostgresStore, PostgresStore]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PostgresPlace]:
    with postgres_place(tmp_path) as made:
        yield made


@pytest.fixture
async def stores(place: PostgresPlace) -> AsyncIterator[Two]:
    two = place.store(), place.store()
    await open_with_rooms(two)
    yield two
    await asyncio.gather(*[store.close() for store in two])


async def open_with_rooms(two: Two) -> None:
    for store in two:
        await store.open()
    members = [AddMember(room, account, "client", 1) for room in ROOMS for account in ACCOUNTS]
    await two[0].commit(*[CreateRoom(room, b"", 1) for room in ROOMS], *members)


def said(mid: int, room: str = "r0", account: str = "ann", device: str = "d") -> Append:
    return Append(room, account, device, mid.to_bytes(16, "big"), b"%d" % mid, 1)


async def log(store: PostgresStore, room: str) -> list[tuple[str | None, bytes]]:
    """What stands in a room, in its order; there is no gap in it."""
    page = await store.events(room, after=0, limit=100_000, max_bytes=1 << 30)
    assert [event.offset for event in page.events] == list(range(1, page.log.head + 1))
    return [(event.sender, event.body) for event in page.events]


async def test_offsets_go_on_from_one_store_to_the_other(stores: Two) -> None:
    for number in range(10):
        (outcome,) = await stores[number % 2].commit(said(number))
        assert outcome.offset == number + 1


async def test_what_both_append_makes_one_log_without_a_gap(stores: Two) -> None:
    async def send(lane: int) -> list[Appended]:
        outcomes: list[Appended] = []
        for number in range(20):
            (outcome,) = await stores[lane % 2].commit(
                said(lane * 100 + number, ROOMS[number % 3], device=f"d{lane}")
            )
            outcomes.append(outcome)
        return outcomes

    outcomes = [one for lane in await asyncio.gather(*map(send, range(30))) for one in lane]
    assert not any(outcome.duplicate for outcome in outcomes)
    logs = [await log(stores[0], room) for room in ROOMS]
    assert sum(map(len, logs)) == len(outcomes)
    for lane in range(30):  # each device's messages are in the order in which it sent them
        mine = [[int(body) for _, body in one if int(body) // 100 == lane] for one in logs]
        assert all(one == sorted(one) for one in mine)


async def test_a_mid_is_taken_once_whichever_store_it_comes_to(stores: Two) -> None:
    """A device that has lost its connection sends again through another node, while the first is at it."""
    for round_number in range(10):
        mids = range(round_number * 20, round_number * 20 + 20)
        rooms = {
            mid: (ROOMS[mid % 3], ROOMS[(mid + mid % 2) % 3]) for mid in mids
        }  # every second one differs
        calls = [stores[one].commit(said(mid, rooms[mid][one])) for mid in mids for one in (0, 1)]
        outcomes = [outcome for (outcome,) in await asyncio.gather(*calls)]
        for mid, pair in zip(mids, zip(outcomes[::2], outcomes[1::2], strict=True), strict=True):
            assert sorted(one.duplicate for one in pair) == [False, True]
            assert pair[0].offset == pair[1].offset
            assert any(one.differs for one in pair) == (rooms[mid][0] != rooms[mid][1])
    assert sum([len(await log(stores[1], room)) for room in ROOMS]) == 200


async def test_who_was_removed_appends_nothing_through_the_other_store(stores: Two) -> None:
    for number in range(20):
        sending = [
            asyncio.create_task(stores[0].commit(said(number * 10 + step, account="ben")))
            for step in range(5)
        ]
        await stores[1].commit(RemoveMember("r0", "ben"))
        with pytest.raises(NotFound):
            await stores[0].commit(said(number * 10 + 9, account="ben"))
        await asyncio.gather(*sending, return_exceptions=True)
        (outcome,) = await stores[0].commit(said(number * 10 + 8))
        assert outcome.audience == {"ann"}
        await stores[1].commit(AddMember("r0", "ben", "client", 1))
        (outcome,) = await stores[0].commit(said(number * 10 + 7))
        assert outcome.audience == {"ann", "ben"}


@st.composite
def calls(draw: st.DrawFn) -> tuple[Write, ...]:
    """A call of one to three writes about the rooms."""
    return tuple(draw(st.lists(writes(), min_size=1, max_size=3)))


def writes() -> st.SearchStrategy[Write]:
    rooms, accounts, offsets = st.sampled_from(ROOMS), st.sampled_from(ACCOUNTS), st.integers(0, 12)
    sent = st.builds(said, st.integers(0, 40), rooms, accounts, st.sampled_from(("d1", "d2")))
    return st.one_of(
        sent,
        sent,
        st.builds(lambda room, body: Append(room, None, None, None, body, 1), rooms, st.binary(max_size=3)),
        st.builds(lambda room, account: AddMember(room, account, "client", 1), rooms, accounts),
        st.builds(RemoveMember, rooms, accounts),
        st.builds(Trim, rooms, offsets),
        st.builds(SetRoomBody, rooms, st.binary(max_size=3)),
        st.builds(
            lambda room, account, offset: Ack(account, "d1", room, 0, offset), rooms, accounts, offsets
        ),
        st.builds(lambda room, account, offset: MarkRead(account, room, 0, offset), rooms, accounts, offsets),
    )


@given(st.lists(st.tuples(st.booleans(), calls()), min_size=1, max_size=30))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_both_do_leaves_a_sound_store(history: list[tuple[bool, tuple[Write, ...]]]) -> None:
    with postgres_place(Path()) as place:
        asyncio.run(live(place, history))


async def live(place: PostgresPlace, history: list[tuple[bool, tuple[Write, ...]]]) -> None:
    two = place.store(), place.store()
    await open_with_rooms(two)
    epoch = two[0].epoch
    results = await asyncio.gather(
        *[two[other].commit(*[in_epoch(write, epoch) for write in call]) for other, call in history],
        return_exceptions=True,
    )
    appended: dict[tuple[str, int], bytes] = {}
    for (_, call), result in zip(history, results, strict=True):
        if isinstance(result, BaseException):
            assert isinstance(result, NotFound | BeyondHead), result
            continue
        note(call, result, appended)
    for room in ROOMS:
        page = await two[0].events(room, after=0, limit=1, max_bytes=1)
        lowest, head = page.log.lowest, page.log.head
        events = (await two[1].events(room, after=lowest - 1, limit=1_000, max_bytes=1 << 20)).events
        assert [event.offset for event in events] == list(range(lowest, head + 1))
        assert {event.offset: event.body for event in events} == {
            offset: body for (where, offset), body in appended.items() if where == room and offset >= lowest
        }
        assert sorted(offset for where, offset in appended if where == room) == list(range(1, head + 1))
    await asyncio.gather(*[store.close() for store in two])
    assert await faults(place.target) == ()


def in_epoch(write: Write, epoch: int) -> Write:
    match write:
        case Ack(account, device, room, _, offset):
            return Ack(account, device, room, epoch, offset)
        case MarkRead(account, room, _, offset):
            return MarkRead(account, room, epoch, offset)
        case _:
            return write


def note(
    call: tuple[Write, ...], outcomes: tuple[Outcome, ...], appended: dict[tuple[str, int], bytes]
) -> None:
    """Note what has got which place; no place twice."""
    for write, outcome in zip(call, outcomes, strict=True):
        if isinstance(write, Append) and isinstance(outcome, Appended) and not outcome.duplicate:
            assert (write.room, outcome.offset) not in appended
            appended[write.room, outcome.offset] = write.body

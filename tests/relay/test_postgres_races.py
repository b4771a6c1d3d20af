"""Two stores on one database at the same time: what one writer alone would do, both do together."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from relay.audit_chain import AuditEntry
from relay.audit_trail import AppendAudit, AuditHold, HoldAudit
from relay.blob_rows import BeginBlob, BlobLimits, BlobRow, FinishBlob
from relay.cluster import BeatNode, BuryNode, Fence, NodeRow
from relay.documents import Document, PutDocument
from relay.errors import Conflict, NodeBuried, Outdated, StoreError, TooMany
from relay.inbox import MESSAGE
from relay.invariants import chain_fault
from relay.keys import (
    Claimed,
    ClaimPrekeys,
    ListDevice,
    Prekey,
    PutDeviceList,
    PutPrekeys,
    RequestDevice,
    ResetKeys,
    Sealing,
)
from relay.postgres import PostgresStore, changes, writer
from relay.postgres.connection import Connection
from relay.postgres.errors import is_worth_another_try
from relay.postgres.horizon import examinable
from relay.postgres.maintenance import faults
from relay.push import DOORBELLS, NoteUnrung, PutDoorbell
from relay.retention import DropRoom, Purge
from relay.rows import Session
from relay.scheduling import CalendarFeed, PutCalendar, SetGuests
from relay.webhooks import EndDelivery, NoteExamined, PutDelivery
from relay.writes import AddMember, Append, Applied, CreateRoom, Outcome, PutSession, Write
from tests.conformance.places import PostgresPlace, postgres_place
from tests.signaling.waiting import PATIENCE_SECONDS

KEY = b"k" * 32
LATER = 1 << 50
WIDE = BlobLimits(1 << 40, 1_000, 1 << 40, 1_000)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PostgresPlace]:
    with postgres_place(tmp_path) as made:
        yield made


@pytest.fixture
async def stores(place: PostgresPlace) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    one, other = place.store(), place.store()
    await one.open()
    await other.open()
    await one.commit(CreateRoom("r", b"", 1), *[AddMember("r", name, "client", 1) for name in ("ann", "ben")])
    yield one, other
    await one.close()
    await other.close()
    assert await faults(place.target) == ()


Two = tuple[PostgresStore, PostgresStore]


async def outcome(store: PostgresStore, *writes: Write) -> tuple[Outcome, ...] | StoreError:
    """What came of a call, its error included."""
    try:
        return await store.commit(*writes)
    except StoreError as error:
        return error


async def all_of(stores: Two, *calls: tuple[Write, ...]) -> list[tuple[Outcome, ...] | StoreError]:
    """Every call on each of the stores, all at the same time."""
    return await asyncio.gather(*(outcome(store, *call) for call in calls for store in stores))


def errors(found: Iterable[tuple[Outcome, ...] | StoreError]) -> Counter[type[StoreError]]:
    return Counter(type(one) for one in found if isinstance(one, StoreError))


@asynccontextmanager
async def connection(place: PostgresPlace) -> AsyncIterator[Connection]:
    """A connection of somebody who takes time over a transaction."""
    db = await asyncpg.connect(place.target.url)
    try:
        yield db
    finally:
        db.terminate()


async def waiting(place: PostgresPlace, task: asyncio.Future[Any]) -> None:
    """Until somebody waits for a lock of another, or the task has not waited."""
    async with asyncio.timeout(PATIENCE_SECONDS), connection(place) as db:
        while not (  # noqa: ASYNC110 - PostgreSQL tells of it in a view, and in no other way
            task.done() or await db.fetchval("SELECT true FROM pg_locks WHERE NOT granted")
        ):
            await asyncio.sleep(0.01)


# --- The audit trail


async def test_entries_of_both_make_one_chain_and_are_there_with_what_they_tell_of(stores: Two) -> None:
    names = [f"{number}" for number in range(60)]
    entries = [
        AppendAudit(AuditEntry(1, "ann", "", "put", "doc", name, "", "", "http", "ok")) for name in names
    ]
    puts = [PutDocument("k", name, b"", expect_version=0) for name in names]
    found = await all_of(stores, *zip(entries, puts, strict=True))
    assert errors(found) == {Conflict: 60}
    one, other = stores
    records = await one.audit(after=0, limit=1_000)
    assert sorted(int(record.entry.object_id) for record in records) == [*range(60)]
    assert await chain_fault(other) is None
    assert (await other.audit_head()).sequence == 60


# --- Keys


async def listed(store: PostgresStore, device: str, prekeys: int) -> None:
    one_time = tuple([Prekey(number, b"", b"%d" % number) for number in range(1, prekeys + 1)])
    await store.commit(
        RequestDevice("ben", device, KEY, b"", 1, 9),
        PutPrekeys("ben", device, KEY, one_time, Prekey(1_000, b"", b"last"), 1_000),
        ListDevice("ben", device, KEY),
    )


def claim(number: int, *devices: str) -> ClaimPrekeys:
    return ClaimPrekeys(number.to_bytes(16, "big"), "ann", tuple(("ben", device) for device in devices), 1)


async def test_a_prekey_is_handed_out_once_and_the_oldest_first(stores: Two) -> None:
    await listed(stores[0], "b1", 50)
    await listed(stores[0], "b2", 50)
    handed: dict[str, list[int]] = {"b1": [], "b2": []}
    last = 0

    async def take(store: PostgresStore, first: int, *devices: str) -> None:
        nonlocal last
        own: dict[str, list[int]] = {"b1": [], "b2": []}
        for number in range(first, first + 30):
            (claimed,) = await store.commit(claim(number, *devices))
            assert isinstance(claimed, Claimed)
            for one in claimed.prekeys:
                last += one.last_resort
                own[one.device] += [one.id] * (not one.last_resort)
        for device, ids in own.items():
            assert ids == sorted(ids), "later claims get later ones"
            handed[device] += ids

    # The devices in either order: they are locked in one.
    one, other = stores
    await asyncio.gather(take(one, 0, "b1", "b2"), take(other, 100, "b2", "b1"))
    for ids in handed.values():
        assert sorted(ids) == [*range(1, 51)]
    assert last == 20


async def test_a_claim_repeated_elsewhere_gets_the_first_result(stores: Two) -> None:
    await listed(stores[0], "b1", 100)
    found = await all_of(stores, *[(claim(number, "b1"),) for number in range(40)])
    claims = [one[0] for one in found if not isinstance(one, StoreError)]
    assert all(isinstance(one, Claimed) for one in claims)
    given = [(one.prekeys, one.duplicate) for one in claims if isinstance(one, Claimed)]
    for first, second in zip(given[::2], given[1::2], strict=True):
        assert first[0] == second[0]
        assert {first[1], second[1]} == {False, True}
    assert len({prekeys for prekeys, _ in given}) == 40


async def test_prekeys_that_are_put_twice_at_once_are_held_once(stores: Two) -> None:
    await listed(stores[0], "b1", 0)
    puts = [
        PutPrekeys("ben", "b1", KEY, tuple([Prekey(n, b"", b"%d" % n) for n in range(1, upto)]), None, 1_000)
        for upto in range(2, 30)
    ]
    assert errors(await all_of(stores, *[(put,) for put in puts])) == {}
    stock = await stores[0].stock("ben", "b1")
    assert [number for number, _ in stock.one_time] == [*range(1, 30)][: len(stock.one_time)]
    assert stock.highest == 28


async def test_no_more_devices_ask_to_be_listed_than_may(stores: Two) -> None:
    asking = [(RequestDevice("ben", f"b{number}-{KEY[0]}", KEY, b"", 1, 5),) for number in range(20)]
    one, other = stores
    found = await asyncio.gather(
        *(outcome(one, *call) for call in asking[::2]), *(outcome(other, *call) for call in asking[1::2])
    )
    assert errors(found) == {TooMany: 15}


async def test_a_device_list_follows_the_one_it_was_made_after(stores: Two) -> None:
    await stores[0].commit(PutDeviceList("ben", 1, b"list", 0))
    for number in range(1, 10):
        found = await all_of(stores, (PutDeviceList("ben", number + 1, b"list", number),))
        assert errors(found) == {Conflict: 1}


async def test_what_is_sealed_for_an_older_list_is_refused_from_the_moment_the_new_one_stands(
    stores: Two,
) -> None:
    one, other = stores
    for number in range(1, 20, 2):
        await one.commit(PutDeviceList("ben", number, b"list", 0))
        begun = asyncio.Event()
        sending = asyncio.create_task(_send_until_outdated(other, number, begun))
        await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
        await one.commit(PutDeviceList("ben", number + 1, b"list", number))
        head = (await one.heads(["r"]))["r"].head
        assert await sending <= head, "nothing sealed for the old list behind the new one"
        await one.commit(ResetKeys("ben"))


async def _send_until_outdated(store: PostgresStore, number: int, begun: asyncio.Event) -> int:
    """Append what is sealed for a list until it is replaced: the last offset."""
    last = 0
    with suppress(Outdated):
        for count in range(1_000_000):
            mid = bytes([number]) + count.to_bytes(15, "big")
            sealing = Sealing({"ben": number})
            (done,) = await store.commit(Append("r", "ann", "a", mid, b"", 1, sealing=sealing))
            last = done.offset
            begun.set()
    return last


# --- Doorbells and what is unreceived


async def test_an_account_has_no_more_doorbells_than_it_may(stores: Two, place: PostgresPlace) -> None:
    one, other = stores
    bells = [PutDoorbell("ann", f"d{number}", "", number) for number in range(3 * DOORBELLS)]
    await asyncio.gather(
        *(one.commit(bell) for bell in bells[::2]), *(other.commit(bell) for bell in bells[1::2])
    )
    kept = [await one.doorbell("ann", bell.device) for bell in bells]
    assert sum(bell is not None for bell in kept) == DOORBELLS


async def test_what_is_committed_late_is_examined_all_the_same(stores: Two, place: PostgresPlace) -> None:
    """An event gets its number before it is committed: others with higher ones are visible earlier."""
    async with connection(place) as late, connection(place) as searcher:
        async with late.transaction():
            await late.execute("SELECT pg_current_xact_id()")
            number = await late.fetchval(
                "INSERT INTO events (room_no, offset_no, at_ms, body) VALUES (0, 1, 1, '') RETURNING seq"
            )
            await stores[0].commit(message(1))
            assert await examinable(searcher, 0, LATER, 10) < number
        assert await examinable(searcher, 0, LATER, 10) > number
        await late.execute("DELETE FROM events WHERE seq = $1", number)


def message(number: int, room: str = "r", sender: str = "ann") -> Append:
    return Append(room, sender, "d", number.to_bytes(16, "big"), b"", 1, MESSAGE)


async def test_every_event_is_examined_once_however_many_search_and_append(stores: Two) -> None:
    rooms = [f"room{number:03}" for number in range(60)]
    await stores[0].commit(
        *[CreateRoom(room, b"", 1) for room in rooms],
        *[AddMember(room, name, "client", 1) for room in rooms for name in ("ann", "ben")],
        PutDoorbell("ben", "b1", "", 1),
    )
    named: Counter[str] = Counter()

    async def append() -> None:
        await asyncio.gather(
            *(stores[number % 2].commit(message(number, room)) for number, room in enumerate(rooms))
        )

    async def search(store: PostgresStore) -> None:
        found = await store.unreceived(appended_before_ms=LATER, limit=7)
        with suppress(Conflict):
            await store.commit(NoteExamined(found))
            named.update(one.room for one in found.unreceived)

    async def search_on(store: PostgresStore) -> None:
        while named.total() < len(rooms):
            await search(store)

    await asyncio.gather(append(), *(search_on(store) for store in stores))
    for store in stores:
        await search(store)
    assert named == dict.fromkeys(rooms, 1)


async def test_a_search_goes_on_once(stores: Two) -> None:
    await stores[0].commit(PutDoorbell("ben", "b1", "", 1), message(1))
    one, other = [await store.unrung(appended_before_ms=LATER, limit=9) for store in stores]
    assert one == other
    assert one.devices == (("ben", "b1"),)
    assert errors(await all_of(stores, (NoteUnrung(one, 5),))) == {Conflict: 1}


# --- Deliveries


async def test_a_lane_has_one_first_whoever_adds_to_it_and_takes_from_it(stores: Two) -> None:
    one, other = stores
    added = asyncio.Event()
    ended: list[str] = []

    async def add(store: PostgresStore, name: str) -> None:
        for number in range(40):
            await store.commit(PutDelivery(f"{name}{number:02}", "endpoint", "lane", "t", b"", 1))

    async def deliver(store: PostgresStore) -> None:
        while True:
            last = added.is_set()
            due = await store.due_deliveries("endpoint", limit=9)
            assert len(due) <= 1, "one after another"
            for first in due:
                (done,) = await store.commit(EndDelivery(first.id, first.attempts + 1, "delivered", 2))
                ended.extend([first.id] * (done == Applied()))
            if last and not due:
                return

    async def add_all() -> None:
        await asyncio.gather(add(one, "a"), add(other, "b"))
        added.set()

    await asyncio.gather(add_all(), deliver(one), deliver(other))
    assert Counter(ended) == dict.fromkeys([f"{name}{n:02}" for name in "ab" for n in range(40)], 1)
    for name in "ab":
        own = [delivery for delivery in ended if delivery.startswith(name)]
        assert own == sorted(own)


NAMES = [f"n{number}" for number in range(6)]


def locking(kind: str, number: int, name: str) -> Write:
    """Something that locks what the name is of."""
    match kind:
        case "claims":
            return claim(number, name)
        case "deliveries":
            return PutDelivery(f"{kind}{number}", "endpoint", name, "t", b"", 1)
        case "doorbells":
            return PutDoorbell(name, f"d{number}", "", number)
        case _:
            return BeginBlob(replace(blob(number), room=name), WIDE)


@pytest.mark.parametrize("kind", ["claims", "deliveries", "doorbells", "uploads"])
async def test_nobody_waits_in_a_circle_for_what_several_calls_lock(
    stores: Two, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """PostgreSQL would notice it after a second, and the batch would be done again."""
    met: list[BaseException] = []

    def noted(error: BaseException) -> bool:
        met.append(error)
        return is_worth_another_try(error)

    monkeypatch.setattr(writer, "is_worth_another_try", noted)
    for name in NAMES:
        await listed(stores[0], name, 300)
        await stores[0].commit(CreateRoom(name, b"", 1), AddMember(name, "ann", "client", 1))
    chance = random.Random(5)
    for first in range(0, 600, 60):
        calls = [locking(kind, first + number, chance.choice(NAMES)) for number in range(60)]
        found = await asyncio.gather(
            *(outcome(stores[0], call) for call in calls[::2]),
            *(outcome(stores[1], call) for call in calls[1::2]),
        )
        assert errors(found) == {}
    assert [type(error) for error in met] == []


# --- Blobs


def blob(number: int, digest: int | None = None) -> BlobRow:
    content = (number if digest is None else digest).to_bytes(32, "big")
    return BlobRow(f"blob{number}", "r", "ann", content, 10, 1, LATER)


async def test_limits_of_blobs_hold_for_all_nodes_together(stores: Two) -> None:
    limits = BlobLimits(1 << 40, 7, 1 << 40, 1_000)
    found = await asyncio.gather(
        *(outcome(stores[number % 2], BeginBlob(blob(number), limits)) for number in range(30))
    )
    assert errors(found) == {TooMany: 23}
    assert (await stores[0].blob_totals()).uploads == 7


async def test_a_room_has_a_blob_once(stores: Two) -> None:
    uploads = [
        BlobRow(f"{account}{number}", "r", account, number.to_bytes(32, "big"), 10, 1, LATER)
        for number in range(20)
        for account in ("ann", "ben")
    ]
    for upload in uploads:
        await stores[0].commit(BeginBlob(upload, WIDE))
    found = await asyncio.gather(
        *(outcome(stores[number % 2], FinishBlob(one, LATER)) for number, one in enumerate(uploads))
    )
    assert errors(found) == {Conflict: 20}
    assert (await stores[1].blob_totals()).blobs == 20


# --- Rooms that go, holds that stay


async def test_a_room_goes_with_all_that_is_in_it_whatever_is_written_meanwhile(stores: Two) -> None:
    one, other = stores
    for number in range(10):
        room = f"gone{number}"
        await one.commit(CreateRoom(room, b"", 1), AddMember(room, "ann", "client", 1))
        await asyncio.gather(
            outcome(one, DropRoom(room, frozenset({"ann"}), (), LATER, 5)),
            *(outcome(other, message(count, room)) for count in range(5)),
            outcome(other, PutSession(a_session(f"s{number}", room), None)),
            outcome(other, SetGuests(f"s{number}", ("guest",))),
        )
        # Whatever lost the race has lost it whole: see the check of the store behind every test.
        assert await other.room(room) is None
        assert await other.session(f"s{number}") is None


def a_session(name: str, room: str) -> Session:
    return Session(name, room, 1, 2, "over", 1, b"")


async def test_a_room_waits_for_the_session_that_is_being_put_into_it(
    stores: Two, place: PostgresPlace
) -> None:
    async with connection(place) as slow:
        async with slow.transaction():
            await changes.apply(slow, stores[0].epoch, PutSession(a_session("s", "r"), None))
            drop = DropRoom("r", frozenset({"ann", "ben"}), (), LATER, 5)
            gone = asyncio.ensure_future(stores[1].commit(drop))
            await waiting(place, gone)
        await gone
    assert await stores[0].session("s") is None


async def test_nothing_goes_any_more_once_a_hold_stands(stores: Two, place: PostgresPlace) -> None:
    await stores[0].commit(*[message(count) for count in range(5)])
    found = await stores[0].purgeable("r", before_ms=LATER, anyway_ms=LATER)
    assert found is not None
    async with connection(place) as slow:
        async with slow.transaction():
            await changes.apply(slow, stores[0].epoch, Purge(found, LATER, LATER))
            held = asyncio.ensure_future(stores[1].commit(HoldAudit(AuditHold("room", "r", 1))))
            await waiting(place, held)
            assert not held.done(), "it is not said to stand while something is on its way out"
        await held
    assert errors([await outcome(stores[0], Purge(found, LATER, LATER))]) == {Conflict: 1}


async def test_a_node_is_buried_behind_what_it_is_writing(stores: Two, place: PostgresPlace) -> None:
    one, other = stores
    node = NodeRow("node", 1, 1, "1.0", "", "", 0, 0, draining=False)
    await one.commit(BeatNode(node))
    async with connection(place) as slow:
        async with slow.transaction():
            await changes.apply(slow, one.epoch, Fence("node"))
            await one.commit(BeatNode(replace(node, beat=2)))  # which nobody has to wait for
            buried = asyncio.ensure_future(other.commit(BuryNode("node", 2)))
            await waiting(place, buried)
            assert not buried.done(), "what is seen as buried has written all that it ever will"
        await buried
    again = await all_of(stores, (BeatNode(node),), (Fence("node"),))
    assert errors(again) == {NodeBuried: 4}


# --- What has versions


async def test_nobody_overwrites_what_another_has_written(stores: Two) -> None:
    async def add(store: PostgresStore) -> None:
        for _ in range(20):
            done = False
            while not done:
                now = (await store.documents("count", ["r"])).get("r", Document(0, b"0"))
                put = PutDocument("count", "r", b"%d" % (int(now.body) + 1), now.version)
                done = not isinstance(await outcome(store, put), Conflict)

    await asyncio.gather(*(add(store) for store in stores for _ in range(2)))
    assert (await stores[0].documents("count", ["r"]))["r"] == Document(80, b"80")


async def test_a_digest_is_one_accounts(stores: Two) -> None:
    for number in range(10):
        digest = number.to_bytes(32, "big")
        one, other = stores
        found = await asyncio.gather(
            outcome(one, PutCalendar(CalendarFeed(f"ann{number}", digest, 1))),
            outcome(other, PutCalendar(CalendarFeed(f"ben{number}", digest, 1))),
        )
        assert errors(found) == {Conflict: 1}

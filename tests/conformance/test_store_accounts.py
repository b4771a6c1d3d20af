"""What stays behind of accounts that leave rooms, and of those that are erased."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from relay.accounts import Departure, EraseAccount, Remains
from relay.audit_chain import AuditEntry
from relay.audit_trail import AppendAudit, AuditHold, HoldAudit, ReleaseAudit
from relay.blob_rows import BeginBlob, BlobLimits, BlobRow, FinishBlob
from relay.documents import PutDocument
from relay.errors import Conflict, NotFound
from relay.inbox import MESSAGE
from relay.keys import Claimed, ClaimPrekeys, ListDevice, Prekey, PutDeviceList, PutPrekeys, RequestDevice
from relay.push import PutDoorbell
from relay.ratings import PutRating, Rating
from relay.retention import DropRoom
from relay.rows import Member, RoomHead, Session, SessionCursor
from relay.scheduling import CalendarFeed, PutCalendar, SetGuests
from relay.store import Store
from relay.writes import Ack, AddMember, Append, Applied, CreateRoom, PutSession, RemoveMember, Revoke
from tests.conformance.places import Place

LIMITS = BlobLimits(1_000, 10, 1_000, 10)
CLAIM = b"c" * 16
ERASED = EraseAccount("ben", frozenset("r"), ("hours", "vault"), 50)
AGAIN = msgspec.structs.replace(ERASED, rooms=frozenset())


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """A store with a room of Ann and Ben."""
    store = place.store()
    await store.open()
    await store.commit(
        CreateRoom("r", b"", 1), AddMember("r", "ann", "therapist", 1), AddMember("r", "ben", "client", 2)
    )
    yield store
    await store.close()


def said(number: int, sender: str = "ben", room: str = "r") -> Append:
    return Append(room, sender, f"{sender}-1", number.to_bytes(16, "big"), b"m%d" % number, number, MESSAGE)


def session(name: str, room: str = "r") -> PutSession:
    return PutSession(Session(name, room, 10, 20, "ended", 1, b""), None)


def blob(name: str) -> BlobRow:
    return BlobRow(name, "r", "ben", name.encode().ljust(32), 5, 10, 1_000)


async def settle(store: Store) -> None:
    """Ben has everything that an account can have."""
    last = Prekey(1, b"public", b"last")
    await store.commit(
        RequestDevice("ben", "ben-1", b"key", b"name", 1, 9),
        PutPrekeys("ben", "ben-1", b"key", (Prekey(1, b"public", b"body"),), last, 9),
        ListDevice("ben", "ben-1", b"key"),
        PutDeviceList("ben", 7, b"list", 0),
        *(PutDocument(kind, name, b"own") for kind in ERASED.documents for name in ("ann", "ben")),
        PutDoorbell("ben", "ben-1", "https://push.example/1", 1),
        PutCalendar(CalendarFeed("ben", b"d" * 32, 1)),
        ClaimPrekeys(CLAIM, "ben", (("ben", "ben-1"),), 1),
        session("s"),
        *(PutRating(Rating("s", account, "clinical", b"", 30)) for account in ("ann", "ben")),
        Revoke("ben", "ben-0", 5),
    )
    for name in ("half", "whole"):
        await store.commit(BeginBlob(blob(name), LIMITS))
    await store.commit(FinishBlob(blob("whole"), 2_000))


async def test_the_rooms_that_an_account_has_left(store: Store) -> None:
    assert await store.departures_of("ben", limit=9) == ()
    await store.commit(said(1), said(2, "ann"))
    await store.commit(RemoveMember("r", "ben"))
    await store.commit(said(3, "ann"))
    gone = Departure("r", "client", 2, 2, RoomHead("r", store.epoch, 3, 1))
    assert await store.departures_of("ben", limit=9) == (gone,)
    assert await store.commit(RemoveMember("r", "ben")) == (Applied(changed=False),)
    assert await store.departures_of("ben", limit=9) == (gone,), "it has gone once"
    assert await store.departures_of("ann", limit=9) == ()
    await store.commit(AddMember("r", "ben", "guest", 9))
    assert await store.departures_of("ben", limit=9) == (), "it is back"
    await store.commit(RemoveMember("r", "ben"))
    (again,) = await store.departures_of("ben", limit=9)
    assert (again.role, again.since_ms, again.through) == ("guest", 9, 3)


async def test_they_come_in_pages_and_end_with_the_rooms(store: Store) -> None:
    for room in ("p", "q"):
        await store.commit(CreateRoom(room, b"", 1), AddMember(room, "ben", "client", 1))
        await store.commit(RemoveMember(room, "ben"))
    await store.commit(RemoveMember("r", "ben"))
    assert [one.room for one in await store.departures_of("ben", limit=2)] == ["p", "q"]
    assert [one.room for one in await store.departures_of("ben", after="q", limit=2)] == ["r"]
    await store.commit(DropRoom("q", frozenset(), (), 100, 100))
    assert [one.room for one in await store.departures_of("ben", limit=9)] == ["p", "r"]
    with pytest.raises(NotFound):
        await store.commit(AddMember("q", "ben", "client", 1))


async def test_what_is_of_an_account_alone_is_forgotten(store: Store) -> None:
    await settle(store)
    await store.commit(said(1), Ack("ben", "ben-1", "r", store.epoch, 1))
    assert await store.commit(ERASED) == (Applied(),)
    assert await store.device_lists(["ben"]) == {}
    assert await store.devices_of("ben") == ()
    for kind in ERASED.documents:
        assert set(await store.documents(kind, ["ann", "ben"])) == {"ann"}
    assert await store.doorbell("ben", "ben-1") is None
    assert await store.calendar(b"d" * 32) is None
    ratings = await store.ratings("clinical", from_ms=0, until_ms=99, limit=9)
    assert [one.account for one in ratings] == ["ann"]
    (claimed,) = await store.commit(ClaimPrekeys(CLAIM, "ben", (("ann", "ann-1"),), 60))
    assert claimed == Claimed(()), "no claim of before"
    due = await store.blobs_due(until_ms=50, limit=9)
    assert [one.id for one in due] == ["half"]
    assert await store.members("r") == (Member("ann", "therapist", 1),)
    assert await store.cursors("ben", "ben-1") == {}
    assert await store.commit(AGAIN) == (Applied(),), "it can be said again"


async def test_what_others_have_as_well_is_not(store: Store) -> None:
    await settle(store)
    await store.commit(said(1))
    mentioned = AuditEntry(1, "ann", "therapist", "x", "account", "ben", "", "", "http", "ok", "", 1)
    await store.commit(AppendAudit(mentioned), AppendAudit(mentioned), session("t"))
    remains = Remains(rooms=1, events=1, blobs=1, sessions=2, records=2)
    assert await store.remains("ben") == remains
    await store.commit(ERASED)
    assert await store.remains("ben") == remains
    page = await store.events("r", after=0, limit=9, max_bytes=99)
    assert [event.sender for event in page.events] == ["ben"]
    assert await store.revocation("ben", "ben-0") is not None
    assert (await store.stock("ben", "ben-1")).ended == 7, "lists to come have higher numbers"
    assert [one.room for one in await store.departures_of("ben", limit=9)] == ["r"]
    assert await store.remains("nobody") == Remains(0, 0, 0, 0, 0)


async def test_sessions_that_an_account_is_invited_to_remain(store: Store) -> None:
    await store.commit(session("s"), SetGuests("s", ("gil",)), session("t"))
    await store.commit(EraseAccount("gil", frozenset(), (), 1))
    assert (await store.remains("gil")).sessions == 1
    found = await store.sessions_of_account("gil", after=SessionCursor(-1, ""), before_ms=99, limit=9)
    assert [one.id for one in found] == ["s"]


async def test_the_rooms_have_to_be_known(store: Store) -> None:
    await settle(store)
    await store.commit(CreateRoom("q", b"", 1))
    for rooms in (frozenset[str](), frozenset("q"), frozenset("rq")):
        with pytest.raises(Conflict):
            await store.commit(msgspec.structs.replace(ERASED, rooms=rooms))
    assert set(await store.device_lists(["ben"])) == {"ben"}
    assert await store.departures_of("ben", limit=9) == ()


async def test_all_of_it_or_nothing(store: Store) -> None:
    """Also of what stands beside it in the same step."""
    await settle(store)
    with pytest.raises(NotFound):
        await store.commit(ERASED, CreateRoom("p", b"", 1), AddMember("x", "ben", "client", 1))
    assert {one.account for one in await store.members("r")} == {"ann", "ben"}
    assert set(await store.device_lists(["ben"])) == {"ben"}
    assert await store.room("p") is None
    assert (await store.commit(said(9), said(9)))[1].duplicate, "and the log goes on"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "name"), [("account", "ben"), ("room", "r"), ("session", "s"), ("account", "ann")]
)
async def test_a_hold_keeps_what_there_is(store: Store, kind: str, name: str) -> None:
    await settle(store)
    await store.commit(HoldAudit(AuditHold(kind, name, 1)))
    assert await store.is_held("ben")
    with pytest.raises(Conflict):
        await store.commit(ERASED)
    await store.commit(RemoveMember("r", "ben"))
    assert await store.is_held("ben"), "it has been in the room"
    with pytest.raises(Conflict):
        await store.commit(AGAIN)
    assert set(await store.device_lists(["ben"])) == {"ben"}
    await store.commit(ReleaseAudit(kind, name))
    assert not await store.is_held("ben")
    await store.commit(AGAIN)


async def test_holds_of_others_are_in_nobodys_way(store: Store) -> None:
    await store.commit(CreateRoom("q", b"", 1), AddMember("q", "cleo", "client", 1), session("s", "q"))
    for kind, name in (("room", "q"), ("account", "cleo"), ("account", "nobody")):
        await store.commit(HoldAudit(AuditHold(kind, name, 1)))
    assert not await store.is_held("ben")
    await store.commit(SetGuests("s", ("ben",)))
    assert await store.is_held("ben"), "it is invited there"

"""What of a log may be dropped for good, and what stands for it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.audit_trail import AuditHold, HoldAudit, ReleaseAudit
from relay.documents import PutDocument
from relay.errors import Conflict, NotFound, UnknownEpoch
from relay.inbox import MESSAGE, ClearFlag
from relay.keys import ListDevice, Prekey, PutDeviceList, PutPrekeys, RequestDevice, Sealing
from relay.ratings import PutRating, Rating
from relay.retention import DropRoom, Purge, Purgeable, uncut
from relay.rows import RoomHead, Session, reset_reason
from relay.store import Store
from relay.writes import (
    Ack,
    AddMember,
    Append,
    Applied,
    CreateRoom,
    PutSession,
    Reinstate,
    RemoveMember,
    Revoke,
    SetDeadline,
)
from tests.conformance.places import Place

ANYWAY = 0
"""Nothing goes that somebody has not acknowledged."""


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """A store with a room of Ann and Ben, each of whom has one device."""
    store = place.store()
    await store.open()
    members = [AddMember("r", account, "client", 1) for account in ("ann", "ben")]
    await store.commit(CreateRoom("r", b"", 1), *members)
    yield store
    await store.close()


def message(number: int, *, sender: str = "ann", room: str = "r", flagged: bool = False) -> Append:
    """A message stored at ten times its number."""
    mid = number.to_bytes(16, "big")
    return Append(room, sender, f"{sender}-1", mid, b"m%d" % number, number * 10, MESSAGE, flagged)


async def say(store: Store, *numbers: int, acked_by: tuple[str, ...] = ("ann", "ben")) -> None:
    """Messages of Ann's, which these have then acknowledged."""
    for number in numbers:
        await store.commit(message(number))
    await ack(store, *acked_by)


async def ack(store: Store, *accounts: str, through: int | None = None) -> None:
    """The first device of each has everything, or everything up to an offset."""
    offset = (await store.heads(["r"]))["r"].head if through is None else through
    for account in accounts:
        await store.commit(Ack(account, f"{account}-1", "r", store.epoch, offset))


async def found(store: Store, *, before_ms: int = 1_000, anyway_ms: int = ANYWAY) -> int | None:
    """The last offset that may go."""
    purgeable = await store.purgeable("r", before_ms=before_ms, anyway_ms=anyway_ms)
    return purgeable.through if purgeable else None


async def purge(store: Store, *, before_ms: int = 1_000, anyway_ms: int = ANYWAY) -> Purgeable:
    purgeable = await store.purgeable("r", before_ms=before_ms, anyway_ms=anyway_ms)
    assert purgeable is not None
    assert await store.commit(Purge(purgeable, before_ms, anyway_ms)) == (Applied(),)
    return purgeable


async def test_what_is_old_and_everywhere_may_go(store: Store) -> None:
    assert await found(store) is None
    await store.commit(Append("r", None, None, None, b"joined", 5))
    await say(store, 1, 2, 3)
    assert await found(store, before_ms=5) is None
    assert await found(store, before_ms=10) is None, "that is no message"
    assert await store.purgeable("r", before_ms=30, anyway_ms=0) == Purgeable("r", 3, 2, 20)
    assert await store.purgeable("x", before_ms=30, anyway_ms=0) is None


async def test_a_purge_leaves_a_count(store: Store) -> None:
    await say(store, 1, 2, 3)
    await purge(store, before_ms=25)
    assert (await store.heads(["r"]))["r"] == RoomHead("r", store.epoch, head=3, lowest=3, expired=2)
    page = await store.events("r", after=0, limit=9, max_bytes=99)
    assert (page.events, page.log.expired, reset_reason(page.log, 0, 0)) == ((), 2, "purged")
    assert [event.offset for event in (await store.events("r", after=2, limit=9, max_bytes=99)).events] == [3]
    await purge(store)
    await say(store, 4)
    room = await store.room("r")
    assert room is not None
    assert room.log == RoomHead("r", store.epoch, head=4, lowest=4, expired=3)
    assert [one.log.expired for one in await store.rooms_of("ann", limit=9)] == [3]
    assert [one.log.expired for one in await store.inbox("ann", starts_after_ms=0, over=(), limit=9)] == [3]


async def test_what_was_found_may_be_kept_by_now(store: Store) -> None:
    await say(store, 1, 2)
    purgeable = await store.purgeable("r", before_ms=1_000, anyway_ms=ANYWAY)
    assert purgeable is not None
    await store.commit(AddMember("r", "cleo", "client", 30))
    with pytest.raises(Conflict):
        await store.commit(Purge(purgeable, 1_000, ANYWAY))
    with pytest.raises(NotFound):
        await store.commit(Purge(Purgeable("x", 1, 1, 1), 1_000, ANYWAY))
    await store.commit(RemoveMember("r", "cleo"))
    twice = [store.commit(Purge(purgeable, 1_000, ANYWAY)) for _ in range(2)]
    first, second = await asyncio.gather(*twice, return_exceptions=True)
    assert first == (Applied(),)
    assert isinstance(second, Conflict)


async def test_it_waits_for_every_device_of_every_member(store: Store) -> None:
    await say(store, 1, 2, 3, acked_by=("ann",))
    assert await found(store) is None, "Ben has never been here"
    await ack(store, "ben", through=2)
    assert await found(store) == 2
    await store.commit(Ack("ben", "ben-2", "r", store.epoch, 1))
    assert await found(store) == 1
    await store.commit(AddMember("r", "cleo", "client", 50))
    assert await found(store) is None
    await store.commit(RemoveMember("r", "cleo"), RemoveMember("r", "ben"))
    assert await found(store) == 3


async def test_it_waits_for_the_devices_of_a_list_and_for_no_others(store: Store) -> None:
    await say(store, 1, 2)
    await store.commit(PutDeviceList("ben", 1, b"list", 0))
    assert await found(store) is None, "a list without any device"
    for device in ("ben-1", "ben-2"):
        last = Prekey(1, b"public", b"body")
        await store.commit(
            RequestDevice("ben", device, b"key", b"", 1, 9),
            PutPrekeys("ben", device, b"key", (), last, 9),
            ListDevice("ben", device, b"key"),
        )
    assert await found(store) is None, "the second is listed, and has nothing yet"
    await store.commit(Ack("ben", "ben-2", "r", store.epoch, 1), Ack("ben", "old", "r", store.epoch, 0))
    assert await found(store) == 1


async def test_it_does_not_wait_for_what_is_barred(store: Store) -> None:
    await say(store, 1, 2)
    await store.commit(Ack("ben", "ben-2", "r", store.epoch, 0), AddMember("r", "cleo", "client", 1))
    await store.commit(Revoke("ben", "ben-2", 1))
    assert await found(store) is None
    await store.commit(Revoke("cleo", None, 1))
    assert await found(store) == 2
    await store.commit(Reinstate("ben", "ben-2"))
    assert await found(store) is None


async def test_it_does_not_wait_for_ever(store: Store) -> None:
    await say(store, 1, 2, 3, acked_by=())
    assert await found(store, anyway_ms=20) == 1
    assert (await purge(store, before_ms=25, anyway_ms=1_000)).through == 2, "never younger than that"


async def test_a_flag_that_stands_keeps_its_message(store: Store) -> None:
    await store.commit(message(1), message(2, flagged=True), message(3))
    await ack(store, "ann", "ben")
    assert await found(store) == 1
    assert await found(store, anyway_ms=25) == 2
    await store.commit(ClearFlag("r", 2, "ben", 40))
    await purge(store)
    (entry,) = await store.inbox("ann", starts_after_ms=0, over=(), limit=9)
    assert entry.flagged == ()


@pytest.mark.parametrize(("kind", "name"), [("room", "r"), ("account", "ben"), ("session", "s")])
async def test_a_hold_keeps_everything(store: Store, kind: str, name: str) -> None:
    await store.commit(PutSession(Session("s", "r", 1, 2, "ended", 1, b""), None))
    await say(store, 1)
    await store.commit(HoldAudit(AuditHold(kind, "other", 5)))
    purgeable = await store.purgeable("r", before_ms=1_000, anyway_ms=1_000)
    assert purgeable is not None
    await store.commit(HoldAudit(AuditHold(kind, name, 5)))
    assert await found(store, anyway_ms=1_000) is None
    with pytest.raises(Conflict):
        await store.commit(Purge(purgeable, 1_000, 1_000))
    await store.commit(ReleaseAudit(kind, name))
    assert await found(store) == 1


def in_epoch(number: int, epoch: int, *, opens: bool = False, sender: str = "ann") -> Append:
    """What a device has sealed in a sender epoch, or that opens one."""
    plain = message(number, sender=sender)
    sealing = Sealing({}, epoch.to_bytes(16, "big"), opens=opens)
    kind = plain.kind if not opens else 0
    return Append(plain.room, sender, plain.device, plain.mid, plain.body, plain.at_ms, kind, sealing=sealing)


async def test_keys_stay_as_long_as_what_is_sealed_in_their_epoch(store: Store) -> None:
    await store.commit(in_epoch(1, 1, opens=True), in_epoch(2, 1))
    await store.commit(in_epoch(3, 9, opens=True, sender="ben"), in_epoch(4, 1), in_epoch(5, 9, sender="ben"))
    await store.commit(in_epoch(6, 2, opens=True), in_epoch(7, 2))
    await ack(store, "ann", "ben")
    assert await found(store, before_ms=35) is None, "two epochs go on"
    assert await found(store, before_ms=45) is None, "Ben's goes on, and began in the middle of Ann's"
    assert await found(store, before_ms=55) == 5
    assert await found(store, before_ms=65) == 5
    assert await found(store, before_ms=45, anyway_ms=25) == 2


async def test_an_epoch_whose_keys_went_is_not_open_any_more(store: Store) -> None:
    await store.commit(in_epoch(1, 1, opens=True), in_epoch(2, 1), in_epoch(3, 9, opens=True, sender="ben"))
    await ack(store, "ann", "ben")
    await purge(store, before_ms=25)
    with pytest.raises(UnknownEpoch):
        await store.commit(in_epoch(4, 1))
    await store.commit(in_epoch(4, 9, sender="ben"))
    await store.commit(in_epoch(5, 2, opens=True), in_epoch(6, 2))


async def test_mids_of_what_went_are_free_and_numbers_are_not(store: Store) -> None:
    await say(store, 1, 2)
    await purge(store)
    (again,) = await store.commit(message(1))
    assert (again.offset, again.duplicate) == (3, False)


def test_a_piece_takes_in_a_span_or_leaves_it_out() -> None:
    assert uncut(5, []) == 5
    assert uncut(5, [(6, 9), (1, 5)]) == 5
    assert uncut(5, [(5, 6)]) == 4
    assert uncut(5, [(3, 4), (4, 6)]) == 2
    assert uncut(9, [(1, 4), (4, 6), (6, 10)]) == 0


# --- Whole rooms

BOTH = frozenset({"ann", "ben"})


async def test_a_room_is_dropped_with_everything_in_it(store: Store) -> None:
    await say(store, 1, 2)
    await store.commit(
        PutSession(Session("s", "r", 1, 20, "ended", 1, b""), None),
        SetDeadline("s", "end", 20, 1),
        PutRating(Rating("s", "ann", "clinical", b"", 25)),
        PutDocument("words", "r", b"x"),
        PutDocument("hours", "r", b"x"),
        CreateRoom("q", b"", 1),
    )
    assert await store.obstacle("r", before_ms=20) == "messages"
    await purge(store)
    assert await store.obstacle("r", before_ms=20) == "sessions"
    assert await store.obstacle("r", before_ms=21) is None
    assert await store.obstacle("x", before_ms=21) is None
    write = DropRoom("r", BOTH, ("words",), 21, 99)
    assert await store.commit(write) == (Applied(),)
    assert await store.room("r") is None
    assert [one.room for one in await store.rooms(limit=9)] == ["q"]
    assert await store.heads(["r"]) == {}
    assert (await store.members("r"), await store.rooms_of("ann", limit=9)) == ((), ())
    assert (await store.session("s"), await store.sessions_of("r", limit=9)) == (None, ())
    assert await store.deadlines(due_before_ms=1_000, limit=9) == ()
    assert await store.ratings("clinical", from_ms=0, until_ms=99, limit=9) == ()
    assert (await store.documents("words", ["r"]), len(await store.documents("hours", ["r"]))) == ({}, 1)
    for refused in (store.events("r", after=0, limit=1, max_bytes=9), store.commit(message(3))):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises(NotFound):
        await store.commit(write)
    with pytest.raises(Conflict):
        await store.commit(CreateRoom("r", b"", 1))


async def test_a_room_is_not_dropped_while_something_is_against_it(store: Store) -> None:
    await say(store, 1)
    write = DropRoom("r", BOTH, (), 11, 99)
    await store.commit(HoldAudit(AuditHold("account", "ben", 5, "backend", "inquiry 7")))
    (hold,) = await store.audit_holds(limit=9)
    assert (hold.account, hold.reason) == ("backend", "inquiry 7")
    assert await store.obstacle("r", before_ms=11) == "hold"
    for wrong in (write, DropRoom("r", frozenset({"ann"}), (), 11, 99), DropRoom("r", BOTH, (), 10, 99)):
        with pytest.raises(Conflict):
            await store.commit(wrong)
        if wrong is write:
            await store.commit(ReleaseAudit("account", "ben"))
    await store.commit(write)

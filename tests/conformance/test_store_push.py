"""What every Store knows of doorbells: whom to ring, for what, and what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from relay.errors import Conflict
from relay.inbox import MESSAGE, ClearFlag
from relay.keys import PutDeviceList
from relay.push import (
    DOORBELLS,
    WAITING,
    Doorbell,
    DropDoorbell,
    DueDoorbell,
    NoteUnrung,
    PutDoorbell,
    Rung,
    SettleDoorbell,
    Unrung,
    Waits,
)
from relay.store import Store
from relay.writes import Ack, AddMember, Append, Applied, CreateRoom, RemoveMember, Revoke, Trim
from tests.conformance.places import Place
from tests.conformance.test_store import new_room
from tests.conformance.test_store_inbox import noted, said

LATE_MS = 10**9


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    await store.commit(*new_room("r"))
    await store.commit(bell("phone"), bell("laptop"))
    yield store
    await store.close()


def bell(
    device: str, account: str = "ann", endpoint: str = "https://push.example/", at_ms: int = 1
) -> PutDoorbell:
    return PutDoorbell(account, device, endpoint, at_ms)


def letter(number: int, sender: str = "ben", room: str = "r", *, flagged: bool = False) -> Append:
    """A message, sent when all were members."""
    return said(number + 10, MESSAGE, sender, room, flagged=flagged)


async def examined(store: Store, before_ms: int = LATE_MS, at_ms: int = 50) -> Unrung:
    """What is found next; noted."""
    found = await store.unrung(appended_before_ms=before_ms, limit=99)
    await store.commit(NoteUnrung(found, at_ms))
    return found


async def due(store: Store, until_ms: int = LATE_MS) -> dict[str, DueDoorbell]:
    return {one.bell.device: one for one in await store.due_doorbells(until_ms=until_ms, limit=99)}


async def ack(store: Store, device: str, offset: int, room: str = "r") -> None:
    await store.commit(Ack("ann", device, room, store.epoch, offset))


# --- Registrations


async def test_a_device_has_one_doorbell(store: Store) -> None:
    first = await store.doorbell("ann", "phone")
    assert first == Doorbell("ann", "phone", "https://push.example/", 1)
    assert await store.commit(bell("phone")) == (Applied(changed=False),)
    assert await store.doorbell("ann", "phone") == first
    assert await store.commit(bell("phone", endpoint="")) == (Applied(),)
    assert await store.doorbell("ann", "phone") == Doorbell("ann", "phone", "", 2)
    assert await store.doorbell("ben", "phone") is None


async def test_it_is_dropped_whatever_it_is_or_as_it_was_seen(store: Store) -> None:
    assert await store.commit(DropDoorbell("ann", "phone", 9)) == (Applied(changed=False),)
    assert await store.commit(DropDoorbell("ann", "phone", 1)) == (Applied(),)
    assert await store.commit(DropDoorbell("ann", "laptop")) == (Applied(),)
    assert await store.commit(DropDoorbell("ann", "laptop")) == (Applied(changed=False),)
    assert await store.doorbell("ann", "phone") is None


async def test_an_account_keeps_those_put_last(store: Store) -> None:
    for number in range(DOORBELLS):
        await store.commit(bell(f"d{number}", at_ms=2 + number))
    await store.commit(bell("phone", "ben"))
    assert await store.doorbell("ann", "phone") is None
    assert await store.doorbell("ann", "laptop") is None
    assert await store.doorbell("ann", "d0") is not None
    assert await store.doorbell("ben", "phone") is not None


# --- Whom to ring


async def test_devices_that_lack_a_message_of_others_are_found_once(store: Store) -> None:
    assert await examined(store) == Unrung(0, 0, ())
    await store.commit(letter(1), letter(2))
    await ack(store, "laptop", 2)
    found = await examined(store)
    assert (found.through > found.after, found.devices) == (True, (("ann", "phone"),))
    assert (await examined(store)).devices == ()
    assert set(await due(store, 50)) == {"phone"}
    assert await due(store, 49) == {}


async def test_what_is_young_is_examined_later(store: Store) -> None:
    await store.commit(letter(1), letter(2))
    first = await examined(store, before_ms=12_000)
    assert first.devices == (("ann", "laptop"), ("ann", "phone"))
    second = await examined(store)
    assert second.after == first.through
    assert second.through > second.after


async def test_what_rings_nobody(store: Store) -> None:
    """One's own messages, entries of the log that are none, and what came before one was a member."""
    await store.commit(letter(1, sender="ann"), noted())
    await store.commit(AddMember("r", "cleo", "client", 20_000), bell("tablet", "cleo"))
    await store.commit(letter(2, sender="ann"))
    await store.commit(RemoveMember("r", "ben"), bell("desk", "ben"))
    assert (await examined(store)).devices == ()


async def test_two_who_examine_the_same_are_told_apart(store: Store) -> None:
    await store.commit(letter(1))
    found = await examined(store)
    with pytest.raises(Conflict):
        await store.commit(NoteUnrung(found, 60))


async def test_numbers_that_are_given_again_are_examined_again(store: Store) -> None:
    await store.commit(letter(1))
    await examined(store)
    await store.commit(Trim("r", 1))
    await store.commit(letter(2))
    assert ("ann", "phone") in (await examined(store)).devices


# --- For what


async def test_what_waits_is_seen_when_it_is_looked_at(store: Store) -> None:
    await store.commit(letter(1), letter(2))
    await examined(store)
    phone = (await due(store))["phone"]
    assert (phone.waits, phone.rung, phone.attempts, phone.in_force) == (Waits("r", 1, False), None, 0, True)
    await ack(store, "phone", 1)
    assert (await due(store))["phone"].waits == Waits("r", 2, False)
    await ack(store, "phone", 2)
    assert (await due(store))["phone"].waits is None
    assert (await due(store))["laptop"].waits == Waits("r", 1, False)


async def test_a_room_with_a_flag_goes_first_until_it_is_cleared(store: Store) -> None:
    await store.commit(*new_room("s"), letter(1), letter(2, room="s", flagged=True))
    await examined(store)
    assert (await due(store))["phone"].waits == Waits("s", 1, True)
    await store.commit(ClearFlag("s", 1, "ann", 5))
    assert (await due(store))["phone"].waits == Waits("r", 1, False)


async def test_what_one_has_flagged_oneself_is_not_urgent(store: Store) -> None:
    await store.commit(letter(1), letter(2, sender="ann", flagged=True))
    await examined(store)
    assert (await due(store))["phone"].waits == Waits("r", 1, False)


async def test_only_the_newest_events_are_looked_at(store: Store) -> None:
    await store.commit(letter(1))
    await examined(store)
    await store.commit(*(noted() for _ in range(WAITING)))
    assert (await due(store))["phone"].waits is None


async def test_rooms_that_one_has_left_do_not_ring(store: Store) -> None:
    await store.commit(letter(1))
    await examined(store)
    await store.commit(RemoveMember("r", "ann"))
    assert (await due(store))["phone"].waits is None


async def test_devices_that_are_barred_or_not_listed_are_not_in_force(store: Store) -> None:
    await store.commit(letter(1))
    await examined(store)
    await store.commit(Revoke("ann", "phone", 1))
    assert {device: one.in_force for device, one in (await due(store)).items()} == {
        "phone": False,
        "laptop": True,
    }
    await store.commit(PutDeviceList("ann", 1, b"list", 0))
    assert not (await due(store))["laptop"].in_force


# --- What came of it


async def test_a_doorbell_that_was_rung_rests_until_the_device_has_come(store: Store) -> None:
    await store.commit(letter(1))
    await examined(store)
    seen, rung = (await due(store))["phone"], Rung(60, "r", 1, False)
    assert await store.commit(SettleDoorbell(seen, None, rung=rung)) == (Applied(),)
    assert set(await due(store)) == {"laptop"}
    await store.commit(letter(2))
    await examined(store, at_ms=70)
    again = (await due(store))["phone"]
    assert (again.due_ms, again.rung, again.waits) == (70, rung, Waits("r", 1, False))
    await ack(store, "phone", 1)
    assert (await due(store))["phone"].rung is None
    assert (await due(store))["phone"].waits == Waits("r", 2, False)


async def test_what_comes_while_it_is_rung_is_not_forgotten(store: Store) -> None:
    await store.commit(letter(1))
    await examined(store)
    seen = (await due(store))["phone"]
    await store.commit(letter(2))
    await examined(store, at_ms=70)
    await store.commit(SettleDoorbell(seen, None, rung=Rung(60, "r", 1, False)))
    assert (await due(store))["phone"].due_ms == 70
    assert (await due(store))["phone"].rung == Rung(60, "r", 1, False)


async def test_failed_attempts_are_counted_and_keep_their_time(store: Store) -> None:
    await store.commit(letter(1))
    await examined(store)
    await store.commit(SettleDoorbell((await due(store))["phone"], 500, attempts=1))
    await store.commit(letter(2))
    await examined(store, at_ms=70)
    assert set(await due(store, 499)) == {"laptop"}
    assert (await due(store))["phone"].attempts == 1
    await store.commit(SettleDoorbell((await due(store))["phone"], None))
    assert "phone" not in await due(store)


async def test_what_was_seen_of_another_endpoint_settles_nothing(store: Store) -> None:
    await store.commit(letter(1))
    await examined(store)
    seen = (await due(store))["phone"]
    await store.commit(bell("phone", endpoint="https://push.example/new"))
    outcomes = await store.commit(SettleDoorbell(seen, None, rung=Rung(60, "r", 1, False)))
    assert outcomes == (Applied(changed=False),)
    assert (await due(store))["phone"].rung is None


async def test_all_of_it_lasts(place: Place, store: Store) -> None:
    await store.commit(CreateRoom("s", b"", 1), Append("s", None, None, None, b"x", 1), letter(1))
    await examined(store)
    await store.commit(SettleDoorbell((await due(store))["phone"], 80, rung=Rung(60, "r", 1, True)))
    before, found = await due(store), await store.unrung(appended_before_ms=LATE_MS, limit=9)
    await store.close()
    store = place.store()
    await store.open()
    assert (await due(store), await store.unrung(appended_before_ms=LATE_MS, limit=9)) == (before, found)
    await store.close()

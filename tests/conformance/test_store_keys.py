"""What every Store does with keys: lists, devices, prekeys, claims, and sealed events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from relay.errors import Conflict, NotFound, Outdated, TooMany, UnknownEpoch
from relay.keys import (
    UNSEALED,
    Claimed,
    ClaimedPrekey,
    ClaimPrekeys,
    DeviceListRow,
    DeviceRow,
    DropDevice,
    ForgetClaims,
    ListDevice,
    NameDevice,
    Prekey,
    PutDeviceList,
    PutPrekeys,
    RequestDevice,
    ResetKeys,
    RestoreDevice,
    Sealing,
    Stock,
)
from relay.store import Store
from relay.writes import (
    AddMember,
    Append,
    Appended,
    Applied,
    CreateRoom,
    RemoveMember,
    Revoke,
    Trim,
    Write,
)
from tests.conformance.places import Place

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
EPOCH, OTHER_EPOCH = b"e" * 16, b"f" * 16


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    await store.commit(*rooms())
    yield store
    await store.close()


def rooms() -> tuple[Write, ...]:
    return (
        CreateRoom("r", b"", 1),
        CreateRoom("q", b"", 1),
        AddMember("r", "ann", "therapist", 1),
        AddMember("r", "ben", "client", 1),
        AddMember("q", "ben", "client", 1),
    )


def put_list(account: str, number: int) -> PutDeviceList:
    return PutDeviceList(account, number, b"list %d" % number, number - 1)


def request(device: str, *, key: bytes = KEY, name: bytes = b"", account: str = "ben") -> RequestDevice:
    return RequestDevice(account, device, key, name, 5, 2)


def prekey(number: int, body: bytes = b"") -> Prekey:
    return Prekey(number, b"public %d" % number, body or b"prekey %d" % number)


def put(*numbers: int, last: int | None = None, device: str = "b1", most: int = 9) -> PutPrekeys:
    one_time = tuple(prekey(number) for number in numbers)
    return PutPrekeys("ben", device, KEY, one_time, prekey(last) if last else None, most)


def claim(number: int, *devices: str, claimer: str = "ann", at_ms: int = 10) -> ClaimPrekeys:
    places = tuple(("ben", device) for device in devices)
    return ClaimPrekeys(number.to_bytes(16, "big"), claimer, places, at_ms)


def sealed(number: int, sealing: Sealing | None, *, sender: str = "ann", room: str = "r") -> Append:
    return Append(room, sender, "d", number.to_bytes(16, "big"), b"body", 9, sealing=sealing)


async def ids(store: Store, number: int, *devices: str) -> list[tuple[str, int, bool, int]]:
    """What a claim got: device, id, whether it is the last-resort one, and what is left."""
    (outcome,) = await store.commit(claim(number, *devices))
    assert isinstance(outcome, Claimed)
    return [(one.device, one.id, one.last_resort, one.left) for one in outcome.prekeys]


async def listed(store: Store, device: str = "b1", *numbers: int) -> None:
    """A listed device with these prekeys, and number 100 as its last resort."""
    await store.commit(
        request(device), put(*numbers, last=100, device=device), ListDevice("ben", device, KEY)
    )


# --- Lists and devices


async def test_a_list_follows_the_one_it_was_made_after(store: Store) -> None:
    assert await store.device_lists(["ann", "ben"]) == {}
    assert await store.commit(put_list("ben", 1)) == (Applied(),)
    for wrong in (put_list("ben", 1), put_list("ben", 3), put_list("ann", 2)):
        with pytest.raises(Conflict):
            await store.commit(wrong)
    await store.commit(put_list("ben", 2), PutDeviceList("eve", 7, b"list", 0))
    row = DeviceListRow("ben", 2, b"list 2", store.epoch)
    assert await store.device_lists(["ann", "ben"]) == {"ben": row}
    assert await store.device_lists_in("r") == await store.device_lists_in("q") == {"ben": row}
    assert await store.device_lists_in("x") == {}


async def test_devices_ask_to_be_listed(store: Store) -> None:
    await store.commit(request("b2", name=b"phone"))
    assert await store.commit(request("b2", name=b"phone")) == (Applied(changed=False),)
    assert await store.commit(request("b2", name=b"tablet")) == (Applied(),)
    await store.commit(request("b1"))
    assert await store.devices_of("ben") == (
        DeviceRow("ben", "b1", KEY, b"", listed=False, since_ms=5),
        DeviceRow("ben", "b2", KEY, b"tablet", listed=False, since_ms=5),
    )
    with pytest.raises(TooMany):
        await store.commit(request("b3"))
    await store.commit(request("a1", account="ann"), NameDevice("ben", "b2", b"book"))
    assert [one.name for one in await store.devices_of("ben")] == [b"", b"book"]
    with pytest.raises(NotFound):
        await store.commit(NameDevice("ben", "b9", b"x"))
    assert await store.commit(DropDevice("ben", "b1"), DropDevice("ben", "b1")) == (
        Applied(),
        Applied(changed=False),
    )
    await store.commit(request("b3"))


async def test_a_device_is_listed_with_its_key_and_its_last_resort(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.commit(ListDevice("ben", "b1", KEY))
    await store.commit(request("b1"), put(1))
    with pytest.raises(NotFound):
        await store.commit(ListDevice("ben", "b1", KEY))
    await store.commit(put(last=2))
    with pytest.raises(NotFound):
        await store.commit(ListDevice("ben", "b1", OTHER_KEY))
    assert await store.commit(ListDevice("ben", "b1", KEY)) == (Applied(),)
    assert await store.commit(ListDevice("ben", "b1", KEY)) == (Applied(changed=False),)
    with pytest.raises(Conflict):
        await store.commit(request("b1", key=OTHER_KEY))
    await store.commit(request("b2"), request("b3"))  # listed ones do not count among those that ask


async def test_a_device_that_a_restore_has_forgotten_is_listed_again(store: Store) -> None:
    restore = RestoreDevice("ben", "b1", KEY, 7)
    assert await store.commit(restore, restore) == (Applied(), Applied(changed=False))
    assert await store.devices_of("ben") == (DeviceRow("ben", "b1", KEY, b"", listed=True, since_ms=7),)
    assert await ids(store, 1, "b1") == []
    await store.commit(request("b1"), put(1, last=2))
    assert await ids(store, 2, "b1") == [("b1", 1, False, 0)]


async def test_a_request_with_another_key_drops_the_prekeys_of_the_first(store: Store) -> None:
    await store.commit(request("b1"), put(1, 2, last=3))
    await store.commit(request("b1", key=OTHER_KEY))
    assert await store.stock("ben", "b1") == Stock(listed=False)
    with pytest.raises(NotFound):
        await store.commit(put(4))


# --- Prekeys and claims


async def test_prekeys_are_handed_out_first_in_first_out_and_once(store: Store) -> None:
    await listed(store, "b1", 1, 2, 5)
    stock = Stock(((1, b"public 1"), (2, b"public 2"), (5, b"public 5")), 5, 100, listed=True)
    assert await store.stock("ben", "b1") == stock
    assert await ids(store, 1, "b1") == [("b1", 1, False, 2)]
    assert await ids(store, 2, "b1") == [("b1", 2, False, 1)]
    await store.commit(put(6))
    assert [await ids(store, number, "b1") for number in (3, 4, 5, 6)] == [
        [("b1", 5, False, 1)],
        [("b1", 6, False, 0)],
        [("b1", 100, True, 0)],
        [("b1", 100, True, 0)],
    ]
    assert await store.stock("ben", "b1") == Stock((), 6, 100, listed=True)


async def test_a_claim_is_answered_once_however_often_it_is_made(store: Store) -> None:
    await listed(store, "b1", 1, 2)
    (first,) = await store.commit(claim(1, "b1"))
    assert first == Claimed((ClaimedPrekey("ben", "b1", 1, b"prekey 1", last_resort=False, left=1),))
    assert isinstance(first, Claimed)
    assert await store.commit(claim(1, "b1")) == (Claimed(first.prekeys, duplicate=True),)
    with pytest.raises(Conflict):
        await store.commit(claim(1, "b1", "b2"))
    assert await store.commit(claim(1, "b1", claimer="eve")) != (first,)  # another's claim is another claim
    await store.commit(ForgetClaims(11))
    assert await ids(store, 1, "b1") == [("b1", 100, True, 0)]


async def test_one_claim_takes_of_many_devices_and_leaves_out_what_is_not_listed(store: Store) -> None:
    await listed(store, "b1", 1)
    await listed(store, "b2", 7, 8)
    await store.commit(request("b3"), put(9, last=10, device="b3"))
    assert await ids(store, 1, "b3", "b2", "b9", "b1") == [("b2", 7, False, 1), ("b1", 1, False, 0)]
    assert (await store.stock("ben", "b3")).one_time == ((9, b"public 9"),)


async def test_what_was_handed_out_cannot_be_put_again(store: Store) -> None:
    await listed(store, "b1", 1, 2)
    await ids(store, 1, "b1")
    await store.commit(put(1, 2, 3))  # as after a lost reply
    assert (await store.stock("ben", "b1")).one_time == ((2, b"public 2"), (3, b"public 3"))
    doubled = PutPrekeys("ben", "b1", KEY, (prekey(2, b"another"),), None, 9)
    with pytest.raises(Conflict):
        await store.commit(doubled)
    with pytest.raises(Conflict):
        await store.commit(PutPrekeys("ben", "b1", KEY, (prekey(4), prekey(4, b"another")), None, 9))
    assert (await store.stock("ben", "b1")).highest == 3


async def test_no_more_prekeys_are_held_than_allowed(store: Store) -> None:
    await listed(store, "b1", 1, 2)
    with pytest.raises(TooMany):
        await store.commit(put(3, 4, most=3))
    assert (await store.stock("ben", "b1")).highest == 2
    await store.commit(put(3, last=101, most=3))
    assert (await store.stock("ben", "b1")).last_resort == 101


async def test_a_claim_that_fails_beside_it_takes_nothing(store: Store) -> None:
    await listed(store, "b1", 1)
    with pytest.raises(NotFound):
        await store.commit(claim(1, "b1"), NameDevice("ben", "b9", b""))
    assert await ids(store, 1, "b1") == [("b1", 1, False, 0)]


async def test_nothing_is_handed_out_again_after_a_restore(place: Place) -> None:
    """Not even when claims are all that has happened since the backup was taken."""
    store = place.store()
    await store.open()
    await store.commit(*rooms())
    await listed(store, "b1", 1, 2)
    await store.close()
    place.back_up()
    await store.open()
    before = store.epoch
    assert await ids(store, 1, "b1") == [("b1", 1, False, 1)]
    await store.close()
    place.put_back()
    await store.open()
    assert store.epoch > before
    assert await store.stock("ben", "b1") == Stock((), 0, 100, listed=True)
    assert await ids(store, 2, "b1") == [("b1", 100, True, 0)]
    await store.commit(put(1, 2, 3))
    assert (await store.stock("ben", "b1")).one_time == tuple((n, b"public %d" % n) for n in (1, 2, 3))
    await store.close()


# --- Sealed events


async def test_a_sealed_event_is_taken_only_for_the_lists_there_are(store: Store) -> None:
    assert isinstance((await store.commit(sealed(1, UNSEALED)))[0], Appended)
    await store.commit(put_list("ben", 1))
    for wrong in ({}, {"ben": 2}, {"ann": 1}, {"ben": 1, "ann": 1}):
        with pytest.raises(Outdated):
            await store.commit(sealed(2, Sealing(wrong)))
    assert (await store.commit(sealed(2, Sealing({"ben": 1}))))[0].offset == 2
    await store.commit(put_list("ben", 2), put_list("ann", 1))
    with pytest.raises(Outdated):
        await store.commit(sealed(3, Sealing({"ben": 1})))
    await store.commit(sealed(3, Sealing({"ann": 1, "ben": 2})))
    await store.commit(sealed(4, Sealing({"ben": 2}), sender="ben", room="q"))  # Ann is not in there
    await store.commit(RemoveMember("r", "ben"))
    await store.commit(sealed(5, Sealing({"ann": 1})))
    await store.commit(AddMember("q", "ann", "therapist", 5))
    with pytest.raises(Outdated):
        await store.commit(sealed(6, Sealing({"ben": 2}), sender="ben", room="q"))


async def test_a_list_that_changes_in_the_same_batch_counts(store: Store) -> None:
    await store.commit(put_list("ben", 1))
    with pytest.raises(Outdated):
        await store.commit(put_list("ben", 2), sealed(1, Sealing({"ben": 1})))
    await store.commit(put_list("ben", 2), sealed(1, Sealing({"ben": 2})))


async def test_repeating_a_sealed_event_gives_the_first_result_whatever_has_changed(store: Store) -> None:
    (first,) = await store.commit(sealed(1, UNSEALED))
    await store.commit(put_list("ben", 1))
    (again,) = await store.commit(sealed(1, UNSEALED))
    assert (again.offset, again.duplicate, again.differs) == (first.offset, True, False)


async def test_a_device_speaks_in_the_epoch_that_it_opened_last(store: Store) -> None:
    def in_epoch(number: int, epoch: bytes, *, opens: bool = False, sender: str = "ann") -> Append:
        return sealed(number, Sealing({}, epoch, opens=opens), sender=sender)

    with pytest.raises(UnknownEpoch):
        await store.commit(in_epoch(1, EPOCH))
    await store.commit(in_epoch(1, EPOCH, opens=True))
    await store.commit(in_epoch(2, EPOCH))
    with pytest.raises(UnknownEpoch):
        await store.commit(in_epoch(3, EPOCH, sender="ben"))
    await store.commit(in_epoch(3, OTHER_EPOCH, opens=True))
    with pytest.raises(UnknownEpoch):
        await store.commit(in_epoch(4, EPOCH))
    await store.commit(in_epoch(4, OTHER_EPOCH))
    await store.commit(in_epoch(1, EPOCH, opens=True))  # a repetition opens nothing
    await store.commit(in_epoch(5, OTHER_EPOCH))
    await store.commit(Trim("r", 5), CreateRoom("other", b"", 1), in_epoch(6, OTHER_EPOCH))


async def test_who_is_removed_from_a_room_opens_a_new_epoch_when_they_are_back(store: Store) -> None:
    await store.commit(sealed(1, Sealing({}, EPOCH, opens=True)))
    await store.commit(RemoveMember("r", "ann"), AddMember("r", "ann", "therapist", 5))
    with pytest.raises(UnknownEpoch):
        await store.commit(sealed(2, Sealing({}, EPOCH)))


async def test_an_epoch_that_was_not_appended_is_not_open(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.commit(sealed(1, Sealing({}, EPOCH, opens=True)), NameDevice("ben", "b9", b""))
    with pytest.raises(UnknownEpoch):
        await store.commit(sealed(2, Sealing({}, EPOCH)))


async def test_a_reset_forgets_the_keys_of_an_account_but_not_how_far_its_lists_had_come(
    store: Store,
) -> None:
    await listed(store, "b1", 1)
    await store.commit(put_list("ben", 1), put_list("ann", 1), request("a1", account="ann"))
    numbers = {"ann": 1, "ben": 1}
    await store.commit(sealed(1, Sealing(numbers, EPOCH, opens=True)))
    assert await store.commit(ResetKeys("ben"), ResetKeys("ben")) == (Applied(), Applied(changed=False))
    assert await store.device_lists(["ann", "ben"]) == {
        "ann": DeviceListRow("ann", 1, b"list 1", store.epoch)
    }
    assert await store.devices_of("ben") == ()
    assert await store.device_lists_in("r") == {"ann": DeviceListRow("ann", 1, b"list 1", store.epoch)}
    assert await store.stock("ben", "b1") == Stock(ended=1)
    assert len(await store.devices_of("ann")) == 1
    with pytest.raises(Outdated):
        await store.commit(sealed(2, Sealing(numbers, EPOCH)))
    with pytest.raises(Conflict):
        await store.commit(put_list("ben", 1))
    await store.commit(put_list("ben", 2))
    assert await store.stock("ben", "b1") == Stock(number=2)
    with pytest.raises(Outdated):
        await store.commit(sealed(2, Sealing(numbers, EPOCH)))
    await store.commit(sealed(2, Sealing({"ann": 1, "ben": 2}, EPOCH)))


async def test_a_stock_tells_of_the_account_too(store: Store) -> None:
    await store.commit(request("b1"), request("b2"), put_list("ben", 1))
    assert await store.stock("ben", "b1") == Stock(listed=False, number=1, pending=1)
    assert await store.stock("ben", "b9") == Stock(number=1, pending=2)


async def test_nothing_is_handed_out_of_a_device_that_is_barred(store: Store) -> None:
    await listed(store, "b1", 1)
    await listed(store, "b2", 1)
    await store.commit(Revoke("ben", "b1", 3))
    assert await ids(store, 1, "b1", "b2") == [("b2", 1, False, 0)]
    await store.commit(Revoke("ben", None, 3))
    assert await ids(store, 2, "b1", "b2") == []


async def test_revocations_of_several_accounts(store: Store) -> None:
    await store.commit(Revoke("ben", "b1", 3), Revoke("ann", None, 4), Revoke("eve", "e", 5))
    found = [(one.account, one.device) for one in await store.revocations_of(["ann", "ben"])]
    assert found == [("ann", None), ("ben", "b1")]


async def test_keys_are_kept(place: Place) -> None:
    store = place.store()
    await store.open()
    await store.commit(*rooms())
    await listed(store, "b1", 1, 2)
    await store.commit(put_list("ben", 1), sealed(1, Sealing({"ben": 1}, EPOCH, opens=True)))
    await ids(store, 1, "b1")
    await store.close()
    await store.open()
    assert (await store.stock("ben", "b1")).one_time == ((2, b"public 2"),)
    assert await ids(store, 1, "b1") == [("b1", 1, False, 1)]  # the first result once more
    await store.commit(sealed(2, Sealing({"ben": 1}, EPOCH)))
    await store.close()

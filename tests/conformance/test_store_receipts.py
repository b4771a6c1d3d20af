"""What every Store knows of how far the members of a room have received and read its log."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from relay.keys import PutDeviceList, RestoreDevice
from relay.receipts import Receipt
from relay.store import Store
from relay.writes import Ack, MarkRead, Reinstate, RemoveMember, Revoke
from tests.conformance.places import Place
from tests.conformance.test_store import new_room
from tests.conformance.test_store_inbox import said


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    for room in ("r", "s"):
        await store.commit(*new_room(room))
    await store.commit(*(said(number, 1) for number in (1, 2, 3)), said(4, 1, room="s"))
    yield store
    await store.close()


def acked(store: Store, device: str, offset: int, account: str = "ann", room: str = "r") -> Ack:
    return Ack(account, device, room, store.epoch, offset)


def stands(read: int, *devices: tuple[str, int]) -> Receipt:
    return Receipt("ann", "therapist", read, devices)


async def anns(store: Store) -> Receipt:
    ann, ben = await store.receipts("r")
    assert ben == Receipt("ben", "client", 0, ())
    return ann


async def test_nothing_received(store: Store) -> None:
    assert await anns(store) == stands(0)
    assert await store.receipts("nowhere") == ()


async def test_each_device_and_the_account_have_their_own_place(store: Store) -> None:
    await store.commit(
        acked(store, "phone", 3),
        acked(store, "laptop", 1),
        acked(store, "phone", 1, room="s"),
        MarkRead("ann", "r", store.epoch, 2),
    )
    assert await anns(store) == stands(2, ("laptop", 1), ("phone", 3))


async def test_who_is_no_member_is_not_there(store: Store) -> None:
    await store.commit(acked(store, "phone", 3))
    await store.commit(RemoveMember("r", "ann"))
    assert [one.account for one in await store.receipts("r")] == ["ben"]


async def test_devices_that_are_barred_are_left_out(store: Store) -> None:
    await store.commit(acked(store, "phone", 3), acked(store, "laptop", 1))
    await store.commit(Revoke("ann", "phone", 1))
    assert await anns(store) == stands(0, ("laptop", 1))
    await store.commit(Revoke("ann", None, 1))
    assert await anns(store) == stands(0)
    await store.commit(Reinstate("ann", None), Reinstate("ann", "phone"))
    assert await anns(store) == stands(0, ("laptop", 1), ("phone", 3))


async def test_devices_that_are_not_listed_are_left_out(store: Store) -> None:
    await store.commit(acked(store, "phone", 3), acked(store, "laptop", 1))
    await store.commit(PutDeviceList("ann", 1, b"list", 0), RestoreDevice("ann", "phone", b"k" * 32, 1))
    assert await anns(store) == stands(0, ("phone", 3))

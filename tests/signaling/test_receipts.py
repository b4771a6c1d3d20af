"""What others see of one's receiving and reading, over real connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.signaling.door_client import DoorClient, Frame, door_client
from tests.signaling.door_server import DoorServer

People = dict[str, DoorClient]
ALL: dict[str, Any] = {"typing": True, "receipts": True, "delivered": True}
NONE: dict[str, Any] = {"typing": False, "receipts": False, "delivered": False}


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    """A therapist, and a client with two devices, in the room ``a``."""
    server = DoorServer(tmp_path / "door.db")
    await server.start()
    await server.room("a", "anna", "ben")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        found = {}
        for account, device in (("anna", "desk"), ("ben", "phone"), ("ben", "laptop")):
            client = await stack.enter_async_context(door_client(server.url))
            await client.hello(server.token(account, "therapist" if account == "anna" else "client"), device)
            found[device] = client
        yield found


async def seen_by(client: DoorClient, account: str) -> Frame:
    """What ``room.receipts`` says of an account."""
    result = (await client.request("room.receipts", room="a"))["result"]
    (told,) = [one for one in result["members"] if one["account"] == account]
    return dict(told)


def delivered(device: str, offset: int) -> Callable[[Frame], bool]:
    def says(frame: Frame) -> bool:
        body = frame.get("body", {})
        if frame["op"] != "signal" or body["kind"] != "delivered":
            return False
        return (body["device"], body["offset"]) == (device, offset)

    return says


async def received(client: DoorClient) -> Frame:
    """Receive the next message of the room and acknowledge it."""
    event = await client.expect(lambda frame: frame["op"] == "event" and "sender" in frame)
    await client.ack(event)
    return event


async def test_what_is_shown_by_default(people: People) -> None:
    desk, phone = people["desk"], people["phone"]
    assert await seen_by(desk, "ben") == {"account": "ben", "read": 0}
    assert await seen_by(phone, "anna") == {"account": "anna"}
    assert await seen_by(phone, "ben") == {"account": "ben", "read": 0, "devices": []}, "one's own in full"


async def test_a_sender_sees_each_device_receive_it_where_the_receiver_allows_that(people: People) -> None:
    desk, phone, laptop = people["desk"], people["phone"], people["laptop"]
    await phone.request("preferences.set", **ALL)
    offset = (await desk.message("a", b"x"))["result"]["offset"]
    await received(phone)
    first = await desk.expect(delivered("phone", offset))
    assert (first["room"], first["sender"]) == ("a", "ben")
    assert (await seen_by(desk, "ben"))["devices"] == [{"device": "phone", "offset": offset}]
    await received(laptop)
    await desk.expect(delivered("laptop", offset))
    assert (await seen_by(desk, "ben"))["devices"] == [
        {"device": "laptop", "offset": offset},
        {"device": "phone", "offset": offset},
    ]
    await phone.request("room.read", room="a", offset=offset)
    assert (await desk.expect(lambda f: f.get("body", {}).get("kind") == "read"))["sender"] == "ben"
    assert (await seen_by(desk, "ben"))["read"] == offset


async def test_whoever_does_not_allow_it_is_silent(people: People) -> None:
    """The therapist's own device acknowledges last: when the client hears of that, all before was told."""
    desk, phone, laptop = people["desk"], people["phone"], people["laptop"]
    await phone.request("preferences.set", **NONE)
    await laptop.message("a", b"x")
    hidden = await received(phone)
    await phone.request("room.read", room="a", offset=hidden["offset"])
    await received(desk)
    await desk.request("preferences.set", **ALL)
    await laptop.message("a", b"y")
    last = await received(desk)
    await phone.expect(delivered("desk", last["offset"]))
    signals = [frame["body"] for frame in desk.seen if frame["op"] == "signal"]
    assert not [body for body in signals if body["kind"] == "read" or body.get("device") == "phone"]
    assert await seen_by(desk, "ben") == {"account": "ben"}


async def test_a_choice_holds_from_then_on(people: People) -> None:
    desk, phone = people["desk"], people["phone"]
    await phone.request("preferences.set", **ALL)
    offset = (await desk.message("a", b"x"))["result"]["offset"]
    await received(phone)
    await desk.expect(delivered("phone", offset))
    await phone.request("preferences.set", **NONE)
    assert await seen_by(desk, "ben") == {"account": "ben"}


async def test_who_is_not_in_the_room_learns_nothing(people: People) -> None:
    assert (await people["phone"].request("room.receipts", room="b"))["name"] == "no_such_room"
    assert (await people["phone"].request("room.receipts", room=""))["name"] == "invalid_field"

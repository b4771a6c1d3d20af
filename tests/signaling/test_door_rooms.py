"""Rooms over real sockets: messages, acknowledgements, resuming, members that come and go, signals."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from protocol.codec import encode_body
from protocol.events import MemberBody
from protocol.signals import Reoffer
from relay.rows import Cursor
from relay.writes import Append, Trim
from tests.signaling.door_client import JSON, DoorClient, Frame, door_client, new_mid
from tests.signaling.door_server import DoorServer, door_server
from tests.signaling.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DoorServer]:
    async with door_server(tmp_path / "s.db") as server:
        await server.room("r", "ann", "ben")
        yield server


async def come(
    client: DoorClient, server: DoorServer, account: str, device: str = "d1", **more: object
) -> Frame:
    """Say hello, and read until the only room is caught up."""
    welcome = await client.hello(server.token(account), device, **more)
    assert welcome["op"] == "welcome", welcome
    await client.op("caught_up")
    return welcome


def texts(events: list[Frame]) -> list[object]:
    return [event["body"].get("data") for event in events]


async def cursor(server: DoorServer, account: str, device: str, room: str = "r") -> int:
    stored = (await server.store.cursors(account, device)).get(room)
    return stored.offset if stored else 0


# --- Messages ---


async def test_a_message_reaches_every_device_of_every_member(server: DoorServer) -> None:
    async with (
        door_client(server.url) as ann,
        door_client(server.url) as ben,
        door_client(server.url, JSON) as tablet,
    ):
        await come(ann, server, "ann")
        await come(ben, server, "ben", "phone")
        await come(tablet, server, "ben", "tablet")
        mid = new_mid()
        sent = (await ann.message("r", b"\x00hello\xff", mid))["result"]
        assert (sent["of"], sent["offset"]) == ("message.send", 3)
        for client in (ann, ben, tablet):
            (event,) = [event for event in await client.events("r", 3) if event["offset"] == 3]
            assert (event["sender"], event["device"], event["at_ms"]) == ("ann", "d1", sent["at_ms"])
            data = event["body"]["data"]
            assert (base64.b64decode(data) if client.json else data) == b"\x00hello\xff"


async def test_messages_of_a_connection_keep_their_order(server: DoorServer) -> None:
    async with door_client(server.url) as ann, door_client(server.url) as ben:
        await come(ann, server, "ann")
        await come(ben, server, "ben")
        await ben.events("r", 2)
        for number in range(80):
            frame = {
                "op": "message.send",
                "id": number,
                "room": "r",
                "mid": new_mid(),
                "data": b"%d" % number,
            }
            await ann.send(frame)
        events = await ben.events("r", 80)
        assert texts(events) == [b"%d" % number for number in range(80)]
        assert [event["offset"] for event in events] == list(range(3, 83))
        replies = [await ann.op("ok") for _ in range(80)]
        assert {reply["id"]: reply["result"]["offset"] for reply in replies} == {n: n + 3 for n in range(80)}


async def test_a_repeated_message_is_stored_once(server: DoorServer) -> None:
    async with door_client(server.url) as ann:
        await come(ann, server, "ann")
        mid = new_mid()
        first = await ann.message("r", b"once", mid)
        again = await ann.message("r", b"once", mid)
        assert again["result"] == first["result"] | {"duplicate": True}
        other = await ann.message("r", b"other", mid)
        assert (other["op"], other["name"]) == ("error", "mid_differs")
        assert (await ann.request("room.get", room="r"))["result"]["head"] == 3


async def test_a_room_one_is_not_in_answers_like_none(server: DoorServer) -> None:
    await server.room("secret", "cara")
    async with door_client(server.url) as ann:
        await come(ann, server, "ann")
        about: list[tuple[str, Frame]] = [
            ("message.send", {"mid": new_mid(), "data": b"x"}),
            ("room.get", {}),
            ("room.history", {}),
            ("room.read", {"offset": 1}),
            ("signal.send", {"body": {"kind": "typing", "active": True}}),
        ]
        for op, fields in about:
            answers = [await ann.request(op, room=room, **fields) for room in ("secret", "nowhere")]
            assert answers[0]["name"] == "no_such_room", op
            assert answers[0] | {"id": 0} == answers[1] | {"id": 0}


async def test_a_token_for_one_room_reaches_no_other(server: DoorServer) -> None:
    await server.room("s", "ann", "ben")
    async with door_client(server.url) as ann:
        welcome = await ann.hello(server.token("ann", room="s"))
        assert [room["room"] for room in welcome["rooms"]] == ["s"]
        await ann.op("caught_up")
        assert (await ann.message("r", b"x"))["name"] == "token_scope"
        assert (await ann.request("room.get", room="r"))["name"] == "token_scope"
        await server.rooms.append("r", MemberBody("x", "guest", "added"))
        await server.rooms.add_member("r", "ann", "guest")
        assert (await ann.message("s", b"x"))["op"] == "ok"
        await ann.events("s", 3)
        assert not [frame for frame in ann.seen if frame.get("room") == "r"]


async def test_a_token_for_one_session_reaches_no_other(server: DoorServer) -> None:
    async with door_client(server.url) as ann:
        await ann.hello(server.token("ann", session="r/1"))
        assert (await ann.request("session.join", session="r/1"))["op"] == "ok"
        assert (await ann.request("session.join", session="r/2"))["name"] == "token_scope"
        assert (await ann.request("media.offer", session="r/2", sdp="v=0"))["name"] == "token_scope"
        assert server.sessions.asked == [("join", "r/1")]


async def test_the_chat_of_a_session_is_for_who_has_joined_it(server: DoorServer) -> None:
    async with door_client(server.url) as ann:
        await come(ann, server, "ann")
        assert (await ann.message("r", b"x", session="r/1"))["name"] == "not_joined"
        await ann.request("session.join", session="r/1")
        assert (await ann.message("r", b"x", session="r/1"))["op"] == "ok"
        assert (await ann.message("elsewhere", b"x", session="r/1"))["name"] == "not_joined"
        (event,) = [event for event in await ann.events("r", 3) if event["offset"] == 3]
        assert event["body"]["session"] == "r/1"
        await ann.request("session.leave", session="r/1")
        assert (await ann.message("r", b"x", session="r/1"))["name"] == "not_joined"


async def test_requests_about_sessions_go_to_them(server: DoorServer) -> None:
    async with door_client(server.url) as ann:
        await come(ann, server, "ann")
        for op in ("get", "join", "leave", "end"):
            assert (await ann.request(f"session.{op}", session="r/1"))["result"]["session"] == "r/1"
        assert (await ann.request("session.get", session="none"))["name"] == "no_such_session"
        assert (await ann.request("media.leave", session="r/1"))["op"] == "ok"
        assert [what for what, _ in server.sessions.asked] == ["get", "join", "leave", "end", "get"]


async def test_history_is_paged_by_count_and_by_size(server: DoorServer) -> None:
    async with door_client(server.url) as ann:
        await come(ann, server, "ann")
        for number in range(8):
            await ann.message("r", bytes([number]) * 60_000)
        page = (await ann.request("room.history", room="r", after=1, limit=3))["result"]
        assert [event["offset"] for event in page["events"]] == [2, 3, 4]
        assert (page["head"], page["lowest"]) == (10, 1)
        page = (await ann.request("room.history", room="r", after=2))["result"]
        assert 1 <= len(page["events"]) <= 4
        for number in range(100, 120):
            await ann.send({"op": "room.history", "id": number, "room": "r", "after": 2})
        pages = [(await ann.op("ok"))["result"]["events"] for _ in range(20)]
        assert {tuple(event["offset"] for event in page) for page in pages} == {(3, 4, 5, 6)}


async def test_how_far_an_account_has_read_is_shown_on_its_other_devices(server: DoorServer) -> None:
    async with door_client(server.url) as phone, door_client(server.url) as tablet:
        await come(phone, server, "ann", "phone")
        assert (await phone.request("room.read", room="r", offset=2))["op"] == "ok"
        assert (await phone.request("room.read", room="r", offset=9))["name"] == "beyond_head"
        welcome = await come(tablet, server, "ann", "tablet")
        assert welcome["rooms"][0]["read"] == 2


# --- Acknowledging and resuming ---


async def test_acknowledged_events_do_not_come_again(server: DoorServer) -> None:
    async with door_client(server.url) as ben:
        await come(ben, server, "ben")
        events = await ben.events("r", 2)
        await ben.ack(events[0])
    async with door_client(server.url) as ben:
        welcome = await come(ben, server, "ben")
        assert welcome["rooms"][0]["cursor"] == 1
        assert [event["offset"] for event in await ben.events("r", 1)] == [2]
    await until(lambda: server.hub.stats().connections == 0)
    await server.door.stop()
    assert await cursor(server, "ben", "d1") == 1


async def test_what_came_while_a_device_was_away_comes_first_and_then_what_is_new(server: DoorServer) -> None:
    async with door_client(server.url) as ann:
        await come(ann, server, "ann")
        async with door_client(server.url) as ben:
            await come(ben, server, "ben")
            seen = await ben.events("r", 2)
            ben.socket.transport.abort()
        for number in range(30):
            await ann.message("r", b"away %d" % number)
        async with door_client(server.url) as ben:
            position = {"epoch": seen[-1]["epoch"], "offset": seen[-1]["offset"]}
            sending = asyncio.create_task(ann.message("r", b"live"))
            await ben.hello(server.token("ben"), rooms={"r": position})
            events = await ben.events("r", 31)
            await sending
            assert [event["offset"] for event in events] == list(range(3, 34))
            assert texts(events)[-1] == b"live"
            caught_up = await ben.op("caught_up")
            assert caught_up["offset"] in {32, 33}


async def test_the_position_in_hello_goes_before_the_stored_cursor(server: DoorServer) -> None:
    async with door_client(server.url) as ben:
        await come(ben, server, "ben")
        await ben.ack((await ben.events("r", 2))[1])
    async with door_client(server.url) as ben:
        await come(ben, server, "ben", rooms={"r": {"epoch": server.store.epoch, "offset": 0}})
        assert [event["offset"] for event in await ben.events("r", 2)] == [1, 2]


@pytest.mark.parametrize(
    ("epoch", "offset", "reason"), [(-1, 1, "epoch"), (0, 99, "beyond_head"), (0, 1, "purged")]
)
async def test_a_place_that_does_not_exist_is_reset(
    server: DoorServer, epoch: int, offset: int, reason: str
) -> None:
    await server.rooms.append("r", MemberBody("x", "guest", "added"))
    if reason == "purged":
        await server.store.commit(Trim("r", 2))
    async with door_client(server.url) as ben:
        position = {"epoch": server.store.epoch + epoch, "offset": offset}
        await ben.hello(server.token("ben"), rooms={"r": position})
        reset = await ben.op("reset")
        lowest = 3 if reason == "purged" else 1
        assert (reset["reason"], reset["lowest"], reset["epoch"]) == (reason, lowest, server.store.epoch)
        events = await ben.events("r", 4 - lowest)
        assert [event["offset"] for event in events] == list(range(lowest, 4))
        assert (await ben.op("caught_up"))["offset"] == 3


async def test_no_more_is_sent_ahead_than_announced(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db", unacked_events=8) as server, door_client(server.url) as ben:
        await server.room("r", "ann", "ben")
        for number in range(40):
            await server.rooms.append("r", MemberBody(f"x{number}", "guest", "added"))
        await ben.hello(server.token("ben"))
        received: list[Frame] = []
        while len(received) < 42:
            received.append((await ben.events("r", 1))[0])
            if len(received) % 8 == 0:
                await ben.request("time.get")
                assert not [frame for frame in ben.seen if frame["op"] == "event"], "more than the window"
                await ben.ack(received[-1])
        assert [event["offset"] for event in received] == list(range(1, 43))
        assert (await ben.op("caught_up"))["offset"] == 42


async def test_to_acknowledge_what_was_never_sent_ends_the_connection(server: DoorServer) -> None:
    async with door_client(server.url) as ben:
        await come(ben, server, "ben")
        await ben.send({"op": "ack", "room": "nowhere", "epoch": 1, "offset": 99})
        await ben.send({"op": "ack", "room": "r", "epoch": 1, "offset": 99})
        assert (await ben.request("time.get"))["op"] == "ok"
        await ben.send({"op": "ack", "room": "r", "epoch": server.store.epoch, "offset": 99})
        assert await ben.close_code() == 4501
        assert ben.seen[-1]["name"] == "beyond_head"


async def test_pings_carry_the_heads_of_what_is_not_acknowledged(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db", ping_seconds=0.1) as server, door_client(server.url) as ben:
        await server.room("r", "ann", "ben")
        await server.room("s", "ann", "ben")
        await ben.hello(server.token("ben"))
        await ben.ack((await ben.events("s", 2))[1])
        await ben.events("r", 2)
        pings = [await ben.op("ping") for _ in range(2)]
        assert pings[-1]["heads"] == {"r": 2}


async def test_what_the_bus_has_lost_comes_with_the_next_look_at_the_heads(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db", ping_seconds=0.2) as server, door_client(server.url) as ben:
        await server.room("r", "ann", "ben")
        await come(ben, server, "ben")
        await ben.events("r", 2)
        quiet = Append("r", None, None, None, encode_body(MemberBody("x", "guest", "added")), 1)
        await server.store.commit(quiet)  # and nobody is told
        assert (await ben.events("r", 1))[0]["offset"] == 3
        await server.store.commit(quiet)
        await server.rooms.append("r", MemberBody("y", "guest", "added"))
        assert [event["offset"] for event in await ben.events("r", 2)] == [4, 5]


async def test_two_devices_each_have_their_own_place(server: DoorServer) -> None:
    async with door_client(server.url) as phone:
        await come(phone, server, "ben", "phone")
        await phone.ack((await phone.events("r", 2))[1])
    async with door_client(server.url) as phone, door_client(server.url) as tablet:
        assert (await come(phone, server, "ben", "phone"))["rooms"][0]["cursor"] == 2
        assert (await come(tablet, server, "ben", "tablet"))["rooms"][0]["cursor"] == 0
        assert len(await tablet.events("r", 2)) == 2
        assert not [frame for frame in phone.seen if frame["op"] == "event"]


# --- Members that come and go ---


async def test_who_is_added_gets_the_room_while_connected(server: DoorServer) -> None:
    async with door_client(server.url) as cara, door_client(server.url) as ann:
        assert (await cara.hello(server.token("cara")))["rooms"] == []
        await come(ann, server, "ann")
        await server.rooms.add_member("r", "cara", "guest")
        events = await cara.events("r", 3)
        assert events[-1]["body"] == {"kind": "member", "account": "cara", "role": "guest", "change": "added"}
        assert (await cara.op("caught_up"))["room"] == "r"
        await ann.message("r", b"welcome")
        assert texts(await cara.events("r", 1)) == [b"welcome"]
        assert (await cara.message("r", b"thanks"))["op"] == "ok"


async def test_who_is_removed_is_told_and_gets_nothing_more(server: DoorServer) -> None:
    async with door_client(server.url) as ann, door_client(server.url) as ben:
        await come(ann, server, "ann")
        await come(ben, server, "ben")
        await ben.events("r", 2)
        await server.rooms.remove_member("r", "ben")
        assert (await ben.op("removed"))["room"] == "r"
        await ann.message("r", b"not for ben")
        await ann.request("signal.send", room="r", body={"kind": "typing", "active": True})
        assert (await ben.message("r", b"x"))["name"] == "no_such_room"
        await ben.request("time.get")
        assert [
            frame for frame in ben.seen if frame.get("room") == "r" and frame["op"] in {"event", "signal"}
        ] == []
        assert (await ann.request("room.get", room="r"))["result"]["members"] == [
            {"account": "ann", "role": "therapist", "online": True}
        ]


async def test_who_is_removed_and_added_again_starts_anew(server: DoorServer) -> None:
    async with door_client(server.url) as ben:
        await come(ben, server, "ben")
        await ben.ack((await ben.events("r", 2))[1])
        await server.rooms.remove_member("r", "ben")
        await server.rooms.add_member("r", "ben", "client")
        await server.rooms.remove_member("r", "ben")
        await server.rooms.add_member("r", "ben", "client")
        offsets, removals = [0], 0
        while offsets[-1] < 6:
            frame = await ben.receive()
            if frame["op"] == "removed":
                offsets, removals = [0], removals + 1
            elif frame["op"] == "event":
                offsets.append(frame["offset"])
        assert (offsets, removals) == ([0, 1, 2, 3, 4, 5, 6], 2)


async def test_changes_during_the_hello_are_not_missed(server: DoorServer) -> None:
    await server.room("s", "ann", "ben")
    reading, go_on = asyncio.Event(), asyncio.Event()
    cursors = server.store.cursors

    async def slow_cursors(account: str, device: str) -> Mapping[str, Cursor]:
        reading.set()  # the rooms have been read
        await go_on.wait()
        return await cursors(account, device)

    server.store.cursors = slow_cursors  # type: ignore[method-assign]
    async with door_client(server.url) as ben:
        greeting = asyncio.create_task(ben.hello(server.token("ben")))
        await reading.wait()
        await server.rooms.remove_member("r", "ben")
        await server.rooms.create("t", b"", [("ben", "client")])
        await server.rooms.append("s", MemberBody("x", "guest", "added"))
        go_on.set()
        assert {room["room"] for room in (await greeting)["rooms"]} == {"r", "s"}
        assert (await ben.op("removed"))["room"] == "r"
        assert [event["offset"] for event in await ben.events("s", 3)] == [1, 2, 3]
        assert [event["offset"] for event in await ben.events("t", 1)] == [1]
        await ben.request("time.get")
        assert not [frame for frame in ben.seen if frame["op"] == "event" and frame["offset"] > 2]


async def test_a_device_that_asks_for_a_room_it_is_not_in_is_told(server: DoorServer) -> None:
    position = {"epoch": server.store.epoch, "offset": 2}
    async with door_client(server.url) as cara:
        await cara.hello(server.token("cara"), rooms={"r": position, "nowhere": position})
        assert {(await cara.op("removed"))["room"] for _ in range(2)} == {"r", "nowhere"}


# --- Signals ---


async def test_signals_reach_the_others_who_are_connected(server: DoorServer) -> None:
    async with (
        door_client(server.url) as ann,
        door_client(server.url) as ben,
        door_client(server.url, JSON) as tablet,
    ):
        await come(ann, server, "ann")
        await come(ben, server, "ben")
        await come(tablet, server, "ben", "tablet")
        await ann.request("signal.send", room="r", body={"kind": "opaque", "data": b"\x01"})
        for client in (ben, tablet):
            signal = await client.expect(
                lambda frame: frame["op"] == "signal" and frame["body"]["kind"] == "opaque"
            )
            assert (signal["room"], signal["sender"]) == ("r", "ann")
        await ann.request("time.get")
        assert not [frame for frame in ann.seen if frame.get("sender") == "ann" and frame["op"] == "signal"]


async def test_the_first_device_that_comes_and_the_last_that_goes_are_told(server: DoorServer) -> None:
    def presence(frame: Frame) -> bool:
        return bool(frame["op"] == "signal" and frame["body"]["kind"] == "presence")

    async with door_client(server.url) as ann:
        await come(ann, server, "ann")
        async with door_client(server.url) as phone, door_client(server.url) as tablet:
            await come(phone, server, "ben", "phone")
            first = await ann.expect(presence)
            assert (first["room"], first["sender"], first["body"]["online"]) == ("r", "ben", True)
            await come(tablet, server, "ben", "tablet")
        assert (await ann.expect(presence))["body"]["online"] is False
        assert not [frame for frame in ann.seen if presence(frame)]


async def test_one_connection_can_be_signalled(server: DoorServer) -> None:
    async with door_client(server.url) as phone, door_client(server.url) as tablet:
        await come(tablet, server, "ben", "tablet")
        welcome = await come(phone, server, "ben", "phone")
        server.hub.signal_connection(welcome["connection"], "r", Reoffer("s", 2, "worker"))
        server.hub.signal_connection("gone", "r", Reoffer("s", 2, "worker"))
        signal = await phone.op("signal")
        assert signal["body"] == {"kind": "reoffer", "session": "s", "generation": 2, "reason": "worker"}
        await tablet.request("time.get")
        assert not [frame for frame in tablet.seen if frame["op"] == "signal"]

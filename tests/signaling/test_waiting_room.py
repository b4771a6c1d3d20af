"""The waiting room over real sockets: every byte sent to the one who waits is read.

Whatever happens inside carries a canary. None of them may reach the one who waits, on any connection, by any
request; all that stands in the room's log comes, without a gap, when the waiting is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest

from config.settings import LimitSettings
from signaling.node import Node
from tests.signaling.door_client import DoorClient, Frame, door_client, new_mid
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token

OFFER = "v=0\r\n"
ROLES = {"anna-canary": "therapist", "dora-canary": "client", "ben": "client", "gus-canary": "guest"}


class House:
    """A node with a room of four, and their connections."""

    def __init__(self, node: Node, api: BackEnd, stack: AsyncExitStack) -> None:
        self.node = node
        self.api = api
        self._stack = stack
        self.starts_ms = 0

    async def connect(self, account: str, device: str = "d1", role: str | None = None) -> DoorClient:
        """A connection; its raw bytes are in ``raw``, from its very first frame on."""
        url = f"{self.node.url.replace('http', 'ws')}/v1/connect"
        client = await self._stack.enter_async_context(door_client(url))
        kept = raw(client)
        receive = client.socket.recv

        async def recv(*args: Any) -> Any:
            data = await receive(*args)
            kept.append(data)
            return data

        client.socket.recv = recv  # type: ignore[method-assign,assignment]
        welcome = await client.hello(token(account, role or ROLES[account]), device)  # type: ignore[arg-type]
        assert welcome["op"] == "welcome"
        return client

    @property
    def day(self) -> str:
        """The day on which the session starts, in UTC."""
        return datetime.fromtimestamp(self.starts_ms / 1000, UTC).date().isoformat()


def raw(client: DoorClient) -> list[bytes]:
    """Every message that was sent to a connection, as it came."""
    kept: list[bytes] = client.__dict__.setdefault("raw", [])
    return kept


async def everything(client: DoorClient) -> bytes:
    """All bytes that were sent to a connection until now: a round trip comes behind them."""
    await client.request("time.get")
    return b"\n".join(raw(client))


def admission(frame: Frame) -> bool:
    return bool(frame["op"] == "signal" and frame["body"]["kind"] == "admission")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    given = settings(tmp_path, limits=LimitSettings(ping_seconds=0.5, pong_seconds=600.0))
    async with running_node(given) as node, back_end(node) as api, AsyncExitStack() as stack:
        await api.room("r", **ROLES)
        spec = {"waiting_room": "everyone", "cues_to": "everyone"}
        house = House(node, api, stack)
        session = await api.session("r", session="s", modality="video", policy=spec)
        house.starts_ms = session["starts_ms"]
        yield house


async def a_busy_session(house: House) -> tuple[DoorClient, DoorClient]:
    """A therapist with a client."""
    anna, dora = await house.connect("anna-canary"), await house.connect("dora-canary")
    await anna.request("session.join", session="s")
    await dora.request("session.join", session="s")
    admitted = await anna.request("session.admit", session="s", accounts=["dora-canary"])
    assert admitted["result"]["state"] == "live"
    await dora.expect(admission)
    return anna, dora


async def be_busy(house: House, anna: DoorClient, dora: DoorClient) -> None:
    """Everything that can happen inside, and around it in the room."""
    for who in (anna, dora):
        assert (await who.message("r", b"chat-canary", session="s"))["op"] == "ok"
    assert (await dora.message("r", b"letter-canary"))["op"] == "ok"
    for op, more in (
        ("session.propose", {"modality": "chat"}),
        ("session.modality", {"modality": "audio"}),
        ("session.urgent", {"active": True}),
        ("session.late", {"minutes": 3}),
    ):
        assert (await dora.request(op, session="s", **more))["op"] == "ok", op
    extended = await anna.request("session.extend", session="s", minutes=5, mid=new_mid())
    assert extended["op"] == "ok", extended
    await dora.request("signal.send", room="r", body={"kind": "typing", "active": True})
    await dora.request("signal.send", room="r", body={"kind": "opaque", "data": b"signal-canary"})
    gus = await house.connect("gus-canary")
    await gus.request("session.join", session="s")
    await dora.request("session.leave", session="s")
    await dora.request("session.join", session="s")
    await anna.request("session.admit", session="s", accounts=["dora-canary"])


async def test_nothing_reaches_the_one_who_waits(house: House) -> None:
    anna, dora = await a_busy_session(house)
    ben = await house.connect("ben")
    await ben.op("caught_up")
    raw(ben).clear()
    reply = await ben.request("session.join", session="s")
    assert (reply["result"]["place"], reply["result"]["state"]) == ("waiting", "open")
    await be_busy(house, anna, dora)

    for op, more in (
        ("room.get", {"room": "r"}),
        ("room.history", {"room": "r"}),
        ("inbox.get", {}),
        ("signal.send", {"room": "r", "body": {"kind": "typing", "active": True}}),
        ("media.offer", {"session": "s", "sdp": OFFER}),
        ("media.leave", {"session": "s"}),
        ("session.modality", {"session": "s", "modality": "chat"}),
        ("session.propose", {"session": "s", "modality": "chat"}),
        ("session.urgent", {"session": "s", "active": True}),
    ):
        assert (await ben.request(op, **more))["name"] == "not_admitted", op
    for op, asked in (
        ("session.admit", {"session": "s", "accounts": ["ben"]}),
        ("session.end", {"session": "s"}),
    ):
        assert (await ben.request(op, **asked))["name"] == "forbidden", op
    assert (await ben.message("r", b"hello", session="s"))["name"] == "not_admitted"
    await ben.request("session.get", session="s")

    second = await house.connect("ben", "d2")  # another device of the same account, while it waits
    everything_sent = await everything(ben) + await everything(second)
    assert b"canary" not in everything_sent
    assert b"late" in everything_sent  # what is made for those who wait does come

    await anna.request("session.admit", session="s", accounts=["ben"])
    assert (await ben.expect(admission))["body"]["status"] == "admitted"
    for client in (ben, second):
        log = [await client.op("event") for _ in range(3)]
        while len(log) < log[0]["offset"] or b"letter-canary" not in b"\n".join(raw(client)):
            log.append(await client.op("event"))
        offsets = [event["offset"] for event in log]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    assert (await ben.message("r", b"hello", session="s"))["op"] == "ok"


async def test_whatever_is_sent_to_who_waits_is_on_a_short_list(house: House) -> None:
    """Not only no names: nothing from which one could tell that anything goes on at all."""
    # https://github.com/suitenumerique/meet/issues/1140: some ways in went around the lobby.
    anna, dora = await a_busy_session(house)
    ben = await house.connect("ben")
    await ben.op("caught_up")
    assert (await ben.request("inbox.get"))["op"] == "ok"  # from now on its changes are signalled
    head = (await house.node.store.heads(["r"]))["r"].head
    await ben.request("session.join", session="s")
    ben.seen.clear()
    raw(ben).clear()
    await be_busy(house, anna, dora)
    later = await house.connect("ben", "d2")
    (room,) = later.welcome["rooms"]
    assert (room["room"], room["head"]) == ("r", 0)
    for client in (ben, later):
        await client.op("ping")  # as pings tell how far logs reach
        day = await client.request("session.list", day=house.day, zone="UTC")
        (listed,) = day["result"]["sessions"]
        for shown in (listed, (await client.request("session.get", session="s"))["result"]):
            assert (shown["state"], shown["modality"], shown["place"]) == ("open", "video", "waiting")
            assert not {"present", "roles", "waiting", "both_ms", "urgent", "live_ms"} & shown.keys()
        for frame in [msgpack.unpackb(data) for data in raw(client)]:
            match frame["op"]:
                case "signal":
                    assert frame["body"] == {"kind": "late", "session": "s", "role": "client", "minutes": 3}
                case "ping":
                    assert frame.get("heads", {}).get("r", 0) <= head
                case op:
                    assert op in {"ok", "welcome"}
        assert b"canary" not in await everything(client)


async def test_nothing_reaches_who_reconnects_while_waiting(house: House) -> None:
    ben = await house.connect("ben")
    await ben.op("caught_up")
    await ben.request("session.join", session="s")
    anna, dora = await a_busy_session(house)
    ben.socket.transport.abort()
    again = await house.connect("ben")
    await be_busy(house, anna, dora)
    assert (await again.request("session.join", session="s"))["result"]["place"] == "waiting"
    assert b"canary" not in await everything(again)
    await again.request("session.leave", session="s")
    await again.expect(lambda frame: frame["op"] == "event" and frame["body"].get("data") == b"letter-canary")


async def test_nothing_more_reaches_who_is_sent_back(house: House) -> None:
    anna, dora = await a_busy_session(house)
    ben = await house.connect("ben")
    await ben.request("session.join", session="s")
    await anna.request("session.admit", session="s", accounts=["ben"])
    assert (await ben.expect(admission))["body"]["status"] == "admitted"
    await anna.request("session.send_back", session="s", account="ben")
    assert (await ben.expect(admission))["body"]["status"] == "sent_back"
    await everything(ben)
    raw(ben).clear()
    await be_busy(house, anna, dora)
    assert (await ben.message("r", b"hello", session="s"))["name"] == "not_admitted"
    assert b"canary" not in await everything(ben)


async def test_the_denied_one_is_told_so_and_hears_of_nobody(house: House) -> None:
    anna, _ = await a_busy_session(house)
    ben = await house.connect("ben")
    await ben.request("session.join", session="s")
    raw(ben).clear()
    await anna.request("session.deny", session="s", account="ben")
    assert (await ben.expect(admission))["body"]["status"] == "denied"
    assert b"dora-canary" not in await everything(ben)


async def test_the_therapist_sees_who_waits(house: House) -> None:
    anna = await house.connect("anna-canary")
    ben = await house.connect("ben")
    await ben.request("session.join", session="s")
    knock = await anna.expect(lambda frame: frame.get("body", {}).get("kind") == "waiting_room")
    assert [one["account"] for one in knock["body"]["waiting"]] == ["ben"]
    assert (await anna.request("session.get", session="s"))["result"]["waiting"][0]["role"] == "client"
    await anna.request("session.join", session="s")
    nobody = await anna.request("session.admit", session="s", accounts=["gus-canary"])
    assert nobody["name"] == "not_waiting"


async def test_an_interpreter_sees_the_session_and_not_the_log(house: House) -> None:
    await house.api.session(
        "r",
        session="t",
        attendees=[{"account": "ines", "role": "interpreter"}],
        policy={"waiting_room": "nobody"},
    )
    anna = await house.connect("anna-canary")
    await anna.request("session.join", session="t")
    ines = await house.connect("ines", role="guest")
    joined = await ines.request("session.join", session="t")
    assert joined["result"]["roles"] == {"anna-canary": "therapist", "ines": "interpreter"}
    await anna.message("r", b"chat-canary", session="t")
    await anna.request("session.leave", session="t")
    told = await ines.expect(lambda frame: frame.get("body", {}).get("present") == ["ines"])
    assert told["body"]["kind"] == "countdown"
    assert (await ines.message("r", b"hello", session="t"))["name"] == "no_such_room"
    assert (await ines.request("room.history", room="r"))["name"] == "no_such_room"
    assert b"chat-canary" not in await everything(ines)
    await ines.request("session.leave", session="t")
    raw(ines).clear()
    await anna.request("session.join", session="t")
    assert b"canary" not in await everything(ines)
    stranger = await house.connect("zoe", role="guest")
    assert (await stranger.request("session.join", session="t"))["name"] == "no_such_session"

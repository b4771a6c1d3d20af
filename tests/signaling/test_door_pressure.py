"""Slow readers and floods: what waits for one is bounded, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from protocol import errors
from relay.errors import StoreError, StoreFull
from relay.writes import Append, Outcome, Write
from signaling.door.link import Link
from tests.signaling.door_client import DoorClient, Frame, door_client, new_mid
from tests.signaling.door_server import GENEROUS, DoorServer, door_server

MIB = 1 << 20
SMALL = 8 * 1024


@asynccontextmanager
async def slow_client(server: DoorServer) -> AsyncIterator[DoorClient]:
    """A client whose kernel takes little and whose reading can be stopped."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", server.port))
    async with door_client(server.url, sock=plain, ping_interval=None) as client:
        yield client


def link_of(server: DoorServer, welcome: Frame) -> Link:
    """The server's side of a connection."""
    (link,) = [link for link in server.hub.links() if link.connection == welcome["connection"]]
    assert isinstance(link, Link)
    return link


def waiting_bytes(link: Link) -> int:
    """All that waits for a connection in this process."""
    writer = link._writer
    return writer.outbox.size + writer._wire.buffered()


def masked(frame: Frame) -> bytes:
    """A short frame as a client's WebSocket message."""
    payload: bytes = msgpack.packb(frame)
    return struct.pack("!BB", 0x82, 0x80 | len(payload)) + bytes(4) + payload


async def fill(server: DoorServer, client: DoorClient, count: int, size: int) -> None:
    """Send messages into the room, a few at a time."""
    for number in range(count):
        reply = await client.message("r", bytes([number % 256]) * size)
        assert reply["op"] == "ok", reply


async def test_what_waits_for_a_slow_reader_is_bounded_and_comes_complete(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db", send_buffer=SMALL, stall_seconds=60.0) as server:
        await server.room("r", "ann", "ben", "cara")
        async with (
            door_client(server.url) as ann,
            slow_client(server) as ben,
            door_client(server.url) as cara,
        ):
            await ann.hello(server.token("ann"))
            await cara.hello(server.token("cara"))
            link = link_of(server, await ben.hello(server.token("ben")))
            ben.socket.transport.pause_reading()
            most = 0
            for _ in range(60):
                await fill(server, ann, 1, 64 * 1024)
                most = max(most, waiting_bytes(link))
                await cara.ack((await cara.events("r", 1))[0])
            assert most > MIB // 2, "the reader was not slow enough to tell anything"
            assert most <= MIB + 128 * 1024
            ben.socket.transport.resume_reading()
            received: list[int] = []
            while len(received) < 63:
                event = (await ben.events("r", 1))[0]
                received.append(event["offset"])
                await ben.ack(event)
            assert received == list(range(1, 64))


async def test_signals_to_a_slow_reader_are_coalesced(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db", send_buffer=SMALL, stall_seconds=60.0) as server:
        await server.room("r", "ann", "ben")
        async with door_client(server.url) as ann, slow_client(server) as ben:
            await ann.hello(server.token("ann"))
            link = link_of(server, await ben.hello(server.token("ben")))
            ben.socket.transport.pause_reading()
            await fill(server, ann, 12, 64 * 1024)
            before = waiting_bytes(link)
            for number in range(300):
                body = {"kind": "opaque", "data": number.to_bytes(2, "big") * 4000}
                await ann.request("signal.send", room="r", body=body)
            assert waiting_bytes(link) <= before + 16 * 1024
            assert link._writer.outbox.dropped >= 250
            ben.socket.transport.resume_reading()
            last = (299).to_bytes(2, "big") * 4000
            await ben.expect(lambda frame: frame["op"] == "signal" and frame["body"].get("data") == last)


async def test_a_reader_that_takes_nothing_is_closed_and_the_others_go_on(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db", send_buffer=SMALL, stall_seconds=0.4) as server:
        await server.room("r", "ann", "ben", "cara")
        async with (
            door_client(server.url) as ann,
            slow_client(server) as ben,
            door_client(server.url) as cara,
        ):
            await ann.hello(server.token("ann"))
            await cara.hello(server.token("cara"))
            await ben.hello(server.token("ben"))
            ben.socket.transport.pause_reading()
            while not server.hub.stats().closed:
                await fill(server, ann, 1, 64 * 1024)
                await cara.ack((await cara.events("r", 1))[0])
            assert server.hub.stats().closed == {errors.STALLED.name: 1}
            assert (await cara.request("time.get"))["op"] == "ok"
            ben.socket.transport.abort()
            async with door_client(server.url) as again:
                await again.hello(server.token("ben"))
                assert (await again.events("r", 1))[0]["offset"] == 1


async def test_whoever_asks_and_does_not_read_is_not_heard_further(tmp_path: Path) -> None:
    async with door_server(
        tmp_path / "s.db", send_buffer=SMALL, stall_seconds=60.0, outbox_bytes=64 * 1024
    ) as server:
        await server.room("r", "ann", "ben")
        async with door_client(server.url) as ann, slow_client(server) as ben:
            await ann.hello(server.token("ann"))
            await fill(server, ann, 8, 60 * 1024)
            link = link_of(server, await ben.hello(server.token("ben")))
            ben.socket.transport.pause_reading()
            asking = asyncio.create_task(_ask_for_history(ben, 400))
            most = 0
            for _ in range(200):
                await ann.request("time.get")
                most = max(most, waiting_bytes(link))
            assert most <= 64 * 1024 + 2 * 256 * 1024
            ben.socket.transport.resume_reading()
            await asking
            replies = [await ben.expect(lambda frame: "id" in frame) for _ in range(400)]
            assert sorted(reply["id"] for reply in replies) == list(range(400))


async def _ask_for_history(client: DoorClient, count: int) -> None:
    for number in range(count):
        await client.send({"op": "room.history", "id": number, "room": "r"})


async def test_replies_to_a_flood_that_reads_nothing_are_bounded(tmp_path: Path) -> None:
    async with (
        door_server(
            tmp_path / "s.db", send_buffer=SMALL, stall_seconds=60.0, outbox_bytes=64 * 1024
        ) as server,
        door_client(server.url) as ann,
        slow_client(server) as ben,
    ):
        await ann.hello(server.token("ann"))
        link = link_of(server, await ben.hello(server.token("ben")))
        ben.socket.transport.pause_reading()
        ben.socket.transport.write(masked({"op": "time.get", "id": 1}) * 20_000)
        most = 0
        for _ in range(200):
            await ann.request("time.get")
            most = max(most, waiting_bytes(link))
        assert 32 * 1024 < most <= 80 * 1024
        ben.socket.transport.resume_reading()
        for _ in range(20_000):
            assert (await ben.op("ok"))["id"] == 1


async def test_events_wait_in_the_store_while_replies_fill_the_outbox(tmp_path: Path) -> None:
    async with door_server(
        tmp_path / "s.db", send_buffer=SMALL, stall_seconds=60.0, outbox_bytes=256 * 1024
    ) as server:
        await server.room("r", "ann", "ben")
        async with door_client(server.url) as ann, slow_client(server) as ben:
            await ann.hello(server.token("ann"))
            await fill(server, ann, 5, 50 * 1024)
            start = {"epoch": server.store.epoch, "offset": 7}
            link = link_of(server, await ben.hello(server.token("ben"), rooms={"r": start}))
            ben.socket.transport.pause_reading()
            await _ask_for_history(ben, 3)
            while not link._writer.over:
                await ann.request("time.get")
            before = waiting_bytes(link)
            await fill(server, ann, 40, 4 * 1024)
            assert waiting_bytes(link) <= before + 16 * 1024
            ben.socket.transport.resume_reading()
            offsets: list[int] = []
            while len(offsets) < 40:
                (event,) = await ben.events("r", 1)
                offsets.append(event["offset"])
                await ben.ack(event)
            assert offsets == list(range(8, 48))


async def test_a_flood_of_one_leaves_the_others_alone(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"requests_per_second": 50.0, "requests_burst": 200}
    async with door_server(tmp_path / "s.db", **limits) as server:
        await server.room("r", "ann", "ben")
        async with door_client(server.url) as flood, door_client(server.url) as ben:
            await flood.hello(server.token("ann"))
            await ben.hello(server.token("ben"))
            flood.socket.transport.write(masked({"op": "time.get", "id": 1}) * 20_000)
            assert (await ben.request("time.get"))["op"] == "ok"
            assert await flood.close_code() == 4006
            assert (await ben.request("time.get"))["op"] == "ok"


class SometimesFull:
    """Wraps a store's writing: while ``full``, messages find no space."""

    def __init__(self, server: DoorServer) -> None:
        self.full = False
        self._commit_soon = server.store.commit_soon
        server.store.commit_soon = self.commit_soon  # type: ignore[method-assign]

    def commit_soon(self, done: Any, *writes: Write) -> None:
        if not (self.full and isinstance(writes[0], Append)):
            self._commit_soon(done, *writes)
            return
        answer: tuple[Outcome, ...] | StoreError = StoreFull("no space")
        asyncio.get_running_loop().call_soon(done, answer)


async def test_a_full_store_refuses_messages_and_takes_them_again(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db") as server, door_client(server.url) as ann:
        store = SometimesFull(server)
        await server.room("r", "ann", "ben")
        await ann.hello(server.token("ann"))
        mid = new_mid()
        store.full = True
        refused = await ann.message("r", b"x", mid)
        assert (refused["name"], refused["temporary"]) == ("store_full", True)
        assert refused["retry_after_ms"] > 0
        assert (await ann.request("room.history", room="r"))["op"] == "ok"
        store.full = False
        assert (await ann.message("r", b"x", mid))["result"]["offset"] == 3


async def test_a_store_that_is_closed_ends_hellos_with_come_back(tmp_path: Path) -> None:
    server = DoorServer(tmp_path / "s.db", GENEROUS)
    await server.start()
    await server.store.close()
    async with door_client(server.url) as ann:
        await ann.send({"op": "hello", "device": "d", "token": server.token("ann")})
        assert await ann.close_code() == 4001
        assert ann.seen[-1]["name"] == "going_away"
    await server.stop()


@pytest.mark.parametrize("subprotocol", ["rapport.v1.msgpack", "rapport.v1.json"])
async def test_nothing_private_is_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, subprotocol: str
) -> None:
    canaries = ["canary-account", "canary-text", "canary-device", "canary-room"]
    async with door_server(tmp_path / "s.db") as server:
        await server.room("canary-room", "canary-account", "ben")
        token = server.token("canary-account")
        server.sessions.broken = True
        async with door_client(server.url, subprotocol) as client:
            await client.hello(token, "canary-device")
            data: Any = "Y2FuYXJ5LXRleHQ=" if client.json else b"canary-text"
            mid: Any = "00000000-0000-7000-8000-000000000001" if client.json else new_mid()
            await client.request("message.send", room="canary-room", mid=mid, data=data)
            await client.request("session.join", session="canary-text")
            await client.request("room.get", room="canary-text", canary="canary-text")
            await client.send({"op": "canary-text", "token": token})
            await client.close_code()
        async with door_client(server.url, subprotocol) as client:
            await client.send({"op": "hello", "device": "canary-device", "token": token + "x"})
            assert await client.close_code() == 4500
    said = "".join(capfd.readouterr()) + caplog.text
    assert "connection_closing" in said
    assert [canary for canary in [*canaries, token, "127.0.0.1"] if canary in said] == []

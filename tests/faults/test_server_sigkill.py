"""The server killed in the middle of a stream of messages: what it acknowledged is there, once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from protocol.fields import Role
from tests.conformance.places import Place, postgres_place, sqlite_place
from tests.faults.processes import Server, server, token
from tests.signaling.door_client import DoorClient, Frame, door_client, new_mid

# Rates that a stream of messages meets are not what this is about.
UNLIMITED = {
    f"LIMITS_{prefix}REQUESTS_{what}": "1000000"
    for prefix in ("", "ACCOUNT_")
    for what in ("PER_SECOND", "BURST")
}
WINDOW = 32


class Sender:
    """Sends numbered messages, several at a time, and keeps each until it is answered."""

    def __init__(self, account: str, role: Role) -> None:
        self.account = account
        self.role = role
        self.unanswered: dict[int, bytes] = {}  # number of the message: its mid
        self.stored: dict[bytes, int] = {}  # mid: the offset that was acknowledged
        self._next = 0

    async def send(self, url: str, room: str, count: int) -> None:
        """Send again what was not answered, then new ones up to ``count`` in all; ends with the server."""
        with suppress(ConnectionClosed, InvalidHandshake, ConnectionError):
            async with door_client(url) as client:
                await client.hello(token(self.account, self.role))
                for number in sorted(self.unanswered):
                    await self._send_one(client, room, number)
                while self._next < count or self.unanswered:
                    while self._next < count and len(self.unanswered) < WINDOW:
                        self.unanswered[self._next] = new_mid()
                        self._next += 1
                        await self._send_one(client, room, self._next - 1)
                    await self._take_reply(client)

    async def _send_one(self, client: DoorClient, room: str, number: int) -> None:
        mid, data = self.unanswered[number], f"{self.account} {number}".encode()
        await client.send({"op": "message.send", "id": number, "room": room, "mid": mid, "data": data})

    async def _take_reply(self, client: DoorClient) -> None:
        reply = await client.expect(lambda frame: "id" in frame)
        assert reply["op"] == "ok", reply
        mid = self.unanswered.pop(reply["id"])
        assert mid not in self.stored
        self.stored[mid] = reply["result"]["offset"]


async def whole_log(one: Server, room: str) -> list[Frame]:
    """All events of a room."""
    events: list[Frame] = []
    async with door_client(one.connect) as reader:
        await reader.hello(token("anna", "therapist"), "auditor")
        while True:
            page = await reader.request("room.history", room=room, after=len(events))
            events += page["result"]["events"]
            if not page["result"]["events"]:
                return events


def check(events: list[Frame], senders: list[Sender]) -> None:
    """Every acknowledged message is at its place, none is there twice, each sender's are in order."""
    assert [event["offset"] for event in events] == list(range(1, len(events) + 1))
    messages = [event for event in events if event["body"]["kind"] == "message"]
    places = {event["body"]["mid"]: event["offset"] for event in messages}
    assert len(places) == len(messages)
    for sender in senders:
        assert sender.stored.items() <= places.items()
        own = [event["body"]["data"].decode() for event in messages if event["sender"] == sender.account]
        assert own == [f"{sender.account} {number}" for number in range(len(own))]


@pytest.mark.parametrize(
    ("kill_after", "where"),
    [(1, sqlite_place), (50, sqlite_place), (400, sqlite_place), (1, postgres_place), (200, postgres_place)],
)
async def test_what_was_acknowledged_survives_a_sigkill_once_and_in_order(
    tmp_path: Path, kill_after: int, where: Callable[[Path], AbstractContextManager[Place]]
) -> None:
    senders = [Sender("anna", "therapist"), Sender("ben", "client")]
    with where(tmp_path) as place:
        await survive(tmp_path, place.url, senders, kill_after)


async def survive(folder: Path, store_url: str, senders: list[Sender], kill_after: int) -> None:
    """Kill a server twice in the middle of what they send, and have them finish."""
    async with server(folder, **UNLIMITED, STORE_URL=store_url) as one:
        await one.room("r")
        for kill_at in (kill_after, 2 * kill_after):
            streams = [asyncio.create_task(sender.send(one.connect, "r", 10_000)) for sender in senders]
            while sum(len(sender.stored) for sender in senders) < kill_at:  # noqa: ASYNC110 - either counts
                await asyncio.sleep(0)
            await one.kill()
            await asyncio.gather(*streams)
            await one.start()
            check(await whole_log(one, "r"), senders)
        total = max(len(sender.stored) + len(sender.unanswered) for sender in senders) + 10
        await asyncio.gather(*[sender.send(one.connect, "r", total) for sender in senders])
        assert all(len(sender.stored) == total for sender in senders)
        events = await whole_log(one, "r")
        check(events, senders)
        assert len([event for event in events if event["body"]["kind"] == "message"]) == 2 * total


async def test_a_device_resumes_after_a_sigkill_where_it_stood(tmp_path: Path) -> None:
    sender, seen = Sender("anna", "therapist"), []
    async with server(tmp_path, **UNLIMITED) as one:
        await one.room("r")
        async with door_client(one.connect) as ben:
            await ben.hello(token("ben", "client"))
            stream = asyncio.create_task(sender.send(one.connect, "r", 10_000))
            for _ in range(150):
                seen += await ben.events("r", 1)
                await ben.ack(seen[-1])
            await one.kill()
            await stream
        await one.start()
        total = len(sender.stored) + len(sender.unanswered)
        await sender.send(one.connect, "r", total)
        async with door_client(one.connect) as ben:
            position = {"epoch": seen[-1]["epoch"], "offset": seen[-1]["offset"]}
            await ben.hello(token("ben", "client"), rooms={"r": position})
            while len(seen) < total + 2:
                seen += await ben.events("r", 1)
                await ben.ack(seen[-1])
            await ben.op("caught_up")
        assert seen == await whole_log(one, "r")
        check(seen, [sender])

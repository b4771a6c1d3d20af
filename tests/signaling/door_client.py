"""A client over `websockets` and the independent `msgpack` package: it shares no code with the server."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.signaling.waiting import PATIENCE_SECONDS

Frame = dict[str, Any]
MSGPACK, JSON = "rapport.v1.msgpack", "rapport.v1.json"


class DoorClient:
    """One connection; frames that a test has not asked for yet wait in ``seen``."""

    def __init__(self, socket: ClientConnection, subprotocol: str) -> None:
        self.socket = socket
        self.json = subprotocol == JSON
        self.seen: list[Frame] = []
        self.welcome: Frame = {}
        self._ids = 0

    async def send(self, frame: Frame) -> None:
        """Send one frame."""
        await self.socket.send(json.dumps(frame) if self.json else msgpack.packb(frame))

    async def receive(self) -> Frame:
        """The next frame from the socket."""
        data = await asyncio.wait_for(self.socket.recv(), PATIENCE_SECONDS)
        frame: Frame = json.loads(data) if self.json else msgpack.unpackb(data)
        return frame

    async def expect(self, matches: Callable[[Frame], bool]) -> Frame:
        """The first frame that matches, now or later; others go on waiting."""
        for index, frame in enumerate(self.seen):
            if matches(frame):
                return self.seen.pop(index)
        while not matches(frame := await self.receive()):
            self.seen.append(frame)
        return frame

    async def op(self, op: str) -> Frame:
        """The next frame with that ``op``."""
        return await self.expect(lambda frame: frame["op"] == op)

    async def events(self, room: str, count: int) -> list[Frame]:
        """The next events of a room."""
        return [
            await self.expect(lambda frame: frame["op"] == "event" and frame["room"] == room)
            for _ in range(count)
        ]

    async def hello(self, token: str, device: str = "d1", **more: Any) -> Frame:
        """Say hello; the welcome, or whatever comes instead, which is in ``welcome`` from then on."""
        await self.send({"op": "hello", "token": token, "device": device, **more})
        self.welcome = await self.receive()
        return self.welcome

    async def request(self, op: str, **fields: Any) -> Frame:
        """Send a request; its reply."""
        self._ids += 1
        number = self._ids
        await self.send({"op": op, "id": number, **fields})
        return await self.expect(lambda frame: frame["op"] in {"ok", "error"} and frame.get("id") == number)

    async def message(self, room: str, data: bytes, mid: bytes | None = None, **more: Any) -> Frame:
        """Send a message; its reply."""
        return await self.request("message.send", room=room, mid=mid or new_mid(), data=data, **more)

    async def ack(self, event: Frame) -> None:
        """Acknowledge an event."""
        await self.send(
            {"op": "ack", "room": event["room"], "epoch": event["epoch"], "offset": event["offset"]}
        )

    async def close_code(self) -> int:
        """Read until the server closes; its code."""
        try:
            while True:
                self.seen.append(await self.receive())
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


def new_mid() -> bytes:
    """An id for a message. The server does not look at its version."""
    return uuid.uuid4().bytes


@asynccontextmanager
async def door_client(url: str, subprotocol: str = MSGPACK, **options: Any) -> AsyncIterator[DoorClient]:
    """A connection before its hello."""
    bounds: dict[str, Any] = {"compression": None, "max_size": None, "max_queue": None}
    async with connect(url, **bounds | {"subprotocols": [subprotocol], **options}) as socket:
        yield DoorClient(socket, subprotocol)

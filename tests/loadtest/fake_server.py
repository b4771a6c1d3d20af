"""A server that plays a script: for each connection a coroutine that says what the server says and hears.

It speaks through the server's own codec, so that the client's hand-made frames meet the declared protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

from websockets import typing
from websockets.asyncio.server import ServerConnection, serve

from protocol import codec, frames
from protocol.base import Frame
from protocol.codec import Subprotocol
from protocol.events import MessageBody
from protocol.frames import Event, Limits, RoomHead, Welcome

FrameT = TypeVar("FrameT", bound=Frame)
LIMITS = Limits(262_144, 98_304, 16_384, 100, 50.0, 200, 256, 1 << 20, 25_000)
_DECODER = codec.client_decoder(Subprotocol.MSGPACK, 1 << 20)


class Conversation:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    async def hear(self, kind: type[FrameT]) -> FrameT:
        """The next frame of the client, which has to be of this kind."""
        message = await self._socket.recv()
        frame = _DECODER.decode(message)
        assert isinstance(frame, kind), f"{type(frame).__name__} instead of {kind.__name__}"
        return frame

    async def say(self, *said: Frame | bytes | str) -> None:
        """Send frames, or what is none."""
        for one in said:
            await self._socket.send(codec.encode(one, Subprotocol.MSGPACK) if isinstance(one, Frame) else one)

    async def welcome(self, *heads: RoomHead, limits: Limits = LIMITS) -> frames.Hello:
        """Hear the hello and welcome the client."""
        hello = await self.hear(frames.Hello)
        await self.say(Welcome("c1", 1, 1_000, "anna", "therapist", limits, heads))
        return hello

    async def close(self, code: int) -> None:
        """Close with a code and wait until it is done."""
        await self._socket.close(code)

    def abort(self) -> None:
        """Drop the connection."""
        self._socket.transport.abort()

    async def idle(self) -> None:
        """Stay until the client goes."""
        await self._socket.wait_closed()


Script = Callable[[Conversation], Awaitable[None]]


class FakeServer:
    """Plays one script after the other; ``finished`` is done when the last is over, or has its failure."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self._scripts = list(scripts)
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.url = ""

    async def play(self, socket: ServerConnection) -> None:
        """One connection."""
        if not self._scripts:
            await socket.close(4500)
            return
        script = self._scripts.pop(0)
        try:
            await script(Conversation(socket))
        except Exception as error:  # noqa: BLE001 - carried to the test, which waits for `finished`
            if not self.finished.done():
                self.finished.set_exception(error)
        else:
            if not self._scripts and not self.finished.done():
                self.finished.set_result(None)


@asynccontextmanager
async def fake_server(*scripts: Script) -> AsyncIterator[FakeServer]:
    """A scripted server on a free port of 127.0.0.1."""
    fake = FakeServer(scripts)
    subprotocols = [typing.Subprotocol(Subprotocol.MSGPACK.value)]
    async with serve(fake.play, "127.0.0.1", 0, subprotocols=subprotocols, compression=None) as server:
        fake.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/connect"
        yield fake


def event(offset: int, *, room: str = "r1", epoch: int = 1) -> Event:
    """A message in a room's log."""
    body = MessageBody(UUID(int=offset), b"hello")
    return Event(room, epoch, offset, 1_000 + offset, body, "ben", "d2")


def head(offset: int, *, cursor: int = 0, room: str = "r1", epoch: int = 1) -> RoomHead:
    """A room as ``welcome`` announces it."""
    return RoomHead(room, epoch, offset, cursor, 0)

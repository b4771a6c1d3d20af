"""One WebSocket connection, from the opening handshake over ``hello`` and ``welcome`` to its close.

What outlives a connection (positions, requests in flight, coming back) is :mod:`loadtest.client`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from loadtest import wire
from loadtest.errors import Closed, LoadTestError, Refused, ServerFault, Unreachable
from loadtest.wire import Map

LAST_CLOSE_TO_RETURN_FROM = 4499
"""Close codes of applications above it ask the client not to come back."""

SILENT_PINGS = 2.5
"""So many of the server's ping intervals without a single frame, and the path counts as dead."""


class Link:
    """A connection that has been welcomed."""

    def __init__(self, socket: ClientConnection, welcome: Map) -> None:
        self._socket = socket
        self._silence_seconds = max(1.0, SILENT_PINGS * welcome["limits"].get("ping_ms", 25_000) / 1000)
        self.welcome = welcome

    @classmethod
    async def open(cls, url: str, hello: Mapping[str, Any], *, timeout: float) -> Link:
        """Connect to ``url`` (``ws`` or ``wss``) and say ``hello``; all within ``timeout`` seconds.

        Raises :exc:`Unreachable`, :exc:`Refused` or :exc:`Closed` when the server does not want this client,
        or :exc:`ServerFault`.
        """
        try:
            async with asyncio.timeout(timeout):
                socket = await _connected(url)
                try:
                    return cls(socket, await _welcomed(socket, hello))
                except BaseException:
                    socket.transport.abort()
                    raise
        except TimeoutError:
            raise Unreachable("no welcome in time") from None

    async def send(self, frame: Mapping[str, Any]) -> None:
        """Send one frame. When the connection is gone the frame is dropped: :meth:`receive` tells."""
        try:
            await self._socket.send(wire.pack(frame))
        except ConnectionClosed:
            return

    async def receive(self) -> Map | None:
        """The next frame; none when the connection has ended, for whatever reason, and may be opened again.

        Raises :exc:`Closed` when it was closed for good, and :exc:`ServerFault`.
        """
        try:
            async with asyncio.timeout(self._silence_seconds):
                message = await self._socket.recv()
        except ConnectionClosed:
            if final := _final_close(self._socket):
                raise final from None
            return None
        except TimeoutError:
            self.cut()
            return None
        return wire.unpack(message)

    def cut(self) -> None:
        """Drop the connection as a lost network would: no close frame, nothing flushed."""
        self._socket.transport.abort()

    async def close(self) -> None:
        """Close with code 1000 and wait for the server's close frame, not for long."""
        await self._socket.close()


async def _connected(url: str) -> ClientConnection:
    try:
        return await connect(
            url,
            subprotocols=[Subprotocol(wire.SUBPROTOCOL)],
            compression=None,  # ciphertext does not compress
            max_size=wire.MAX_FRAME_BYTES,
            ping_interval=None,  # the protocol has pings of its own
            open_timeout=None,
            close_timeout=2,
            proxy=None,  # what is measured is the server, not a proxy of the environment
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise Unreachable(f"HTTP {status}", retry=status == 429 or status >= 500) from None
    except InvalidURI:
        raise Unreachable("not a WebSocket address", retry=False) from None
    except (OSError, InvalidHandshake, ConnectionClosed) as error:
        raise Unreachable(type(error).__name__) from None


async def _welcomed(socket: ClientConnection, hello: Mapping[str, Any]) -> Map:
    if socket.subprotocol != wire.SUBPROTOCOL:
        raise ServerFault("the server chose another subprotocol")
    refusal: LoadTestError | None = None
    try:
        await socket.send(wire.pack(hello))
        while True:
            frame = wire.unpack(await socket.recv())
            if frame["op"] == "welcome":
                return frame
            # An `error` without an `id` tells why the close follows; the close tells whether to come back.
            if frame["op"] != "error":
                raise ServerFault(f"`{frame['op']}` before `welcome`")
            refusal = Refused(frame["code"], frame["name"])
    except ConnectionClosed:
        if final := _final_close(socket):
            raise (refusal or final) from None
        raise Unreachable("closed before the welcome") from None


def _final_close(socket: ClientConnection) -> Closed | None:
    """What to raise if the close code asks not to come back."""
    code = socket.close_code or 1006
    return Closed(code, socket.close_reason or "") if code > LAST_CLOSE_TO_RETURN_FROM else None

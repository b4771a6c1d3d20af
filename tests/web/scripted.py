"""A server that does what a test tells it to, frame by frame, and serves the real pages to a real browser.

Frames are packed with the ``msgpack`` package: what the browser's own codec sends and takes is so checked by
a stranger's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any, Self

import msgpack
from aiohttp import WSMsgType, web

import web as web_package
from tests.web.runtimes import SCRIPTS

Frame = dict[str, Any]

# As strict as a server should be: what the pages need beyond this would be a fault in them.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

LIMITS = {
    "frame_bytes": 262144,
    "message_bytes": 98304,
    "signal_bytes": 16384,
    "requests_in_flight": 100,
    "requests_per_second": 50.0,
    "requests_burst": 100,
    "unacked_events": 256,
    "unacked_bytes": 1048576,
    "ping_ms": 25000,
}


class Peer:
    """One WebSocket of a browser, seen from the server."""

    def __init__(self, socket: web.WebSocketResponse, address: str) -> None:
        self._socket = socket
        self._reading = asyncio.Lock()
        self._over = False
        self.address = address
        self.closed = asyncio.Event()

    async def receive(self, op: str | None = None) -> Frame:
        """The next frame; with ``op``, the next of that kind, whatever comes before it."""
        while True:
            frame = await self._next()
            if op is None or frame["op"] == op:
                return frame

    async def _next(self) -> Frame:
        async with self._reading:
            message = await self._socket.receive()
            if self._over or message.type not in {WSMsgType.BINARY, WSMsgType.TEXT}:
                self._over = True
                raise ConnectionError(f"the browser closed: {message.type.name}")
            unpack = msgpack.unpackb if message.type is WSMsgType.BINARY else json.loads
            frame: Frame = unpack(message.data)
            return frame

    async def send(self, op: str, **fields: Any) -> None:
        """Send one frame."""
        frame = {"op": op, **fields}
        if self._socket.ws_protocol == "rapport.v1.json":
            await self._socket.send_str(json.dumps(frame))
        else:
            await self._socket.send_bytes(msgpack.packb(frame))

    async def welcome(self, *rooms: Frame, **fields: Any) -> Frame:
        """Take ``hello``, answer it, and return it."""
        hello = await self.receive("hello")
        await self.send_welcome(*rooms, **fields)
        return hello

    async def send_welcome(self, *rooms: Frame, **fields: Any) -> None:
        """Send ``welcome``, with other fields where they are given."""
        answer: Frame = {"connection": "c1", "version": 1, "server_now_ms": 1_800_000_000_000}
        answer |= {"account": "ann", "role": "client", "limits": LIMITS, "rooms": list(rooms)}
        await self.send("welcome", **{**answer, **fields})

    async def answer(self, op: str, **result: Any) -> Frame:
        """Take the next request of this kind, say ``ok``, and return it."""
        request = await self.receive(op)
        await self.send("ok", id=request["id"], **({"result": result} if result else {}))
        return request

    async def refuse(self, request: Frame, name: str, **fields: Any) -> None:
        """Say ``error`` to a request."""
        error = {"code": 1, "name": name, "temporary": False, "detail": "no", "hint": "none", **fields}
        await self.send("error", id=request["id"], **error)

    async def close(self, code: int) -> None:
        """Close the WebSocket with a code, and wait for the browser's own close frame.

        aiohttp's own ``close`` may end the connection before that; a frame that the browser sends at the same
        moment then makes the kernel drop the code.
        """
        assert self._socket._writer is not None
        await self._socket._writer.close(code)
        with contextlib.suppress(ConnectionError):
            while True:
                await self._next()
        if transport := self._transport():
            transport.close()

    def cut(self) -> None:
        """End the connection without a word, as a network does."""
        if transport := self._transport():
            transport.abort()

    def _transport(self) -> asyncio.Transport | None:
        return self._socket._req.transport if self._socket._req else None


class ScriptedServer:
    """Serves ``web`` under ``/app/`` and hands every WebSocket at ``/v1/connect`` to the test."""

    def __init__(self) -> None:
        self._arrivals: asyncio.Queue[Peer] = asyncio.Queue()
        self._peers: list[Peer] = []
        self.protocols: tuple[str, ...] = ("rapport.v1.msgpack", "rapport.v1.json")
        app = web.Application()
        app.router.add_get("/v1/connect", self._connect)
        app.router.add_get("/blank", self._blank)
        app.router.add_static("/app", str(web_package.STATIC))
        app.router.add_static("/scripts", SCRIPTS)
        app.on_response_prepare.append(self._guard)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        self.url = ""

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for peer in self._peers:
            peer.closed.set()
        await self._runner.cleanup()

    async def accept(self) -> Peer:
        """The next WebSocket that a browser opens, soon."""
        return await asyncio.wait_for(self._arrivals.get(), 60)

    async def next_peer(self) -> Peer:
        """The next WebSocket that a browser opens, whenever that is."""
        return await self._arrivals.get()

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=self.protocols, autoclose=False)
        await socket.prepare(request)
        peer = Peer(socket, request.path_qs)
        self._peers.append(peer)
        self._arrivals.put_nowait(peer)
        await peer.closed.wait()  # the handler's end would be the end of the socket
        return socket

    async def _blank(self, _: web.Request) -> web.Response:
        html = "<!doctype html><title>blank</title><link rel=icon href=/app/icon.svg>"
        return web.Response(text=html, content_type="text/html")

    async def _guard(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = POLICY

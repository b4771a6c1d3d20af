"""The WebSocket on aiohttp: handshake, reading, closing (RFC 6455).

aiohttp does the handshake, unmasks and reassembles. What goes out is framed by :mod:`signaling.door.framing`
and handed to the transport in one piece for each turn of the event loop, which costs a quarter of sending
message by message through aiohttp.
"""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

from aiohttp import WebSocketError, WSMessage, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from config.settings import ServerSettings
from protocol import errors
from protocol.codec import Subprotocol
from protocol.errors import CloseCode, ProtocolError
from signaling.door import framing
from signaling.door.hub import Hub
from signaling.door.link import Link
from signaling.door.shared import Shared
from signaling.door.writer import high_water

LINGER_SECONDS = 2.0
"""How long after our close frame the peer has to read it and close its side."""

STALL_CHECKS = 4
"""How often within the time allowed a stalled socket is looked for."""


class _Response(web.WebSocketResponse):
    """aiohttp's WebSocket without its own closing handshake: which code to close with is ours to say."""

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Called by aiohttp when reading fails or the handler is done."""
        del code, message, drain
        return True


class _Wire:
    """The transport under one WebSocket, as its writer sees it."""

    __slots__ = ("_stream", "_transport")

    def __init__(self, transport: asyncio.Transport, stream: AbstractStreamWriter) -> None:
        self._transport = transport
        self._stream = stream

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        await self._stream.drain()


class Door:
    """Serves ``GET /v1/connect``."""

    def __init__(self, shared: Shared, settings: ServerSettings) -> None:
        self._shared = shared
        self._origins = frozenset(settings.trusted_origins)
        self._own_host = urlsplit(settings.public_url).netloc if settings.public_url else None
        self._watch: asyncio.Task[None] | None = None

    @property
    def hub(self) -> Hub:
        """The connections."""
        return self._shared.hub

    async def start(self) -> None:
        """Begin to look after connections."""
        self._watch = asyncio.get_running_loop().create_task(self._watch_progress())

    async def stop(self) -> None:
        """Stop looking after connections, which are closed before, and write the cursors that wait."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        self._shared.timers.stop()
        await self._shared.acks.flush()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection from its handshake, which :exc:`ProtocolError` refuses, to its end."""
        subprotocol = negotiate(request)
        self._check_origin(request)
        self._shared.hub.check_entry()
        transport = request.transport
        assert transport is not None
        response = _Response(
            protocols=[subprotocol.value],
            autoclose=False,
            autoping=False,
            compress=False,
            max_msg_size=self._shared.limits.frame_bytes + 1,  # aiohttp's is the first size refused
        )
        stream = await response.prepare(request)
        transport.set_write_buffer_limits(high_water(self._shared.limits.outbox_bytes))
        await self._converse(response, transport, _Wire(transport, stream), subprotocol)
        return response

    async def _converse(
        self,
        response: web.WebSocketResponse,
        transport: asyncio.Transport,
        wire: _Wire,
        subprotocol: Subprotocol,
    ) -> None:
        loop = asyncio.get_running_loop()
        closing = False

        def on_close(code: CloseCode) -> None:
            nonlocal closing
            closing = True
            wire.write(framing.close(code.code, code.name))
            loop.call_later(LINGER_SECONDS, transport.abort)

        link = Link(self._shared, subprotocol, wire, on_close)
        if self._shared.hub.draining:
            link.end(errors.DRAIN)
        try:
            answer = await _read(response, link)
            if not closing:  # RFC 6455, 5.5.1: nothing follows a close frame, not even a second one
                wire.write(answer)
        finally:
            await link.closed()
            if response.exception() is None and not transport.is_closing():
                transport.close()

    async def _watch_progress(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._shared.limits.stall_seconds / STALL_CHECKS)
            for link in self._shared.hub.links():
                link.check_progress(loop.time())

    def _check_origin(self, request: web.Request) -> None:
        """Browsers name the page's origin (RFC 6454); others may leave it out, and need a token anyway."""
        origin = request.headers.get("Origin")
        if origin is None or origin in self._origins:
            return
        with contextlib.suppress(ValueError):
            if urlsplit(origin).netloc in {request.host, self._own_host} - {None, ""}:
                return
        raise ProtocolError(errors.FORBIDDEN, "pages of this origin may not connect")


def negotiate(request: web.Request) -> Subprotocol:
    """The subprotocol to speak (RFC 6455, 1.9): ours that we like best among those offered."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise ProtocolError(errors.MALFORMED, "this address is for WebSocket handshakes")
    offered = {one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")}
    for subprotocol in Subprotocol:
        if subprotocol.value in offered:
            return subprotocol
    names = " or ".join(subprotocol.value for subprotocol in Subprotocol)
    raise ProtocolError(errors.UNSUPPORTED_VERSION, f"`Sec-WebSocket-Protocol` has to offer {names}")


async def _read(response: web.WebSocketResponse, link: Link) -> bytes:
    """Read until the end of the conversation; what is left to write then: the answer to a close frame."""
    receive = response.receive
    while True:
        message = await receive()
        match message.type:
            case WSMsgType.BINARY | WSMsgType.TEXT:
                link.receive(message.data)
            case WSMsgType.PING:
                link.receive_control(framing.pong(message.data))
            case WSMsgType.PONG:
                link.receive_control(b"")
            case WSMsgType.CLOSE:
                return framing.close(message.data or 1000)
            case _:
                return await _broken(message, link)
        if link.busy:
            await link.ready()


async def _broken(message: WSMessage, link: Link) -> bytes:
    """Reading has failed: the socket is lost, or what came is not WebSocket, or is too large."""
    failed = message.data
    if isinstance(failed, WebSocketError):
        kind = errors.TOO_LARGE if failed.code == 1009 else errors.MALFORMED
        link.end(errors.NOT_A_FRAME, ProtocolError(kind))
        await asyncio.sleep(LINGER_SECONDS)
    return b""

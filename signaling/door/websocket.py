"""The WebSocket on aiohttp: handshake, reading, closing (RFC 6455).

aiohttp does the handshake, unmasks and reassembles. What goes out is framed by :mod:`signaling.door.framing`
and handed to the transport in one piece for each turn of the event loop, which costs a quarter of sending
message by message through aiohttp.
"""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from config.settings import ServerSettings
from protocol import errors
from protocol.codec import Subprotocol
from protocol.errors import ProtocolError
from signaling.door import framing
from signaling.door.hub import Hub
from signaling.door.link import Link
from signaling.door.shared import Shared
from signaling.door.watch import Watch
from signaling.door.writer import high_water

LINGER_SECONDS = 2.0
"""How long after our close frame the peer has to read it and close its side."""


class _Response(web.WebSocketResponse):
    """aiohttp's WebSocket without its own closing handshake: which code to close with is ours to say."""

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Called by aiohttp when reading fails or the handler is done."""
        del code, message, drain
        return True


class _Wire:
    """The transport under one WebSocket: what its writer sees, and how it ends."""

    __slots__ = ("_ended", "_stream", "_transport")

    def __init__(self, transport: asyncio.Transport, stream: AbstractStreamWriter) -> None:
        self._transport = transport
        self._stream = stream
        self._ended = False

    def write(self, data: bytes) -> None:
        if not self._ended and not self._transport.is_closing():
            self._transport.write(data)

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        await self._stream.drain()

    def end(self, close: bytes) -> None:
        """Send a close frame, and nothing after it (RFC 6455, 5.5.1); the peer has a while to close."""
        self.write(close)
        if not self._ended:
            self._ended = True
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.abort)

    def close(self) -> None:
        """Both sides have sent a close frame, or the peer is gone."""
        self._transport.close()

    async def linger(self) -> None:
        """Close, but not before the peer has had the time to finish what it was sending and to read why.

        To close at once a socket that something arrives on would make the kernel drop what we sent last.
        """
        await asyncio.sleep(LINGER_SECONDS / 8)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        while not self._transport.is_closing():  # noqa: ASYNC110 - nothing tells: aiohttp reads no more
            await asyncio.sleep(LINGER_SECONDS / 50)


class Door:
    """Serves ``GET /v1/connect``."""

    def __init__(self, shared: Shared, settings: ServerSettings) -> None:
        self._shared = shared
        self._origins = frozenset(settings.trusted_origins)
        self._own_host = urlsplit(settings.public_url).netloc if settings.public_url else None
        self._watch = Watch(shared.hub, shared.store, shared.limits)

    @property
    def hub(self) -> Hub:
        """The connections."""
        return self._shared.hub

    async def start(self) -> None:
        """Begin to look after connections."""
        self._watch.start()

    async def stop(self) -> None:
        """Stop looking after connections, which are closed before, and write the cursors that wait."""
        await self._watch.stop()
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
        await self._converse(response, _Wire(transport, stream), subprotocol)
        return response

    async def _converse(self, response: web.WebSocketResponse, wire: _Wire, subprotocol: Subprotocol) -> None:
        link = Link(
            self._shared, subprotocol, wire, lambda code: wire.end(framing.close(code.code, code.name))
        )
        if self._shared.hub.draining:
            link.end(errors.DRAIN)
        try:
            await _end(await _read(response, link), link, wire)
        finally:
            wire.close()
            await link.closed()

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


async def _read(response: web.WebSocketResponse, link: Link) -> WSMessage:
    """Read until the end; the last message is a close frame, or says why reading failed."""
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
            case _:
                return message
        if link.busy:
            await link.ready()


async def _end(last: WSMessage, link: Link, wire: _Wire) -> None:
    """Bring the conversation to its end after the ``last`` message."""
    if isinstance(last.data, WebSocketError):
        too_large = last.data.code == WSCloseCode.MESSAGE_TOO_BIG
        link.end(errors.NOT_A_FRAME, ProtocolError(errors.TOO_LARGE if too_large else errors.MALFORMED))
        await wire.linger()
    elif last.type is WSMsgType.CLOSE:
        wire.end(framing.close(last.data or WSCloseCode.OK))

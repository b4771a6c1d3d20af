"""One attempt at a delivery: connections to an endpoint, and how long everything may take.

Redirects are not followed, since the address in the settings is the one that is trusted. What is said over a
connection is the matter of :mod:`signaling.webhooks.exchange`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from relay.webhooks import Delivery
from signaling.webhooks.endpoints import Endpoint
from signaling.webhooks.exchange import Disconnected, Exchange, Head, Unanswered, address_of
from signaling.webhooks.schedule import Accepted, Failed, Result
from signaling.webhooks.signing import signature

MAX_BODY_BYTES = 4 * 1024
"""How much of a response's body is read, only to keep the connection. Beyond it a new one costs less."""

BODY_SECONDS = 0.5
"""How long that may take."""

READ_BYTES = 4 * 1024

Post = Callable[[Delivery, int], Awaitable[Result]]
"""Attempts a delivery at an instant (milliseconds since 1970)."""


@asynccontextmanager
async def posting(
    endpoint: Endpoint, *, connect_seconds: float, request_seconds: float
) -> AsyncIterator[Post]:
    """What attempts deliveries to an endpoint, over connections that it keeps."""
    poster = _Poster(endpoint, connect_seconds, request_seconds)
    try:
        yield poster.post
    finally:
        poster.close()


@dataclass(eq=False, slots=True)
class _Line:
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    exchange: Exchange

    def close(self) -> None:
        self.writer.transport.abort()


class _Poster:
    def __init__(self, endpoint: Endpoint, connect_seconds: float, request_seconds: float) -> None:
        self._endpoint = endpoint
        self._address = address_of(endpoint.url)
        self._tls = ssl.create_default_context() if self._address.encrypted else None
        self._connect_seconds = connect_seconds
        self._request_seconds = request_seconds
        self._agent = f"Rapport/{version('rapport-rtc')}"
        self._idle: list[_Line] = []  # no more than there were requests at the same time

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    async def post(self, delivery: Delivery, now_ms: int) -> Result:
        """One attempt."""
        headers = {
            "User-Agent": self._agent,
            "Content-Type": "application/json",
            "Rapport-Id": delivery.id,
            "Rapport-Signature": signature(
                self._endpoint.secrets, delivery.id, now_ms // 1000, delivery.body
            ),
        }
        try:
            async with asyncio.timeout(self._request_seconds):
                return _result(await self._answer(headers, delivery.body))
        except Unanswered as error:
            return Failed(error.failure)
        except OSError as error:
            return Failed(failure_of(error))

    async def _answer(self, headers: dict[str, str], body: bytes) -> Head:
        while self._idle:
            line = self._idle.pop()
            try:
                return await self._talk(line, headers, body)
            except (Disconnected, ConnectionError):
                continue  # it was closed while nobody used it
        return await self._talk(await self._connect(), headers, body)

    async def _connect(self) -> _Line:
        address = self._address
        try:
            async with asyncio.timeout(self._connect_seconds):
                reader, writer = await asyncio.open_connection(
                    address.host, address.port, ssl=self._tls, limit=READ_BYTES
                )
        except (TimeoutError, ssl.SSLError, socket.gaierror):
            raise
        except OSError:
            raise NotReached from None
        return _Line(reader, writer, Exchange(address))

    async def _talk(self, line: _Line, headers: dict[str, str], body: bytes) -> Head:
        keep = False
        try:
            line.writer.write(line.exchange.request(headers, body))
            head = None
            while head is None:
                head = line.exchange.receive(await line.reader.read(READ_BYTES))
            keep = await _finish(line)
            return head
        finally:
            if keep:
                self._idle.append(line)
            else:
                line.close()


class NotReached(Unanswered):
    """Nobody answers at the address."""

    failure = "connect"


async def _finish(line: _Line) -> bool:
    """Read what is left of a short response; whether its connection can be used again."""
    left, complete = MAX_BODY_BYTES, line.exchange.finish()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while not complete and left > 0 and (data := await line.reader.read(READ_BYTES)):
                left -= len(data)
                complete = line.exchange.finish(data)
    except OSError:  # `TimeoutError` is one
        return False  # the status has been said: what is wrong with the rest is no matter
    return complete


def _result(head: Head) -> Result:
    if 200 <= head.status < 300:
        return Accepted()
    return Failed(f"status_{head.status}", gone=head.status == 410, wait_ms=head.wait_ms)


def failure_of(error: OSError) -> str:
    """Why there was no response, by a stable name."""
    match error:
        case TimeoutError():
            return "timeout"
        case ssl.SSLError():
            return "tls"
        case socket.gaierror():
            return "dns"
        case _:
            return "disconnected"

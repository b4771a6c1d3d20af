"""One request to a push service (RFC 8030): a name that is looked up once, a connection, and time.

It connects to an address that was checked, under the name that was asked for, so that what a name stands for
cannot change in between. Nothing of the response counts but its status, and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping

from signaling.push.addresses import is_public
from signaling.webhooks.exchange import Address, Exchange, Head, Unanswered, address_of
from signaling.webhooks.posting import NotReached, failure_of
from signaling.webhooks.schedule import Accepted, Failed, Result

READ_BYTES = 4 * 1024

GONE = frozenset({404, 410})
"""The subscription is over (RFC 8030, 7.3)."""


class NotPublic(Unanswered):
    """The name stands for an address that is not one of the public internet."""

    failure = "address"


class Caller:
    """Posts without a body, each time over a new connection: a doorbell is rare, and services are many."""

    def __init__(self, *, connect_seconds: float, request_seconds: float, private: bool) -> None:
        """``private`` lets any address be connected to."""
        self._connect_seconds = connect_seconds
        self._request_seconds = request_seconds
        self._private = private
        self._tls = ssl.create_default_context()

    async def post(self, url: str, headers: Mapping[str, str]) -> Result:
        """One attempt at an address that :mod:`signaling.push.addresses` finds nothing wrong with."""
        try:
            async with asyncio.timeout(self._request_seconds):
                return _result(await self._answer(address_of(url), dict(headers)))
        except Unanswered as error:
            return Failed(error.failure)
        except OSError as error:
            return Failed(failure_of(error))

    async def _answer(self, address: Address, headers: dict[str, str]) -> Head:
        async with asyncio.timeout(self._connect_seconds):
            reader, writer = await self._connect(address)
        try:
            exchange = Exchange(address)
            writer.write(exchange.request({**headers, "Connection": "close"}, b""))
            head = None
            while head is None:
                head = exchange.receive(await reader.read(READ_BYTES))
            return head
        finally:
            writer.transport.abort()

    async def _connect(self, address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = self._tls if address.encrypted else None
        name = address.host if address.encrypted else None
        for host in await self._look_up(address):
            try:
                return await asyncio.open_connection(
                    host, address.port, ssl=tls, server_hostname=name, limit=READ_BYTES
                )
            except (TimeoutError, ssl.SSLError):
                raise
            except OSError:
                continue  # perhaps another address of the same host can be reached
        raise NotReached

    async def _look_up(self, address: Address) -> list[str]:
        """The addresses of a host, when all of them may be connected to."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        hosts = [str(place[0]) for *_, place in found]
        if not self._private and not all(is_public(host) for host in hosts):
            raise NotPublic
        return hosts


def _result(head: Head) -> Result:
    if 200 <= head.status < 300:
        return Accepted()
    return Failed(f"status_{head.status}", gone=head.status in GONE, wait_ms=head.wait_ms)

"""How long it takes until everybody is back when one of two nodes dies.

Thousands of connections are on one node, which is killed. Their clients come back as the reference client
does (full jitter, `loadtest.backoff`), to the other node, whose process has one of the two cores; the clients
have the other one, with PostgreSQL and Redis. Counted is the time from the kill to the last `welcome`.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import uvloop

from loadtest.backoff import Backoff
from relay.postgres import PostgresStore, Target
from tests.bench import Measurement
from tests.bench.seed import seed_store, token
from tests.bench.sockets import cpu_seconds, message, rapport
from tests.postgres_process import PostgresProcess
from tests.redis_process import KEY, redis_process

CLIENTS = 5_000
PATIENCE = 120.0
AT_ONCE = 200
"""Connections that are made at the same time in the beginning, when nothing is measured."""
HANDSHAKE = (
    b"GET /v1/connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: rapport.v1.msgpack\r\n\r\n"
)


def measure() -> dict[str, Measurement]:
    """Seconds for all, milliseconds of the server's CPU for each."""
    server = PostgresProcess(shared_buffers="128MB")
    try:
        server.start()
        name = server.database()
        seed_store(PostgresStore(Target(server.url(name))), CLIENTS // 2)
        return uvloop.run(_measure(server.url(name)))
    finally:
        server.close()


async def _measure(store_url: str) -> dict[str, Measurement]:
    with tempfile.TemporaryDirectory(prefix="recover-") as name:
        async with redis_process() as redis:
            folder = Path(name)
            bus = {"RAPPORT_BUS_URL": redis.url, "RAPPORT_BUS_KEY": KEY}
            bus["RAPPORT_BLOBS_FOLDER"] = str(folder / "blobs")
            with (
                rapport(folder, store_url, **bus) as (dying, first),
                rapport(folder, store_url, **bus) as (living, second),
            ):
                return await _killed(dying, living, (first, second))


async def _killed(dying: int, living: int, ports: tuple[int, int]) -> dict[str, Measurement]:
    crowd = Crowd(ports)
    try:
        await crowd.come()
        before = cpu_seconds(living)
        os.kill(dying, signal.SIGKILL)
        seconds = await crowd.come_back()
        spent = cpu_seconds(living) - before
    finally:
        await crowd.go()
    return {
        "cluster.recover": Measurement(seconds, "s"),
        "cluster.recover_cpu": Measurement(spent / CLIENTS * 1e3, "ms"),
    }


class Crowd:
    """All clients."""

    def __init__(self, ports: tuple[int, int]) -> None:
        self._ports = ports
        self._entering = asyncio.Semaphore(AT_ONCE)
        self._there = [0, 0]
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self) -> None:
        """Connect everybody to the first node."""
        accounts = [f"{role}{room}" for room in range(CLIENTS // 2) for role in "tc"]
        self._tasks = [asyncio.create_task(self._client(token(account))) for account in accounts]
        await self._until(0)

    async def come_back(self) -> float:
        """Seconds until everybody is at the second node."""
        began = time.monotonic()
        await self._until(1)
        return time.monotonic() - began

    async def go(self) -> None:
        """Disconnect everybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _until(self, node: int) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self._there[node] == CLIENTS)

    async def _client(self, pass_: str) -> None:
        backoff, failures = Backoff(), 0
        async with self._entering:
            connection = await self._connect(0, pass_)
        while True:
            if connection is not None:
                failures = 0
                await self._lost(*connection)
            await asyncio.sleep(backoff.seconds(failures, random.random()))
            failures += 1
            connection = await self._connect(1, pass_)

    async def _connect(
        self, node: int, pass_: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection that was welcomed; None if it did not come about."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._ports[node])
        except OSError:
            return None
        try:
            writer.write(HANDSHAKE + message({"op": "hello", "token": pass_, "device": "bench"}))
            await reader.readuntil(b"welcome")
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
            return None
        async with self._changed:
            self._there[node] += 1
            self._changed.notify_all()
        return reader, writer

    async def _lost(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wait until the connection ends."""
        try:
            while await reader.read(1 << 16):
                pass
        except OSError:
            return  # it was cut, as expected
        finally:
            writer.transport.abort()

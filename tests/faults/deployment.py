"""A deployment as operators run it: servers, PostgreSQL and Redis as processes, and links that can fail."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from loadtest.target import Target
from relay.postgres import PostgresStore
from relay.postgres import Target as DatabaseTarget
from relay.store import Store
from tests.faults.network import Link
from tests.faults.processes import KEY, SECRET, Server
from tests.postgres_process import PostgresProcess
from tests.redis_process import KEY as BUS_KEY
from tests.redis_process import RedisProcess, redis_process

PATIENCE = 120.0


class Member:
    """One server of a deployment, with the links it reaches the others by."""

    def __init__(self, server: Server, database: Link, redis: Link) -> None:
        self.server = server
        self.database = database
        self.redis = redis

    @property
    def address(self) -> tuple[str, int]:
        """Where it serves."""
        host, _, port = self.server.url.removeprefix("http://").partition(":")
        return host, int(port)

    def signal(self, what: signal.Signals) -> None:
        """Send a signal to the server process."""
        assert self.server.process is not None
        os.kill(self.server.process.pid, what)

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self.server.process is not None and self.server.process.returncode is None


class Deployment:
    """Servers behind a load balancer, which sends each new connection to the next one that takes it."""

    def __init__(self, postgres: PostgresProcess, database: str, redis: RedisProcess) -> None:
        self.postgres = postgres
        self.redis = redis
        self.members: list[Member] = []
        self._database = database
        self._turns = itertools.count()
        self._front = Link(self._next)

    @property
    def target(self) -> Target:
        """Where clients connect."""
        return Target(f"http://127.0.0.1:{self._front.port}", KEY, SECRET)

    @contextlib.asynccontextmanager
    async def serving(self, folder: Path, count: int, **settings: str) -> AsyncIterator[None]:
        """Start so many servers; stopped at the end, however they were treated."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._front)
            for number in range(count):
                own = folder / f"node{number}"
                own.mkdir()
                database = await stack.enter_async_context(Link(self._to_postgres))
                redis = await stack.enter_async_context(Link(self._to_redis))
                there = {
                    "STORE_URL": f"postgresql://rapport@127.0.0.1:{database.port}/{self._database}",
                    "BUS_URL": f"redis://127.0.0.1:{redis.port}",
                    "BUS_KEY": BUS_KEY,
                    "BLOBS_FOLDER": str(folder / "blobs"),
                    "LIMITS_PING_SECONDS": "1",
                    "SERVER_SHUTDOWN_SECONDS": "2",
                }
                member = Member(Server(own, **there, **settings), database, redis)
                self.members.append(member)
                stack.push_async_callback(self._stopped, member)
                await member.server.start()
            yield

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """The store under the servers, to look at."""
        url = f"postgresql://rapport@/{self._database}?host={self.postgres.folder}"
        store = PostgresStore(DatabaseTarget(url, connect_seconds=PATIENCE, patience_seconds=PATIENCE))
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    async def ready(self) -> None:
        """Wait until every server says that it takes work."""
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as http:
            for member in self.members:
                while not await _answers(http, f"{member.server.url}/readyz"):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    async def _next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the next server that takes one."""
        start = next(self._turns)
        for number in range(len(self.members)):
            member = self.members[(start + number) % len(self.members)]
            if member.runs:
                with contextlib.suppress(OSError):
                    return await asyncio.open_connection(*member.address)
        raise ConnectionRefusedError

    async def _to_postgres(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.postgres.folder / ".s.PGSQL.5432")

    async def _to_redis(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.redis.port)

    async def _stopped(self, member: Member) -> None:
        if member.runs:
            member.signal(signal.SIGCONT)
            await member.server.kill()


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


@contextlib.asynccontextmanager
async def deployment(folder: Path, count: int, **settings: str) -> AsyncIterator[Deployment]:
    """A deployment of so many servers, which serve."""
    postgres = PostgresProcess()
    try:
        await asyncio.to_thread(postgres.start)
        async with redis_process() as redis:
            whole = Deployment(postgres, postgres.database(), redis)
            async with whole.serving(folder, count, **settings):
                await whole.ready()
                yield whole
    finally:
        await asyncio.to_thread(postgres.close)

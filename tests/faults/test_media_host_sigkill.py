"""People at two nodes have their call at a third: it goes on when that one pauses, is killed, or stops."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from loadtest.peer import Peer
from loadtest.target import Target
from signaling.media.choosing import choose
from signaling.sessions.session import Session
from tests.faults.processes import KEY, SECRET, Server
from tests.postgres_process import PostgresProcess
from tests.redis_process import KEY as BUS_KEY
from tests.redis_process import redis_process
from tests.signaling.media_kit import Seen

PATIENCE = 60.0
"""Seconds for what takes a moment on a machine that has nothing else to do."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresProcess]:
    server = PostgresProcess()
    server.start()
    yield server
    server.close()


class Cluster:
    """Five nodes with a store and a bus in common."""

    def __init__(self, folder: Path, postgres: PostgresProcess, redis_url: str) -> None:
        self._postgres = postgres
        self._database = postgres.database()
        common = {"STORE_URL": postgres.url(self._database), "BUS_URL": redis_url, "BUS_KEY": BUS_KEY}
        self.nodes = [Server(folder, **common) for _ in range(5)]

    async def start(self) -> None:
        """Start all nodes; returns when each knows the others."""
        await self.nodes[0].start()  # it makes the tables
        await asyncio.gather(*(node.start() for node in self.nodes[1:]))
        taking = "SELECT min(beat) FROM nodes WHERE NOT draining HAVING count(*) = 5"
        while not (beats := self._sql(taking)):  # noqa: ASYNC110 - it is in other processes
            await asyncio.sleep(0.1)
        # Whoever has beaten twice since has seen all of them.
        while int(self._sql("SELECT min(beat) FROM nodes")) < int(beats) + 2:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.1)

    def name(self, node: Server) -> str:
        """What a node calls itself."""
        names = dict(line.split("|") for line in self._sql("SELECT url, name FROM nodes").splitlines())
        return names[node.url]

    def session(self) -> Session:
        """The session as it is stored."""
        body = self._sql("SELECT encode(body, 'hex') FROM sessions")
        return msgspec.msgpack.decode(bytes.fromhex(body), type=Session)

    def session_for(self, *order: Server) -> str:
        """The id of a session that goes to these nodes, in this order, as long as they take something."""
        nodes = [Seen(self.name(node)) for node in self.nodes]
        wanted = [self.name(node) for node in order]
        for number in range(10_000):
            session = f"session-{number}"
            chosen = [choose(session, nodes, "", avoid=wanted[:at], planned={}) for at in range(len(wanted))]
            if chosen == wanted:
                return session
        raise AssertionError("no session goes there")

    def _sql(self, statement: str) -> str:
        return self._postgres.sql(statement, database=self._database)


@contextlib.asynccontextmanager
async def cluster(folder: Path, postgres: PostgresProcess) -> AsyncIterator[Cluster]:
    async with redis_process() as redis:
        made = Cluster(folder, postgres, redis.url)
        try:
            await made.start()
            yield made
        finally:
            await asyncio.gather(*(_stopped(node) for node in made.nodes))


async def test_a_call_outlives_the_nodes_that_have_it(tmp_path: Path, postgres: PostgresProcess) -> None:
    async with cluster(tmp_path, postgres) as made, contextlib.AsyncExitStack() as stack:
        near, far, *hosts = made.nodes
        names = [made.name(host) for host in hosts]
        paused, killed, stopped = hosts
        session = made.session_for(*hosts)
        await near.room("r")
        await near.session("r", session, modality="audio")
        anna = Peer(Target(near.url, KEY, SECRET), "anna", "therapist", "audio")
        ben = Peer(Target(far.url, KEY, SECRET), "ben", "client", "audio")
        for peer in (anna, ben):
            stack.push_async_callback(peer.close)
            await peer.join("r", session)
        for peer in (anna, ben):
            await peer.first_media(PATIENCE)
        assert (made.session().host, made.session().generation) == (names[0], 1)

        assert paused.process is not None
        paused.process.send_signal(signal.SIGSTOP)
        await _again(anna, ben, life=1)
        paused.process.send_signal(signal.SIGCONT)
        assert await paused.process.wait() == 1  # it was taken for dead, and has done nothing since
        assert (made.session().host, made.session().generation) == (names[1], 2)

        began = time.monotonic()
        await killed.kill()
        await _again(anna, ben, life=2)
        print(f"media back after {time.monotonic() - began:.2f} s")  # noqa: T201 - a figure to look at
        assert (made.session().host, made.session().generation) == (names[2], 3)

        stopping = asyncio.create_task(stopped.stop())
        await _again(anna, ben, life=3)
        await stopping
        assert made.session().generation == 4
        assert anna.changes == ben.changes == ["scheduled", "opened", "live"]
        await anna.end_session()
        await ben.ended(PATIENCE)


async def _stopped(node: Server) -> None:
    if node.process is not None and node.process.returncode is None:
        node.process.send_signal(signal.SIGCONT)  # a test that failed may have left it paused
        await node.stop()


async def _again(*peers: Peer, life: int) -> None:
    for peer in peers:
        await peer.until(lambda peer=peer: peer.calls > life, PATIENCE, "reoffer")  # type: ignore[misc]  # mypy: defaults of a lambda
        await peer.more_media(PATIENCE)

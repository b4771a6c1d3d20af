"""Two servers on one PostgreSQL: one is killed, or stands still for longer than its lease; the other goes on.

Nobody's session ends by it, nobody is absent twice, every deadline is carried out once; and who wakes up dead
does nothing any more.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from protocol.codec import decode_body
from protocol.events import SessionBody
from protocol.fields import Role
from relay.cluster import Nodes
from relay.store import Store
from signaling import cli
from signaling.cluster.names import node_of
from signaling.sessions.session import Session, from_row
from tests.conformance.places import postgres_place
from tests.faults.processes import Server, server, token
from tests.signaling.door_client import DoorClient, door_client

PATIENCE = 60.0
BACK = {"waiting_room": "nobody", "hard_end": True, "grace_seconds": 600.0}
"""Whoever is away comes back within the test."""
MISSED = tuple(f"missed{number}" for number in range(8))
PEOPLE: dict[str, Role] = {"anna": "therapist", "ben": "client"}


@dataclass
class Pair:
    """Two servers, and the store under them."""

    one: Server
    other: Server
    store: Store
    url: str
    """Of the store."""

    async def session(self, name: str) -> Session:
        row = await self.store.session(name)
        assert row is not None
        return from_row(row)

    async def changes(self, room: str) -> list[str]:
        """What the log of a room says of its sessions."""
        page = await self.store.events(room, after=0, limit=1000, max_bytes=1 << 24)
        bodies = [decode_body(event.body) for event in page.events]
        return [body.change for body in bodies if isinstance(body, SessionBody)]

    async def until(self, is_so: str, name: str) -> Nodes:
        """Wait until a node is ``living``, ``buried``, or ``settled``, which is neither."""
        async with asyncio.timeout(PATIENCE):
            while True:
                nodes = await self.store.nodes()
                living = name in {one.name for one in nodes.living}
                buried = name in {one.name for one in nodes.buried}
                if {"living": living, "buried": buried, "settled": not living and not buried}[is_so]:
                    return nodes
                await asyncio.sleep(0.1)


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    with postgres_place(folder) as place:
        for name in ("one", "other"):
            (folder / name).mkdir()
        async with (
            server(folder / "one", STORE_URL=place.url) as one,
            server(folder / "other", STORE_URL=place.url) as other,
        ):
            store = place.store()
            await store.open()
            try:
                yield Pair(one, other, store, place.url)
            finally:
                await store.close()


async def connected(stack: AsyncExitStack, one: Server, session: str) -> dict[str, DoorClient]:
    """Both people at a server, in a session."""
    people = {}
    for account, role in PEOPLE.items():
        client = await stack.enter_async_context(door_client(one.connect))
        await client.hello(token(account, role))
        reply = await client.request("session.join", session=session)
        assert reply["op"] == "ok", reply
        people[account] = client
    return people


async def agreed(both: Pair) -> None:
    """A long session, and some that nobody comes to, whose ends fall to either node. A room for each."""
    for name, seconds in {"long": 600, **dict.fromkeys(MISSED, 5)}.items():
        await both.one.room(name)
        await both.one.session(name, name, modality="chat", length_seconds=seconds, policy=BACK)


async def missed(both: Pair, by: Server) -> None:
    """Wait until a server says that the short sessions are over, and look that each is so once."""
    async with asyncio.timeout(PATIENCE):
        for name in MISSED:
            await by.reaches(name, "no_show")
    for name in MISSED:
        assert await both.changes(name) == ["scheduled", "opened", "no_show"]
        session = await both.session(name)
        assert session.ended_ms == session.agreed_end_ms


async def test_another_node_goes_on_when_one_is_killed(tmp_path: Path) -> None:
    async with pair(tmp_path) as both, AsyncExitStack() as stack:
        await agreed(both)
        people = await connected(stack, both.one, "long")
        dead = node_of(people["anna"].welcome["connection"])
        await both.until("living", dead)
        await both.one.kill()
        await missed(both, both.other)
        await both.until("settled", dead)
        absent = await both.session("long")
        assert absent.present == ("anna", "ben")
        assert absent.connections == frozenset()
        assert {one.absent_ms for one in absent.participants} == {absent.changed_ms}

        people = await connected(stack, both.other, "long")
        again = await both.session("long")
        assert {node_of(one) for one in again.connections} == {node_of(people["anna"].welcome["connection"])}
        assert again.state == "live"
        assert (await people["anna"].request("session.end", session="long"))["op"] == "ok"
        assert await both.changes("long") == ["scheduled", "opened", "live", "ended"]


async def test_a_node_that_stood_still_for_longer_than_its_lease_ends_when_it_wakes(tmp_path: Path) -> None:
    # https://github.com/livekit/livekit/issues/4316: a node was taken for gone, and its live room deleted.
    async with pair(tmp_path) as both, AsyncExitStack() as stack:
        await agreed(both)
        people = await connected(stack, both.one, "long")
        paused = node_of(people["anna"].welcome["connection"])
        await both.until("living", paused)
        assert both.one.process is not None
        os.kill(both.one.process.pid, signal.SIGSTOP)
        try:
            await missed(both, both.other)
            await both.until("settled", paused)
            before = await both.session("long")
            # It reads this before it learns that it is dead, and may not let anybody in all the same.
            await people["anna"].send({"op": "session.join", "id": 99, "session": "long"})
        finally:
            os.kill(both.one.process.pid, signal.SIGCONT)
        async with asyncio.timeout(PATIENCE):
            assert await both.one.process.wait() == 1
        assert both.one.process.stderr is not None
        assert b"took this one for dead" in await both.one.process.stderr.read()
        assert await both.session("long") == before
        await missed(both, both.other)


async def test_a_node_that_is_drained_ends_and_leaves_nothing(tmp_path: Path) -> None:
    async with pair(tmp_path) as both, AsyncExitStack() as stack:
        await agreed(both)
        people = await connected(stack, both.one, "long")
        stopping = node_of(people["anna"].welcome["connection"])
        drain = ["cluster", "drain", stopping[:12], "--store", both.url]
        assert await asyncio.to_thread(cli.main, drain) == 0
        assert both.one.process is not None
        async with asyncio.timeout(PATIENCE):
            assert await both.one.process.wait() == 0
        assert (await people["anna"].op("goodbye"))["reason"] == "drain"
        nodes = await both.store.nodes()
        assert stopping not in {one.name for one in nodes.living}
        assert nodes.buried == ()
        left = await both.session("long")
        assert (left.state, left.present, left.connections) == ("live", ("anna", "ben"), frozenset())
        await connected(stack, both.other, "long")
        assert len((await both.session("long")).connections) == 2

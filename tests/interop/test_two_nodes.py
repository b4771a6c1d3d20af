"""Two whole nodes on one PostgreSQL and one Redis: who is on one and who is on the other do not notice.

Connections are pinged so rarely that nothing but the bus can have brought what arrives.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed

from config.settings import (
    AuditSettings,
    BlobSettings,
    LimitSettings,
    PushSettings,
    SessionSettings,
    StoreSettings,
)
from protocol.fields import Role
from signaling.cluster.names import node_of
from signaling.node import Node
from tests.conformance.places import postgres_place
from tests.redis_process import CALM, redis_process, until
from tests.signaling.door_client import DoorClient, Frame, door_client
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOINS = 4
DEVICES = 3
LIMITS = LimitSettings(
    ping_seconds=600.0,
    hello_seconds=300.0,
    connections_per_account=DEVICES,
    joins_per_second=0.01,
    joins_burst=JOINS,
)


class Pair:
    """Both nodes, and a back end of the first."""

    def __init__(self, one: Node, other: Node, api: BackEnd) -> None:
        self.nodes = (one, other)
        self.api = api

    @asynccontextmanager
    async def person(
        self, node: int, account: str, role: Role = "client", device: str = "d1"
    ) -> AsyncIterator[DoorClient]:
        """Someone connected to a node."""
        async with door_client(f"{self.nodes[node].url.replace('http', 'ws')}/v1/connect") as client:
            await client.hello(token(account, role), device)
            yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("two-nodes")
    with postgres_place(folder) as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr("relay.bus.redis.Timing", lambda: CALM)  # Redis has not failed if the machine is slow
        async with redis_process() as redis, AsyncExitStack() as stack:
            given = settings(
                folder,
                store=StoreSettings(url=place.url, statement_seconds=60.0, patience_seconds=60.0),
                bus=redis.settings(),
                limits=LIMITS,
                sessions=SessionSettings(waiting_room="everyone"),
                blobs=BlobSettings(folder=str(folder)),
                audit=AuditSettings(
                    key_file=str(folder / "audit-key"), checkpoint_file=str(folder / "checkpoints")
                ),
                push=PushSettings(key_file=str(folder / "push-key")),
            )
            one, other = [await stack.enter_async_context(running_node(given)) for _ in range(2)]
            await until(lambda: one.bus.statistics.ready and other.bus.statistics.ready)
            yield Pair(one, other, await stack.enter_async_context(back_end(one)))


def signal(kind: str, **said: Any) -> Callable[[Frame], bool]:
    """Matches a signal."""
    return lambda frame: (
        frame["op"] == "signal"
        and frame["body"]["kind"] == kind
        and all(frame["body"].get(name) == value for name, value in said.items())
    )


def event(**said: Any) -> Callable[[Frame], bool]:
    """Matches an event."""
    return lambda frame: (
        frame["op"] == "event" and all(frame["body"].get(name) == value for name, value in said.items())
    )


async def ended(client: DoorClient) -> str:
    """Why a connection ends."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.receive()
    return client.socket.close_reason or ""


async def test_they_write_to_each_other_and_see_each_other_come_and_go(pair: Pair) -> None:
    await pair.api.room("chat", ann="therapist", bob="client")
    async with pair.person(0, "ann", "therapist") as ann:
        async with pair.person(1, "bob") as bob:
            names = [node_of(each.welcome["connection"]) for each in (ann, bob)]
            assert names == [node.name for node in pair.nodes]
            await ann.expect(signal("presence", online=True))
            await bob.request("signal.send", room="chat", body={"kind": "typing", "active": True})
            await ann.expect(signal("typing"))
            for number in range(20):
                sender, reader = ((ann, bob), (bob, ann))[number % 2]
                assert (await sender.message("chat", b"%d" % number))["op"] == "ok"
                await reader.expect(event(data=b"%d" % number))
        await ann.expect(signal("presence", online=False))


async def test_a_device_that_comes_to_the_other_node_replaces_its_older_connection(pair: Pair) -> None:
    await pair.api.room("moving", carl="client")
    async with pair.person(0, "carl") as before, pair.person(1, "carl") as after:
        assert await ended(before) == "replaced"
        assert (await after.request("time.get"))["op"] == "ok"


async def test_who_is_barred_at_one_node_is_cut_off_at_the_other(pair: Pair) -> None:
    await pair.api.room("barred", dora="client", eve="client")
    async with pair.person(1, "dora") as dora, pair.person(1, "eve") as eve:
        assert (await pair.api.post("/v1/accounts/dora/revoke", {})).status < 300
        assert await ended(dora) == "device_revoked"
        assert (await pair.api.ask("DELETE", "/v1/rooms/barred/members/eve")).status < 300
        assert (await eve.op("removed"))["room"] == "barred"


async def test_a_session_is_held_by_people_of_both(pair: Pair) -> None:
    await pair.api.room("session", fay="therapist", gus="client")
    await pair.api.session("session", session="both")
    async with pair.person(0, "fay", "therapist") as fay, pair.person(1, "gus") as gus:
        assert (await fay.request("session.join", session="both"))["result"]["state"] == "open"
        assert (await gus.request("session.join", session="both"))["op"] == "ok"
        await fay.expect(signal("waiting_room"))
        assert (await fay.request("session.admit", session="both", accounts=["gus"]))["op"] == "ok"
        await gus.expect(signal("admission"))
        for person in (fay, gus):
            await person.expect(event(change="live"))
        assert (await gus.request("session.propose", session="both", modality="audio"))["op"] == "ok"
        assert (await fay.request("session.accept", session="both", modality="audio"))["op"] == "ok"
        await gus.expect(signal("countdown", modality="audio"))
        assert (await fay.request("session.end", session="both"))["op"] == "ok"
        await gus.expect(event(change="ended"))


async def test_an_account_has_so_many_devices_on_both_together(pair: Pair) -> None:
    await pair.api.room("devices", hans="client")
    async with AsyncExitStack() as stack:
        for number in range(DEVICES):
            person = pair.person(number % 2, "hans", device=f"d{number}")
            assert (await stack.enter_async_context(person)).welcome["op"] == "welcome"
        async with pair.person(0, "hans", device="one too many") as refused:
            assert (refused.welcome["op"], refused.welcome["name"]) == ("error", "rate_limited")
        async with pair.person(1, "hans", device="d0") as again:
            assert again.welcome["op"] == "welcome", "a device that comes to another node is one device"


async def test_attempts_to_join_count_on_both_together(pair: Pair) -> None:
    await pair.api.room("joins", ida="client")
    async with pair.person(0, "ida", device="d0") as one, pair.person(1, "ida", device="d1") as other:
        tried = [
            (await (one, other)[number % 2].request("session.join", session="no such"))["name"]
            for number in range(JOINS + 2)
        ]
    assert tried[JOINS:] == ["rate_limited"] * 2
    assert "rate_limited" not in tried[:JOINS]

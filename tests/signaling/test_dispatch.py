"""Every request of the protocol, with any valid fields, is answered exactly once."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol import errors
from protocol.base import Request
from protocol.codec import Subprotocol, encode
from protocol.frames import AnyRequest
from tests.signaling.door_client import Frame, door_client
from tests.signaling.door_server import door_server
from tests.strategies import values

EVERY = sorted(get_args(AnyRequest), key=lambda request: request.__name__)


def one_of_each() -> st.SearchStrategy[list[Request]]:
    """Two of every kind of request, with any fields, in any order."""
    return st.tuples(*[values(kind) for kind in [*EVERY, *EVERY]]).flatmap(st.permutations)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one_of_each())
def test_every_request_is_answered_once(
    tmp_path_factory: pytest.TempPathFactory, some: list[Request]
) -> None:
    asyncio.run(_converse(tmp_path_factory.mktemp("door"), some))


async def _converse(folder: Path, some: list[Request]) -> None:
    async with door_server(folder / "s.db") as server, door_client(server.url) as client:
        await server.room("r", "ann", "ben")
        await client.hello(server.token("ann", "therapist"))
        for number, request in enumerate(some):
            await client.socket.send(encode(msgspec.structs.replace(request, id=number), Subprotocol.MSGPACK))
        replies = [await client.expect(lambda frame: "id" in frame) for _ in some]
        assert sorted(reply["id"] for reply in replies) == list(range(len(some)))
        for reply in replies:
            assert reply["op"] in {"ok", "error"}
            assert reply.get("name") != errors.INTERNAL.name, some[reply["id"]]
        assert (await client.request("time.get"))["op"] == "ok"


async def test_replies_come_for_all_of_many_requests_at_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    async with door_server(tmp_path / "s.db") as server, door_client(server.url) as client:
        await server.room("r", "ann", "ben")
        await client.hello(server.token("ann", "therapist"))
        kinds: list[Frame] = [
            {"op": "time.get"},
            {"op": "room.get", "room": "r"},
            {"op": "room.history", "room": "r"},
            {"op": "message.send", "room": "r", "data": b"x"},
            {"op": "message.send", "room": "elsewhere", "data": b"x"},
            {"op": "session.get", "session": "r/1"},
            {"op": "session.join", "session": "none"},
        ]
        requests = [chance.choice(kinds) | {"mid": chance.randbytes(16)} for _ in range(90)]
        for number, request in enumerate(requests):
            await client.send({**request, "id": number})
        replies = [await client.expect(lambda frame: "id" in frame) for _ in requests]
        assert sorted(reply["id"] for reply in replies) == list(range(90))
        refused = {
            requests[reply["id"]].get("room", requests[reply["id"]].get("session")): reply["name"]
            for reply in replies
            if reply["op"] == "error"
        }
        assert refused == {"elsewhere": "no_such_room", "none": "no_such_session"}

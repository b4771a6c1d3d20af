"""A token for one room or one session reaches nothing else, by whatever operation of the API."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from signaling.http.api import ENDPOINTS
from signaling.http.endpoint import AnyEndpoint
from signaling.node import Node
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCOPES = "rooms sessions accounts webhooks audit holds usage ratings break_glass export erase"
OCCURRENCE = time.strftime("%Y-%m-%dT09:00", time.gmtime(time.time() + 3 * 86_400))
SERIES = {"starts": OCCURRENCE, "zone": "Europe/Berlin", "rule": "FREQ=WEEKLY;COUNT=3"}
SERIES |= {"length_seconds": 600, "modality": "chat"}  # type: ignore[dict-item]  # JSON
NAME = OCCURRENCE.replace("-", "").replace(":", "")
LATER = {"starts_ms": int(time.time() * 1000) + 86_400_000}

BODIES: dict[str, Any] = {
    "changeRoom": {"policy": {}},
    "addMember": {"account": "x", "role": "guest"},
    "createSession": {"length_seconds": 600, "modality": "chat"},
    "replayDeliveries": {"state": "dead"},
    "dropDeliveries": {"deliveries": ["x"]},
    "createSeries": SERIES,
    "cutSeries": {"occurrence": NAME},
    "splitSeries": {"occurrence": NAME, "then": SERIES},
    "moveSession": LATER,
    "moveOccurrence": LATER,
    "setReply": {"text": "x"},
    "setHours": {"hours": {"zone": "UTC"}},
    "placeHold": {"kind": "room", "id": "yours"},
    "breakGlass": {"scope": "rooms", "reason": "access review"},
    "openNotes": {"account": "anna"},
}
QUERIES = {"listUsage": "?from_ms=0&until_ms=1", "listRatings": "?from_ms=0&until_ms=1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with (
        running_node(settings(tmp_path_factory.mktemp("node"))) as node,
        back_end(node, token(scope=SCOPES)) as api,
    ):
        for room in ("mine", "yours"):
            await api.room(room)
            await api.session(room, session=f"in-{room}")
        assert (await api.post("/v1/rooms/yours/series", SERIES | {"series": "your-series"})).status == 201
        yield node


async def ask(own: BackEnd, endpoint: AnyEndpoint, **names: str) -> tuple[int, str]:
    """What comes of an operation on what these names say; on what is not one's own where they say nothing."""
    named = {"room": "yours", "session": "in-yours", "series": "your-series", "occurrence": NAME}
    named |= {"account": "anna", "state": "dead", "kind": "room", "id": "yours"}
    named |= {"blob": "0" * 64} | names
    path = endpoint.path.format(**named) + QUERIES.get(endpoint.name, "")
    body = BODIES.get(endpoint.name, {}) if endpoint.body else None
    answer = await own.ask(endpoint.method, path, body)
    return (answer.status, answer.json["name"]) if answer.status >= 400 else (answer.status, "")


@pytest.mark.parametrize("bound", ["room", "session"])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_nothing_else_is_reached(node: Node, endpoint: AnyEndpoint, bound: str) -> None:
    bearer = token(scope=SCOPES, room="mine") if bound == "room" else token(scope=SCOPES, session="in-mine")
    async with back_end(node, bearer) as own:
        assert await ask(own, endpoint) == (403, "token_scope")


async def test_its_own_is(node: Node) -> None:
    by_name = {endpoint.name: endpoint for endpoint in ENDPOINTS}
    async with back_end(node, token(scope=SCOPES, room="mine")) as own:
        for name in ("getRoom", "listMembers", "listSessions", "getReply"):
            assert await ask(own, by_name[name], room="mine") == (200, "")
        assert await ask(own, by_name["getSession"], session="in-mine") == (200, "")
    async with back_end(node, token(scope=SCOPES, session="in-mine")) as own:
        assert await ask(own, by_name["getSession"], session="in-mine") == (200, "")

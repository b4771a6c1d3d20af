"""Whatever is sent to whatever endpoint: a documented status, never a failure, and the server goes on."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from signaling.http.api import ENDPOINTS
from signaling.http.endpoint import AnyEndpoint
from signaling.http.openapi import document
from signaling.node import Node
from tests.signaling.nodes import Answer, BackEnd, settings

T = TypeVar("T")
DOCUMENT = document()


class Background:
    """A node in a thread of its own, so that Hypothesis can ask it from plain functions."""

    def __init__(self, node: Node) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.node = node
        self.run(node.start())
        self.http = self.run(self._session())
        self.api = BackEnd(self.http, node.url)

    async def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def stop(self) -> None:
        self.run(self.http.close())
        self.run(self.node.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background]:
    server = Background(Node(settings(tmp_path_factory.mktemp("node"))))
    server.run(server.api.room("known"))
    server.run(server.api.session("known", session="known"))
    yield server
    server.stop()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
ids = st.sampled_from(["known", "anna", "x"]) | st.text(min_size=1, max_size=70)
roles = st.sampled_from(["therapist", "client", "guest", "operator", "x"])
near_misses = st.fixed_dictionaries(
    {},
    optional={
        "room": ids | json_values,
        "session": ids | json_values,
        "account": ids | json_values,
        "role": roles | json_values,
        "device": ids | json_values,
        "members": st.lists(st.fixed_dictionaries({"account": ids, "role": roles}), max_size=3) | json_values,
        "invited": st.lists(ids, max_size=3) | json_values,
        "length_seconds": st.integers(-1, 90_000) | json_values,
        "starts_ms": st.integers(0, 2**53) | json_values,
        "modality": st.sampled_from(["video", "audio", "chat"]) | json_values,
        "extra": json_values,
    },
)
bodies = st.binary(max_size=60) | (near_misses | json_values).map(lambda value: json.dumps(value).encode())


def documented(endpoint: AnyEndpoint, answer: Answer) -> None:
    """The answer is one that the OpenAPI document has, in the form that it has there."""
    responses = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]["responses"]
    assert str(answer.status) in responses, answer.text
    assert answer.status != 500, answer.text
    if answer.status >= 400:
        _, name = answer.refusal
        assert f"`{name}`" in responses[str(answer.status)]["description"]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
@given(data=st.data())
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_gets_a_documented_answer(
    server: Background, endpoint: AnyEndpoint, data: st.DataObject
) -> None:
    path = endpoint.path
    for name in re.findall(r"{(\w+)}", path):
        chosen = data.draw(ids.filter(lambda text: text not in {".", ".."}), label=name)
        path = path.replace(f"{{{name}}}", quote(chosen, safe=""))
    if endpoint.paged and data.draw(st.booleans()):
        path += f"?limit={data.draw(st.integers(-5, 300))}"
    body = data.draw(bodies, label="body") if endpoint.body else None
    documented(endpoint, server.run(server.api.ask(endpoint.method, path, body)))


def test_the_server_has_lived_through_it(server: Background) -> None:
    assert server.run(server.api.get("/readyz")).json["ready"]
    assert server.run(server.api.get("/v1/rooms/known")).status == 200

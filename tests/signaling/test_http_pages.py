"""Pages, health and the trial of development mode."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from signaling.http import health as health_module
from signaling.node import Node
from tests.signaling.door_client import door_client
from tests.signaling.nodes import BackEnd, back_end, running_node, settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with running_node(settings(tmp_path_factory.mktemp("node")), development=True) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node, "") as api:
        yield api


async def test_pages_are_served_with_a_strict_policy_and_asked_for_again(api: BackEnd) -> None:
    page = await api.get("/app/therapist.html")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    again = await api.ask("GET", "/app/therapist.html", If_None_Match=page.headers["ETag"])
    assert (again.status, again.text) == (304, "")
    assert (await api.get("/")).text == (await api.get("/app/index.html")).text


async def test_every_file_that_a_page_names_is_there(api: BackEnd) -> None:
    for name in ("index", "therapist", "client"):
        html = (await api.get(f"/app/{name}.html")).text
        for address in re.findall(r'(?:src|href)="([^"#]+)"', html):
            path = address if address.startswith("/") else f"/app/{address}"
            assert (await api.get(path)).status == 200, address


@pytest.mark.parametrize(
    "path",
    [
        "/app/",
        "/app/nothing.js",
        "/app/../node.py",
        "/app/%2e%2e/__init__.py",
        "/app//etc/passwd",
        "/app/__init__.py",
    ],
)
async def test_nothing_else_is_served(api: BackEnd, path: str) -> None:
    assert (await api.get(path)).status == 404


async def test_a_trial_gives_two_links_with_their_tokens_behind_the_hash(api: BackEnd, node: Node) -> None:
    links = (await api.ask("POST", "/dev/session", b'{"length_seconds":60,"modality":"chat"}')).json
    connect = f"{node.url.replace('http', 'ws')}/v1/connect"
    for role in ("therapist", "client"):
        parts = urlsplit(links[role])
        assert (parts.path, parts.query) == (f"/app/{role}.html", "")
        given = parse_qs(parts.fragment)
        async with door_client(connect) as person:
            welcome = await person.hello(given["token"][0])
            assert welcome["role"] == role
            joined = await person.request("session.join", session=given["session"][0])
            assert joined["result"]["modality"] == "chat"
    assert (await api.ask("POST", "/dev/session")).status == 201
    assert (await api.ask("POST", "/dev/session", b'{"x":1}')).refusal == (400, "invalid_field")


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"X_Forwarded_For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}],
)
async def test_a_trial_is_for_this_machine_only(api: BackEnd, headers: dict[str, str]) -> None:
    assert (await api.ask("POST", "/dev/session", **headers)).refusal == (403, "forbidden")


async def test_health_says_what_answers(api: BackEnd, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await api.get("/healthz")).text == "ok\n"
    ready = await api.get("/readyz")
    assert (ready.status, ready.json) == (
        200,
        {"ready": True, "serving": True, "store": True, "bus": True, "cluster": True, "media": True},
    )

    async def hangs() -> None:
        raise TimeoutError

    monkeypatch.setattr(health_module, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(node.store, "statistics", hangs)
    unready = await api.get("/readyz")
    assert (unready.status, unready.json["store"]) == (503, False)
    assert (await api.get("/healthz")).status == 200
    monkeypatch.undo()
    node.serving = False
    assert (await api.get("/readyz")).status == 503
    node.serving = True

"""Deliveries over the API and by ``rapport webhooks``: listed, replayed, dropped, and only for operators."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config import DEVELOPMENT_KEY
from config.settings import WebhookSettings
from signaling import cli
from signaling.node import Node
from tests.signaling.nodes import SECRET, BackEnd, back_end, running_node, settings, token
from tests.signaling.waiting import PATIENCE_SECONDS
from tests.signaling.webhook_kit import SECRET as SIGNING
from tests.signaling.webhook_kit import Received, Receiver, receiver


@dataclasses.dataclass
class Place:
    """A node, its back end, and a receiver that answers with ``status``."""

    node: Node
    api: BackEnd
    there: Receiver
    answers: list[int]

    async def listed(self, state: str, count: int) -> list[Any]:
        """The deliveries in a state, once there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                items: list[Any] = (await self.api.get(f"/v1/webhooks/{state}")).json["items"]
                if len(items) >= count:
                    return items
                await asyncio.sleep(0.01)

    async def command(self, *arguments: str) -> int:
        """``rapport webhooks`` with these arguments, against the node."""
        options = ["--url", self.node.url, "--key", DEVELOPMENT_KEY, "--secret", SECRET]
        return await asyncio.to_thread(cli.main, ["webhooks", *arguments, *options])


@asynccontextmanager
async def placed(folder: Path, status: int) -> AsyncIterator[Place]:
    answers = [status]

    async def respond(_: Received) -> web.Response:
        return web.Response(status=answers[-1])

    async with receiver(respond) as there:
        told = WebhookSettings(
            endpoints={"there": there.url},
            secrets={"there": SIGNING},
            retry_seconds=0.05,
            retry_max_seconds=0.1,
        )
        async with running_node(settings(folder, webhooks=told)) as node, back_end(node) as api:
            yield Place(node, api, there, answers)


@pytest.fixture
async def refused(tmp_path: Path) -> AsyncIterator[Place]:
    """Three deliveries that were given up."""
    async with placed(tmp_path, 410) as place:
        await place.api.room("r", anna="therapist", ben="client", cleo="guest")
        await place.listed("dead", 3)
        yield place


async def test_what_was_given_up_is_listed_in_pages(refused: Place) -> None:
    first = (await refused.api.get("/v1/webhooks/dead?limit=2")).json
    rest = (await refused.api.get(f"/v1/webhooks/dead?limit=2&cursor={first['next']}")).json
    assert "next" not in rest
    items = [*first["items"], *rest["items"]]
    assert [item["delivery"] for item in items] == [got.id for got in refused.there.received]
    for item in items:
        assert (item["endpoint"], item["type"], item["room"]) == ("there", "room.member_added", "r")
        assert (item["state"], item["failure"], item["attempts"]) == ("dead", "status_410", 1)
        assert "due_ms" not in item
    assert (await refused.api.get("/v1/webhooks/waiting")).json == {"items": []}


async def test_replaying_by_id_delivers_again_under_the_same_id(refused: Place) -> None:
    refused.answers.append(200)
    first, second, _ = (got.id for got in refused.there.received)
    reply = await refused.api.post("/v1/webhooks/replay", {"deliveries": [second, first, second]})
    assert (reply.status, reply.json["replayed"]) == (200, 2)
    await refused.listed("delivered", 2)
    assert [got.id for got in refused.there.received[3:]] == [second, first]
    assert len(await refused.listed("dead", 1)) == 1


async def test_replaying_what_was_given_up_keeps_the_order(refused: Place) -> None:
    refused.answers.append(200)
    reply = (await refused.api.post("/v1/webhooks/replay", {"state": "dead"})).json
    assert (reply["replayed"], "more" in reply) == (3, False)
    await refused.listed("delivered", 3)
    ids = [got.id for got in refused.there.received]
    assert ids[3:] == ids[:3]
    assert [got.body for got in refused.there.received[:3]] == [
        got.body for got in refused.there.received[3:]
    ]


async def test_replaying_a_span_of_time_or_an_endpoint(refused: Place) -> None:
    since = [item["since_ms"] for item in await refused.listed("dead", 3)]
    for chosen, count in (
        ({"since_ms": since[-1] + 1}, 0),
        ({"until_ms": since[0]}, 0),
        ({"endpoint": "elsewhere"}, 0),
        ({"endpoint": "there", "since_ms": since[0], "until_ms": since[-1] + 1}, 3),
    ):
        reply = await refused.api.post("/v1/webhooks/replay", {"state": "dead", **chosen})
        assert reply.json["replayed"] == count, chosen


async def test_the_same_replay_twice_is_one(refused: Place) -> None:
    replies = [await refused.api.post("/v1/webhooks/replay", {"state": "dead"}, key="once") for _ in range(2)]
    assert replies[0].json == replies[1].json
    await refused.there.until(6)
    await refused.listed("dead", 3)
    assert len(refused.there.received) == 6


async def test_dropping(refused: Place) -> None:
    first, second, third = (got.id for got in refused.there.received)
    reply = await refused.api.post("/v1/webhooks/drop", {"deliveries": [first, third]})
    assert (reply.status, reply.json) == (200, {"dropped": 2})
    assert [item["delivery"] for item in await refused.listed("dead", 1)] == [second]
    for path in ("replay", "drop"):
        gone = await refused.api.post(f"/v1/webhooks/{path}", {"deliveries": [second, first]})
        assert gone.refusal == (404, "no_such_delivery")
    assert len(await refused.listed("dead", 1)) == 1


async def test_bad_requests(refused: Place) -> None:
    api = refused.api
    assert (await api.get("/v1/webhooks/lost")).refusal == (404, "not_found")
    assert (await api.post("/v1/webhooks/replay", {})).refusal == (400, "invalid_field")
    assert (await api.post("/v1/webhooks/replay", {"state": "waiting"})).refusal == (400, "invalid_field")
    assert (await api.post("/v1/webhooks/drop", {"deliveries": []})).refusal == (400, "invalid_field")
    many = {"deliveries": ["x"] * 201}
    assert (await api.post("/v1/webhooks/drop", many)).refusal == (400, "invalid_field")


@pytest.mark.parametrize(
    ("bearer", "name"),
    [
        (token(scope="rooms sessions accounts"), "token_scope"),
        (token("anna", "therapist", scope="webhooks"), "forbidden"),
        (token(room="r"), "token_scope"),
        (token(session="s"), "token_scope"),
    ],
)
async def test_deliveries_are_for_operators(refused: Place, bearer: str, name: str) -> None:
    body = {"deliveries": [refused.there.received[0].id]}
    async with back_end(refused.node, bearer) as other:
        assert (await other.get("/v1/webhooks/dead")).refusal == (403, name)
        assert (await other.post("/v1/webhooks/replay", body)).refusal == (403, name)
        assert (await other.post("/v1/webhooks/drop", body)).refusal == (403, name)


async def test_metrics_tell_how_it_goes(tmp_path: Path) -> None:
    async with placed(tmp_path, 500) as place:
        await place.api.room("canary-room", canary_anna="therapist", canary_ben="client")
        await place.there.until(3)
        text = (await place.api.get("/metrics")).text
        found = {
            line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line[0] != "#"
        }
        assert found['rapport_webhook_waiting{endpoint="there"}'] == 2
        assert found['rapport_webhook_dead{endpoint="there"}'] == 0
        assert found['rapport_webhook_oldest_seconds{endpoint="there"}'] > 0
        assert found['rapport_webhook_attempts_total{endpoint="there",outcome="failed"}'] >= 2
        assert "canary" not in text


async def test_the_log_names_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with placed(tmp_path, 410) as place:
        await place.api.room("canary-room", canary_anna="therapist")
        (item,) = await place.listed("dead", 1)
        shown = capfd.readouterr()
    assert "delivery_dead" in shown.out + shown.err
    assert item["delivery"] in shown.out + shown.err
    assert "canary" not in shown.out + shown.err
    assert place.there.url not in shown.out + shown.err
    assert SIGNING not in shown.out + shown.err


# --- rapport webhooks


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a command has printed, without what the node of this process has logged meanwhile."""
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line)]


async def test_the_command_lists(refused: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert await refused.command("list") == 0
    lines = said(capsys)
    assert [line.split()[0] for line in lines] == [got.id for got in refused.there.received]
    assert all("there  room.member_added  r  2" in line and line.endswith("status_410") for line in lines)
    assert await refused.command("list", "--waiting") == 0
    assert said(capsys) == []


async def test_the_command_replays_all(
    refused: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signaling.http.webhooks.MAX_DELIVERIES", 2)
    refused.answers.append(200)
    assert await refused.command("replay", "--all") == 0
    assert said(capsys) == ["3 to be delivered once more"]
    await refused.listed("delivered", 3)
    # Each of those is replayed once, however soon it has been delivered again.
    assert await refused.command("replay", "--delivered", "--since", "2020-01-01", "--endpoint", "there") == 0
    assert said(capsys) == ["3 to be delivered once more"]
    await refused.there.until(9)
    assert await refused.command("replay", "--delivered", "--since", "2999-01-01T00:00+01:00") == 0
    assert said(capsys) == ["0 to be delivered once more"]


async def test_the_command_replays_and_drops_by_id(
    refused: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, _ = (got.id for got in refused.there.received)
    assert await refused.command("replay", first) == 0
    assert await refused.command("drop", second) == 0
    assert said(capsys) == ["1 to be delivered once more", "1 forgotten"]
    assert await refused.command("drop", second) == 1
    assert "no_such_delivery" in capsys.readouterr().err


async def test_what_the_command_refuses(refused: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert await refused.command("replay") == 1
    assert await refused.command("replay", "--all", "some-id") == 1
    assert await refused.command("list", "--secret", "short") in {0, 2}
    with pytest.raises(SystemExit):
        cli.main(["webhooks", "replay", "--since", "yesterday", "--key", "k"])
    capsys.readouterr()
    assert cli.main(["webhooks", "list", "--key", "k", "--secret", "short"]) == 2
    assert "32 bytes" in capsys.readouterr().err
    unreachable = ["--url", "http://127.0.0.1:9", "--key", "k", "--secret", SECRET]
    assert await asyncio.to_thread(cli.main, ["webhooks", "list", *unreachable]) == 1
    assert "does not answer" in capsys.readouterr().err

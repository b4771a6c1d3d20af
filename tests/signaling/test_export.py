"""Everything that there is of an account, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from protocol.codec import encode_body
from protocol.events import MessageBody
from relay.inbox import MESSAGE
from relay.writes import Append
from signaling.export.service import PAGE, Export
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token
from tests.signaling.retention_kit import practice

PATH = "/v1/accounts/ben/export"


async def exported(api: BackEnd, account: str = "ben") -> list[dict[str, Any]]:
    answer = await api.get(f"/v1/accounts/{account}/export")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson; charset=utf-8")
    return [json.loads(line) for line in answer.text.splitlines()]


def of(lines: list[dict[str, Any]], kind: str) -> list[Any]:
    return [line["value"] for line in lines if line["kind"] == kind]


async def test_everything_of_one_account_and_nothing_of_others(tmp_path: Path) -> None:
    scope = "rooms sessions accounts export"
    async with running_node(settings(tmp_path)) as node, back_end(node, token(scope=scope)) as api:
        await api.room("r", anna="therapist", ben="client")
        await api.room("q", anna="therapist", cleo="client")
        session = await api.session("r")
        other = await api.session("q")
        mid = uuid.UUID(int=7)
        body = encode_body(MessageBody(mid, b"sealed"))
        for room in ("r", "q"):
            await node.store.commit(Append(room, "anna", room, mid.bytes, body, 5, MESSAGE))
        hours = {"zone": "Europe/Berlin", "quiet": []}
        assert (await api.post("/v1/accounts/anna/hours", {"hours": hours})).status == 200
        lines = await exported(api)
        assert lines[0]["value"]["account"] == "ben"
        assert [one["room"] for one in of(lines, "membership")] == ["r"]
        events = of(lines, "event")
        assert [one["offset"] for one in events] == list(range(1, len(events) + 1))
        (message,) = [one for one in events if "mid" in one["body"]]
        assert base64.b64decode(message["body"]["data"]) == b"sealed"
        assert [one["session"] for one in of(lines, "session")] == [session["session"]]
        assert other["session"] not in json.dumps(lines)
        assert "cleo" not in json.dumps(lines)
        assert {one["action"] for one in of(lines, "audit")} == {"member.added.client"}
        of_anna = await exported(api, "anna")
        assert [one["zone"] for one in of(of_anna, "hours")] == ["Europe/Berlin"]
        assert {one["room"] for one in of(of_anna, "membership")} == {"q", "r"}
        assert [line["kind"] for line in await exported(api, "nobody")] == ["account"]


@pytest.mark.parametrize("bearer", [token(scope="accounts rooms audit"), token(scope="export", room="r")])
async def test_it_is_not_for_everyone(tmp_path: Path, bearer: str) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node, bearer) as api:
        assert (await api.get(PATH)).refusal == (403, "token_scope")


async def test_the_glass_does_not_open_it(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node, token(scope="break_glass")) as api:
        asked = {"scope": "export", "reason": "an emergency", "minutes": 5}
        assert (await api.post("/v1/break-glass", asked)).refusal == (400, "invalid_field")


async def test_logs_of_any_length_are_read_in_pages(tmp_path: Path) -> None:
    """Also one that is purged while it is read."""
    async with practice(tmp_path, days=1) as there:
        await there.rooms.create("r", b"", (("anna", "therapist"),))
        await asyncio.gather(*[there.send("r", b"x", number=number) for number in range(PAGE + 50)])
        await there.receive("r", "anna")
        export = Export(there.store, there.timebase)
        chunks = [chunk async for chunk in export.lines("anna")]
        assert max(chunk.count(b"\n") for chunk in chunks) == PAGE
        assert b"".join(chunks).count(b'"kind":"event"') == PAGE + 51
        reading = export.lines("anna")
        while b'"kind":"event"' not in await anext(reading):
            pass
        there.pass_days(2)
        await there.retention.purge()
        rest = b"".join([chunk async for chunk in reading])
        assert b'"kind":"event"' not in rest
        assert b"room.purged" not in rest, "that is about the room"

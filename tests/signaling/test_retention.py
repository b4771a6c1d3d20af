"""Retention of rooms: what is purged when, what is recorded and told of it, and over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from config import DEVELOPMENT_KEY
from config.settings import RetentionSettings
from protocol.errors import ProtocolError
from relay.audit_trail import AuditFilter, AuditHold, HoldAudit, ReleaseAudit
from signaling.retention.service import RetentionTerms, kept
from tests.signaling.door_client import door_client
from tests.signaling.nodes import back_end, running_node, settings, token
from tests.signaling.retention_kit import Practice, practice

PURGED = ("room.purged", "retention.set")


async def room(there: Practice, name: str = "r") -> None:
    """A room of Anna and Ben with a message that both have received."""
    await there.rooms.create(name, b"", (("anna", "therapist"), ("ben", "client")))
    await there.send(name, b"hello", number=int.from_bytes(name.encode(), "big"))
    await there.receive(name, "anna", "ben")


async def test_messages_are_kept_for_ever_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    async with practice(tmp_path) as there:
        await room(there)
        there.pass_days(36_000)
        await there.retention.purge()
        assert await there.left("r") == (1, 0)


async def test_a_room_is_purged_when_its_time_has_come(tmp_path: Path) -> None:
    async with practice(tmp_path, days=30) as there:
        await room(there)
        there.pass_days(29.9)
        await there.retention.purge()
        assert await there.left("r") == (1, 0)
        there.pass_days(0.2)
        await there.retention.purge()
        await there.retention.purge()
        assert await there.left("r") == (4, 1), "with what the server has written before it"
        assert await there.recorded(*PURGED) == [("room.purged", "r", 1)]


async def test_rooms_say_what_holds_for_them(tmp_path: Path) -> None:
    async with practice(tmp_path, days=30) as there:
        for name, days in (("a", 10), ("b", None), ("c", 0)):
            await room(there, name)
            await there.rooms.commit(kept(name, RetentionTerms(days)))
        there.pass_days(11)
        await there.retention.purge()
        assert [(await there.left(name))[1] for name in "abc"] == [1, 0, 0]
        there.pass_days(20)
        await there.retention.purge()
        assert [(await there.left(name))[1] for name in "abc"] == [1, 1, 0]
        assert [name for _, name, _ in await there.recorded("retention.set")] == ["a", "b", "c"]


async def test_who_is_silent_does_not_hold_it_up_for_ever(tmp_path: Path) -> None:
    async with practice(tmp_path, days=30, wait_days=60) as there:
        await room(there)
        await there.send("r", b"are you there?", number=1)
        there.pass_days(89)
        await there.retention.purge()
        assert await there.left("r") == (4, 1), "the second is not received"
        there.pass_days(2)
        await there.retention.purge()
        assert await there.left("r") == (5, 2)


async def test_a_hold_stops_it_and_its_release_resumes_it(tmp_path: Path) -> None:
    async with practice(tmp_path, days=30) as there:
        await room(there)
        await there.rooms.commit(HoldAudit(AuditHold("room", "r", 1)))
        there.pass_days(400)
        await there.retention.purge()
        assert await there.left("r") == (1, 0)
        await there.rooms.commit(ReleaseAudit("room", "r"))
        await there.retention.purge()
        assert await there.left("r") == (4, 1)


async def test_more_rooms_than_a_page(tmp_path: Path) -> None:
    async with practice(tmp_path, days=1) as there:

        async def fill(number: int) -> None:
            name = f"{number:03}"
            await there.rooms.create(name, b"", (("anna", "therapist"),))
            await there.send(name, b"note", number=number)
            await there.receive(name, "anna")

        await asyncio.gather(*[fill(number) for number in range(205)])
        there.pass_days(2)
        await there.retention.purge()
        assert {await there.left(f"{number:03}") for number in range(205)} == {(3, 1)}


async def test_over_http(tmp_path: Path) -> None:
    given = settings(tmp_path, retention=RetentionSettings(message_days=365))
    async with running_node(given) as node, back_end(node) as api:
        await api.room("r")
        path = "/v1/rooms/r/retention"
        item = {"days": 365, "own": False, "lowest": 1, "expired": 0}
        assert (await api.get(path)).json == item
        answer = await api.post(path, {"days": 30})
        assert (answer.status, answer.json) == (200, item | {"days": 30, "own": True})
        assert (await api.get(path)).json == item | {"days": 30, "own": True}
        assert (await api.post(path, {})).json == item
        for wrong in ({"days": -1}, {"days": 40_000}, {"days": 1.5}, {"weeks": 1}):
            assert (await api.post(path, wrong)).refusal == (400, "invalid_field")
        for answer in (
            await api.get("/v1/rooms/x/retention"),
            await api.post("/v1/rooms/x/retention", {"days": 1}),
        ):
            assert answer.refusal == (404, "no_such_room")
    async with running_node(given) as node, back_end(node, token(scope="sessions")) as api:
        assert (await api.get(path)).refusal == (403, "token_scope")


async def test_devices_are_told_how_many_have_expired(tmp_path: Path) -> None:
    async with practice(tmp_path, days=30) as there:
        await room(there)
        await there.send("r", b"second", number=1)
        there.pass_days(40)
        await there.retention.purge()
    async with (
        running_node(settings(tmp_path)) as node,
        door_client(f"{node.url.replace('http', 'ws')}/v1/connect") as ben,
    ):
        await ben.hello(token("ben", "client"))
        reset = await ben.op("reset")
        assert (reset["reason"], reset["lowest"], reset["expired"]) == ("purged", 4, 1)
        assert [event["offset"] for event in await ben.events("r", 1)] == [4]
        seen = await ben.request("room.get", room="r")
        page = await ben.request("room.history", room="r", after=3)
        assert [(one["lowest"], one["expired"]) for one in (seen["result"], page["result"])] == [(4, 1)] * 2


async def test_a_room_is_deleted_once_all_of_it_is_past_its_retention(tmp_path: Path) -> None:
    async with practice(tmp_path) as there:
        await room(there)
        with pytest.raises(ProtocolError, match="younger messages"):
            await there.retention.delete("r")
        await there.rooms.commit(kept("r", RetentionTerms(30)))
        there.pass_days(29)
        with pytest.raises(ProtocolError, match="younger messages"):
            await there.retention.delete("r")
        there.pass_days(2)
        await there.retention.delete("r")
        assert await there.store.room("r") is None
        assert await there.recorded("room.deleted") == [("room.deleted", "r", 1)]
        assert await there.store.documents("retention", ["r"]) == {}


async def test_a_deleted_room_over_http(tmp_path: Path) -> None:
    scope = "rooms audit holds"
    async with (
        running_node(settings(tmp_path)) as node,
        back_end(node, token(scope=scope)) as api,
        door_client(f"{node.url.replace('http', 'ws')}/v1/connect") as ben,
    ):
        await api.room("r")
        await ben.hello(token("ben", "client"))
        await ben.op("caught_up")
        answer = await api.post("/v1/audit/holds", {"kind": "room", "id": "r", "reason": "inquiry 7"})
        assert (answer.status, answer.json["reason"]) == (201, "inquiry 7")
        (hold,) = (await api.get("/v1/audit/holds")).json["items"]
        assert (hold["account"], hold["reason"]) == (f"backend@{DEVELOPMENT_KEY}", "inquiry 7")
        assert (await api.ask("DELETE", "/v1/rooms/r")).refusal == (409, "legal_hold")
        placed = await node.store.audit(after=0, limit=99, matching=AuditFilter(action="hold.placed"))
        assert [one.entry.reason for one in placed] == ["inquiry 7"]
        assert (await api.ask("DELETE", "/v1/audit/holds/room/r")).status == 204
        assert (await api.ask("DELETE", "/v1/rooms/r")).status == 204
        assert (await ben.op("removed"))["room"] == "r"
        for method in ("DELETE", "GET"):
            assert (await api.ask(method, "/v1/rooms/r")).refusal == (404, "no_such_room")
        assert (await api.post("/v1/rooms", {"room": "r"})).refusal == (409, "already_exists")
        assert (await api.get("/v1/rooms")).json["items"] == []

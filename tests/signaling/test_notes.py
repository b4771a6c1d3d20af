"""Private notes: one room beside each room and therapist, which nobody else comes to know of."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from config.settings import WebhookSettings
from signaling.notes import Notes, is_notes, notes_beside
from tests.signaling.door_client import DoorClient, door_client
from tests.signaling.nodes import back_end, running_node, settings, token
from tests.signaling.retention_kit import practice
from tests.signaling.waiting import until
from tests.signaling.webhook_kit import SECRET, receiver

SCOPE = "rooms sessions accounts export audit"


async def opened(client: DoorClient, room: str = "r") -> str:
    answer = await client.request("notes.open", room=room)
    return str(answer["result"]["room"])


def test_a_room_of_notes_belongs_to_one_room_and_one_account() -> None:
    names = {notes_beside(*pair) for pair in (("r", "ann"), ("r", "ben"), ("ra", "nn"), ("q", "ann"))}
    assert len(names) == 4
    assert all(is_notes(name) and len(name) <= 64 for name in names)


async def test_notes_are_nobody_elses(tmp_path: Path) -> None:
    async with receiver() as there:
        told = WebhookSettings(endpoints={"there": there.url}, secrets={"there": SECRET})
        async with (
            running_node(settings(tmp_path, webhooks=told)) as node,
            back_end(node, token(scope=SCOPE)) as api,
            door_client(f"{node.url.replace('http', 'ws')}/v1/connect") as anna,
            door_client(f"{node.url.replace('http', 'ws')}/v1/connect") as ben,
        ):
            await api.room("r", anna="therapist", ben="client")
            await anna.hello(token("anna", "therapist"))
            await ben.hello(token("ben", "client"))
            notes = await opened(anna)
            assert await opened(anna) == notes
            assert (await ben.request("notes.open", room="r"))["name"] == "forbidden"
            for room in ("x", notes):
                assert (await anna.request("notes.open", room=room))["name"] == "no_such_room"
            assert (await anna.message(notes, b"my impression"))["op"] == "ok"
            assert (await anna.events(notes, 1))[0]["body"]["data"] == b"my impression"
            seen = (await anna.request("room.get", room=notes))["result"]["members"]
            assert [member["account"] for member in seen] == ["anna"]

            for op, more in (("room.get", {}), ("room.history", {"after": 0}), ("room.receipts", {})):
                assert (await ben.request(op, room=notes, **more))["name"] == "no_such_room"
            assert (await ben.message(notes, b"hello"))["name"] == "no_such_room"
            inbox = await ben.request("inbox.get")
            assert [one["room"] for one in inbox["result"]["rooms"]] == ["r"]

            assert [one["room"] for one in (await api.get("/v1/rooms")).json["items"]] == ["r"]
            someone = {"account": "eve", "role": "therapist"}
            for answer in (
                await api.get(f"/v1/rooms/{notes}"),
                await api.post(f"/v1/rooms/{notes}/members", someone),
                await api.ask("DELETE", f"/v1/rooms/{notes}"),
                await api.post("/v1/rooms", {"room": notes}),
            ):
                assert answer.refusal == (400, "invalid_field")
            assert "notes:" not in (await api.get("/v1/accounts/ben/export")).text
            assert notes in (await api.get("/v1/accounts/anna/export")).text
            about_ben = await api.get("/v1/audit?object_kind=account&object_id=ben")
            assert "notes:" not in about_ben.text

            await api.ask("DELETE", "/v1/rooms/r/members/ben")
            assert await opened(anna) == notes
            history = await anna.request("room.history", room=notes, after=0)
            assert len(history["result"]["events"]) == 1
            await until(lambda: any("room.member_removed" in each.body.decode() for each in there.received))
            assert not [each for each in there.received if "notes:" in each.body.decode()]


async def test_a_back_end_makes_them(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("r", anna="therapist", ben="client")
        first = await api.post("/v1/rooms/r/notes", {"account": "anna"})
        again = await api.post("/v1/rooms/r/notes", {"account": "anna"}, key="once-more")
        repeated = await api.post("/v1/rooms/r/notes", {"account": "anna"}, key="once-more")
        assert (first.status, first.json) == (200, {"room": notes_beside("r", "anna")})
        assert first.json == again.json == repeated.json
        assert (await api.post("/v1/rooms/r/notes", {"account": "ben"})).refusal == (403, "forbidden")
        assert (await api.post("/v1/rooms/r/notes", {"account": "eve"})).refusal == (404, "no_such_room")
        assert [one.account for one in await node.store.members(first.json["room"])] == ["anna"]
        assert json.loads((await api.get("/v1/rooms")).text)["items"][0]["room"] == "r"


async def test_two_devices_at_once_get_the_same_room(tmp_path: Path) -> None:
    async with practice(tmp_path) as there:
        await there.rooms.create("r", b"", (("anna", "therapist"),))
        notes = Notes(there.store, there.rooms, there.timebase)
        first, second = await asyncio.gather(notes.open("r", "anna"), notes.open("r", "anna"))
        assert first == second

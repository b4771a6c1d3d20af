"""A whole node whose store is a database of PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from config.settings import StoreSettings
from signaling.node import Node
from tests.conformance.places import PostgresPlace, postgres_place, server
from tests.signaling.door_client import Frame, door_client, new_mid
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token
from tests.signaling.waiting import PATIENCE_SECONDS


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresPlace]:
    monkeypatch.chdir(tmp_path)  # keys and attachments have no store's file to be beside
    with postgres_place(tmp_path) as made:
        yield made


@pytest.fixture
async def node(place: PostgresPlace, tmp_path: Path) -> AsyncIterator[Node]:
    store = StoreSettings(place.target.url, statement_seconds=60.0, patience_seconds=60.0)
    async with running_node(settings(tmp_path, store=store)) as node:
        yield node


@pytest.fixture
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node) as api:
        yield api


def wire(api: BackEnd) -> str:
    """Where the WebSocket is."""
    return api.url.replace("http", "ws", 1) + "/v1/connect"


def has_come(frame: Frame) -> bool:
    return bool(frame["op"] == "event" and frame["body"].get("data") == b"hello")


async def test_a_message_goes_from_one_to_the_other_and_is_there_for_who_comes_later(api: BackEnd) -> None:
    await api.room("r")
    session = await api.session("r")
    async with door_client(wire(api)) as anna, door_client(wire(api)) as ben:
        await anna.hello(token("anna", "therapist"), "desk")
        await ben.hello(token("ben", "client"), "phone")
        sent = (await anna.message("r", b"hello"))["result"]
        event = await ben.expect(has_come)
        assert event["offset"] == sent["offset"]
        await ben.ack(event)
        await anna.request("session.join", session=session["session"])
    async with door_client(wire(api)) as laptop:
        await laptop.hello(token("ben", "client"), "laptop")
        await laptop.expect(has_come)
    assert (await api.get(f"/v1/sessions/{session['session']}")).json["room"] == "r"


async def test_text_that_postgresql_cannot_hold_is_refused_and_disturbs_nobody(api: BackEnd) -> None:
    await api.room("r")
    async with door_client(wire(api)) as anna:
        await anna.hello(token("anna", "therapist"), "desk")
        for op, fields in {"room.get": {"room": "a\0b"}, "session.get": {"session": "\0"}}.items():
            assert (await anna.request(op, **fields))["name"] == "invalid_field"
        for number, room in enumerate(("\0", "r"), start=100):  # written together
            await anna.send(
                {"op": "message.send", "id": number, "room": room, "mid": new_mid(), "data": b"x"}
            )
        assert (await anna.expect(lambda frame: frame.get("id") == 100))["name"] == "invalid_field"
        assert (await anna.expect(lambda frame: frame.get("id") == 101))["op"] == "ok"
    assert (await api.get("/v1/rooms/a%00b")).refusal == (400, "invalid_field")


async def test_a_node_is_not_ready_while_its_database_is_away_and_is_again_by_itself(
    api: BackEnd, place: PostgresPlace
) -> None:
    async def until(status: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await api.get("/readyz")).status != status:  # noqa: ASYNC110 - it asks over HTTP
                await asyncio.sleep(0.05)

    await until(200)
    server().sql(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS false")
    try:
        server().sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{place.name}'")  # noqa: S608 - a name of ours
        await until(503)
        assert (await api.get("/healthz")).status == 200
    finally:
        server().sql(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS true")
    await until(200)
    await api.room("r")

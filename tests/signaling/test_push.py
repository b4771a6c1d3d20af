"""Doorbells of a whole node, rung at a push service of ours: when, how, and when not."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from config.settings import PushSettings, WebhookSettings
from relay.push import DueDoorbell
from signaling.push.calling import Caller
from signaling.webhooks.schedule import Failed
from tests.signaling.door_client import DoorClient, Frame, door_client
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token
from tests.signaling.waiting import PATIENCE_SECONDS
from tests.signaling.webhook_kit import SECRET, Received, Receiver, receiver

AT_ONCE = PushSettings(
    services=("127.0.0.1",), contact="mailto:ops@example.org", after_seconds=0.1, private=True
)
FAR_MS = 10**15
ALWAYS = [{"day": day, "starts": 0, "ends": 1440} for day in range(7)]


class World:
    """A node with the rooms ``a`` and ``b`` of anna and ben, a push service, and the platform's back end."""

    def __init__(self, stack: AsyncExitStack, there: Receiver, platform: Receiver) -> None:
        self.there = there
        self.platform = platform
        self.answers: list[int] = []
        self._stack = stack
        there.respond = self._respond

    async def start(self, folder: Path, push: PushSettings = AT_ONCE) -> None:
        hooks = WebhookSettings(
            endpoints={"platform": self.platform.url},
            secrets={"platform": SECRET},
            types={"platform": "push.doorbell"},
            retry_seconds=0.05,
            retry_max_seconds=0.1,
        )
        given = settings(folder, push=push, webhooks=hooks)
        self.node = await self._stack.enter_async_context(running_node(given))
        self.api: BackEnd = await self._stack.enter_async_context(back_end(self.node))
        for room in ("a", "b"):
            await self.api.room(room)

    async def person(self, account: str, device: str) -> DoorClient:
        """Someone connected."""
        url = f"{self.node.url.replace('http', 'ws', 1)}/v1/connect"
        client = await self._stack.enter_async_context(door_client(url))
        await client.hello(token(account, "therapist" if account == "anna" else "client"), device)
        return client

    async def away(self, account: str = "ben", device: str = "phone", **fields: Any) -> Frame:
        """A device that sets its doorbell, has everything, and goes; what it was answered."""
        client = await self.person(account, device)
        answer = await client.request("push.set", **fields)
        await acknowledge(client, device)
        await client.socket.close()
        return dict(answer["result"])

    async def rests(self, device: str = "phone") -> DueDoorbell | None:
        """Wait until everything was examined and the doorbell is not due; how it waits, if it does."""
        store, timebase = self.node.store, self.node.timebase
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await store.unrung(appended_before_ms=timebase.now_ms() + 1, limit=99)
                due = await store.due_doorbells(until_ms=FAR_MS, limit=99)
                bells = [one for one in due if one.bell.device == device]
                if found.through == found.after and all(one.due_ms > timebase.now_ms() for one in bells):
                    return bells[0] if bells else None
                await asyncio.sleep(0.01)

    async def _respond(self, _: Received) -> web.StreamResponse:
        return web.Response(status=self.answers.pop(0) if self.answers else 201)


async def acknowledge(client: DoorClient, device: str) -> None:
    """Acknowledge both rooms as far as they reach, and wait until that is written."""
    for room in ("a", "b"):
        head = (await client.request("room.get", room=room))["result"]["head"]
        if {"device": device, "offset": head} in await own_devices(client, room):
            continue
        await client.ack(await client.expect(partial(_is_at, (room, head))))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while {"device": device, "offset": head} not in await own_devices(client, room):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def _is_at(place: tuple[str, int], frame: Frame) -> bool:
    return frame["op"] == "event" and (frame["room"], frame["offset"]) == place


async def own_devices(client: DoorClient, room: str) -> list[Frame]:
    """What one's own devices have received."""
    members = (await client.request("room.receipts", room=room))["result"]["members"]
    return [device for member in members for device in member.get("devices", ())]


def endpoint(there: Receiver) -> dict[str, str]:
    return {"endpoint": there.url}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(receiver())
        platform = await stack.enter_async_context(receiver())
        made = World(stack, there, platform)
        await made.start(tmp_path)
        yield made


async def test_a_device_that_is_away_is_rung_without_a_word(world: World) -> None:
    told = await world.away(**endpoint(world.there))
    anna = await world.person("anna", "desk")
    await anna.message("a", b"canary of a message")
    (rung,) = await world.there.until(1)
    assert rung.body == b""
    assert (rung.headers["TTL"], rung.headers["Urgency"]) == ("86400", "normal")
    assert set(rung.headers) == {
        "Host",
        "Authorization",
        "TTL",
        "Urgency",
        "Topic",
        "Connection",
        "Content-Length",
    }
    scheme, proof, key = rung.headers["Authorization"].replace(",", "").split(" ")
    assert (scheme, key, told["by"]) == ("vapid", f"k={told['key']}", "web")
    point = base64.urlsafe_b64decode(told["key"] + "=")
    claims = jwt.decode(
        proof.removeprefix("t="),
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point),
        algorithms=["ES256"],
        audience=world.there.url.removesuffix("/hook"),
    )
    assert claims["sub"] == "mailto:ops@example.org"


async def test_once_until_it_comes(world: World) -> None:
    await world.away(**endpoint(world.there))
    anna = await world.person("anna", "desk")
    for room in ("a", "a", "b"):
        await anna.message(room, b"x")
        await world.there.until(1)
        await world.rests()
    assert await world.rests() is not None, "half an hour later it is looked at again"
    assert len(world.there.received) == 1
    await world.away(**endpoint(world.there))
    await anna.message("b", b"y")
    assert len(await world.there.until(2)) == 2
    assert await world.rests() is None


async def test_an_urgent_message_goes_before_and_through_quiet_hours(world: World) -> None:
    await world.away("anna", "pager", **endpoint(world.there))
    anna = await world.person("anna", "desk")
    await anna.request("hours.set", hours={"zone": "UTC", "quiet": ALWAYS})
    ben = await world.person("ben", "phone")
    await ben.message("a", b"x")
    waiting = await world.rests("pager")
    assert waiting is not None
    assert waiting.rung is None
    assert world.there.received == []
    await ben.message("a", b"y", urgent=True)
    (rung,) = await world.there.until(1)
    assert rung.headers["Urgency"] == "high"


async def test_a_device_that_is_there_and_one_that_has_sent_it_are_not_rung(world: World) -> None:
    desk = await world.person("anna", "desk")
    assert (await desk.request("push.set", **endpoint(world.there)))["op"] == "ok"
    await desk.message("a", b"x")
    await acknowledge(desk, "desk")
    ben = await world.person("ben", "phone")
    await ben.message("a", b"y")
    await acknowledge(desk, "desk")
    assert await world.rests("desk") is None


async def test_a_subscription_that_is_over_is_forgotten(world: World) -> None:
    for status in (404, 410):
        world.answers = [status]
        before = len(world.there.received)
        await world.away(**endpoint(world.there))
        anna = await world.person("anna", "desk")
        await anna.message("a", b"x")
        await world.there.until(before + 1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await world.node.store.doorbell("ben", "phone"):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)


async def test_what_fails_is_tried_again(world: World) -> None:
    world.answers = [503, 429, 302]
    await world.away(**endpoint(world.there))
    anna = await world.person("anna", "desk")
    await anna.message("a", b"x")
    assert len(await world.there.until(4)) == 4
    assert await world.rests() is None


async def test_the_platform_rings_where_there_is_no_endpoint(world: World) -> None:
    assert (await world.away("anna", "pager"))["by"] == "platform"
    ben = await world.person("ben", "phone")
    await ben.message("a", b"x", urgent=True)
    (told,) = await world.platform.until(1)
    assert told.signed_by(SECRET)
    assert told.json.keys() == {"id", "type", "at_ms", "data"}
    assert told.json["data"] == {"account": "anna", "device": "pager", "urgent": True}


async def test_what_is_asked_and_cleared(world: World) -> None:
    ben = await world.person("ben", "phone")
    told = (await ben.request("push.get"))["result"]
    assert told.keys() == {"of", "key"}
    assert (await ben.request("push.set", **endpoint(world.there)))["result"] == told | {"by": "web"}
    for _ in range(2):
        assert (await ben.request("push.set"))["result"] == told | {"by": "platform"}
    assert (await ben.request("push.clear"))["op"] == "ok"
    assert (await ben.request("push.get"))["result"] == told
    trail = await world.node.store.audit(after=0, limit=999)
    entries = [one.entry for one in trail if one.entry.action.startswith("push.")]
    assert [(one.actor, one.action, one.object_id) for one in entries] == [
        ("ben", "push.set", "phone"),
        ("ben", "push.set", "phone"),
        ("ben", "push.cleared", "phone"),
    ]
    assert world.there.url not in repr(entries)


async def test_other_addresses_are_refused(world: World) -> None:
    ben = await world.person("ben", "phone")
    for given, name in (
        ("https://push.example/x", "push_endpoint_refused"),
        ("https://10.0.0.1/x", "push_endpoint_refused"),
        ("https://" + "x" * 1024, "invalid_field"),
        ("", "invalid_field"),
    ):
        refused = await ben.request("push.set", endpoint=given)
        assert refused["name"] == name
        assert not given or given not in str(refused)
    assert "by" not in (await ben.request("push.get"))["result"]


async def test_a_token_for_one_room_rings_nothing(world: World) -> None:
    url = f"{world.node.url.replace('http', 'ws', 1)}/v1/connect"
    async with door_client(url) as ben:
        await ben.hello(token("ben", "client", room="a"), "phone")
        assert (await ben.request("push.set"))["name"] == "token_scope"


async def test_the_key_lasts_and_without_a_back_end_only_browsers_are_rung(tmp_path: Path) -> None:
    keys = set()
    for _ in range(2):
        async with running_node(settings(tmp_path)) as node:
            url = f"{node.url.replace('http', 'ws', 1)}/v1/connect"
            async with door_client(url) as ben:
                await ben.hello(token("ben", "client"), "phone")
                keys.add((await ben.request("push.get"))["result"]["key"])
                assert (await ben.request("push.set"))["name"] == "push_not_offered"
    assert len(keys) == 1
    assert (tmp_path / "rapport.db-push-key").stat().st_mode & 0o077 == 0


async def test_a_name_that_stands_for_a_private_address_is_not_connected_to() -> None:
    """However good it looked when it was set: what counts is what it stands for now."""
    async with receiver() as there:
        guarded = Caller(connect_seconds=60, request_seconds=60, private=False)
        address = there.url.replace("127.0.0.1", "localhost")
        assert await guarded.post(address, {}) == Failed("address")
        assert there.received == []
        trusting = Caller(connect_seconds=60, request_seconds=60, private=True)
        assert not isinstance(await trusting.post(address, {}), Failed)
        assert len(there.received) == 1

"""SIGKILL of a server that has to ring: a message that was answered rings the device that is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from tests.faults.processes import server, token
from tests.signaling.door_client import door_client
from tests.signaling.webhook_kit import Received, receiver


async def test_a_doorbell_outlives_the_server_before_and_while_it_is_rung(tmp_path: Path) -> None:
    """Killed as soon as a message is answered, and again when the push service has got the request."""
    forever = asyncio.Event()

    async def respond(_: Received) -> web.Response:
        if len(there.received) == 1:
            await forever.wait()
        return web.Response(status=201)

    async with receiver(respond) as there:
        push = {"PUSH_SERVICES": "127.0.0.1", "PUSH_PRIVATE": "true", "PUSH_AFTER_SECONDS": "0.1"}
        async with server(tmp_path, **push) as one:
            members = [{"account": "anna", "role": "therapist"}, {"account": "ben", "role": "client"}]
            await one.ask("POST", "/v1/rooms", {"room": "r", "members": members})
            async with door_client(one.connect) as ben:
                await ben.hello(token("ben", "client"), "phone")
                assert (await ben.request("push.set", endpoint=there.url))["op"] == "ok"
            async with door_client(one.connect) as anna:
                await anna.hello(token("anna", "therapist"), "desk")
                assert (await anna.message("r", b"x"))["op"] == "ok"
                await one.kill()
            await one.start()
            await there.until(1)
            await one.kill()
            await one.start()
            rung = await there.until(2)
    assert [one.body for one in rung] == [b"", b""]

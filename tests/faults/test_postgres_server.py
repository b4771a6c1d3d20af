"""A server whose PostgreSQL is killed, and one whose PostgreSQL was put back to an earlier state."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from relay.postgres import begin_epoch
from tests.conformance.places import postgres_place
from tests.faults.processes import Server, server, token
from tests.postgres_process import PostgresProcess
from tests.signaling.door_client import DoorClient, Frame, door_client, new_mid

PATIENCE = 60.0


async def is_ready(one: Server) -> bool:
    async with aiohttp.ClientSession() as http, http.get(f"{one.url}/readyz") as response:
        return response.status == 200


async def until(one: Server, *, ready: bool) -> None:
    async with asyncio.timeout(PATIENCE):
        while await is_ready(one) != ready:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.02)


async def sent(client: DoorClient, mid: bytes) -> Frame:
    """Send a message, again and again until it is stored: its place."""
    async with asyncio.timeout(PATIENCE):
        while True:
            reply = await client.request("message.send", room="r", mid=mid, data=b"hello")
            if reply["op"] == "ok":
                return dict(reply["result"])
            assert reply["temporary"], reply
            await asyncio.sleep(0.02)


async def test_a_server_outlives_its_postgresql(tmp_path: Path) -> None:
    postgres = PostgresProcess()
    try:
        postgres.start()
        url = postgres.url(postgres.database())
        async with server(tmp_path, STORE_URL=url) as one:
            await one.room("r")
            await until(one, ready=True)
            async with door_client(one.connect) as anna:
                await anna.hello(token("anna", "therapist"))
                first = await sent(anna, new_mid())
                postgres.kill()
                await until(one, ready=False)
                waiting = asyncio.create_task(sent(anna, new_mid()))
                postgres.start()
                second = await waiting
                assert second["offset"] == first["offset"] + 1
                assert second["epoch"] == first["epoch"]
            await until(one, ready=True)
    finally:
        postgres.close()


async def test_a_server_ends_when_its_store_was_put_back(tmp_path: Path) -> None:
    with postgres_place(tmp_path) as place:
        async with server(tmp_path, STORE_URL=place.url) as one:
            await one.room("r")
            assert one.process is not None
            epoch = await begin_epoch(place.target)
            assert one.process.stderr is not None
            errors = await one.process.stderr.read()
            assert await one.process.wait() == 1
            assert b"the store was put back to an earlier state; start it again" in errors
            await one.start()
            async with door_client(one.connect) as anna:
                await anna.hello(token("anna", "therapist"))
                assert (await sent(anna, new_mid()))["epoch"] == epoch

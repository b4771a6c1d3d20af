"""A node whose Redis dies says so to load balancers and operators, serves on, and recovers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.redis_process import redis_process
from tests.signaling.door_client import door_client
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token


async def until_ready_is(api: BackEnd, wanted: bool) -> None:
    """Wait until ``/readyz`` says so; of all its parts only the bus may differ."""
    expected = {
        "ready": wanted,
        "serving": True,
        "store": True,
        "bus": wanted,
        "cluster": True,
        "media": True,
    }
    answer = await api.get("/readyz")
    async with asyncio.timeout(60):
        while answer.json != expected:
            await asyncio.sleep(0.05)
            answer = await api.get("/readyz")
    assert answer.status == (200 if wanted else 503)


async def figure(api: BackEnd, name: str) -> float:
    """A metric without labels."""
    text = (await api.get("/metrics")).text
    (value,) = (line.split()[1] for line in text.splitlines() if line.startswith(f"{name} "))
    return float(value)


async def test_readiness_follows_redis_and_its_connections_go_on(tmp_path: Path) -> None:
    """livekit #4663: minutes without Redis became an hour, and stops that never ended."""
    async with (
        redis_process() as redis,
        running_node(settings(tmp_path, bus=redis.settings())) as node,
        back_end(node) as api,
        door_client(f"{node.url.replace('http', 'ws')}/v1/connect") as anna,
        door_client(f"{node.url.replace('http', 'ws')}/v1/connect") as ben,
    ):
        await until_ready_is(api, True)
        await api.room("r")
        await anna.hello(token("anna", "therapist"))
        await ben.hello(token("ben", "client"))
        await redis.kill()
        await until_ready_is(api, False)
        assert await figure(api, "rapport_bus_up") == 0
        assert (await anna.message("r", b"still here"))["op"] == "ok"
        await ben.expect(lambda frame: frame["op"] == "event" and frame.get("sender") == "anna")
        await redis.start()
        await until_ready_is(api, True)
        assert await figure(api, "rapport_bus_up") == 1
        await redis.kill()
        await until_ready_is(api, False)
        async with asyncio.timeout(60):
            await node.stop()

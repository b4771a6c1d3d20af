"""What passes through Redis and lies in it, searched for what nobody there may learn.

Bundles between nodes are authenticated and not encrypted: what clients do not seal can be read there. What
they seal cannot, and secrets and tokens never pass.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from config.settings import BusSettings
from relay.bus import Delivery, EventNotice
from relay.bus.redis import RedisBus
from tests.canaries.planting import Canaries, planted, seal
from tests.redis_process import CALM, redis_process, until


class Tap:
    """Everything that is asked of a Redis server, as it reports it."""

    def __init__(self) -> None:
        self.heard = bytearray()

    @asynccontextmanager
    async def on(self, port: int, password: str) -> AsyncIterator[None]:
        """Listen."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"AUTH {password}\r\nMONITOR\r\n".encode())
        assert await reader.readline() == await reader.readline() == b"+OK\r\n"
        reading = asyncio.create_task(self._read(reader))
        try:
            yield
        finally:
            writer.close()
            await reading

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(1 << 16):
            self.heard += chunk


class OtherNode:
    """A node to which the same accounts are connected, so that all that concerns them is sent to it."""

    def __init__(self, settings: BusSettings) -> None:
        self.bus = RedisBus(settings, secrets.token_hex(8), timing=CALM)
        self.events = 0

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self.events += sum(isinstance(delivery.notice, EventNotice) for delivery in deliveries)

    @asynccontextmanager
    async def running(self, *accounts: str) -> AsyncIterator[None]:
        """Until the end, with a device of each account."""
        await self.bus.start(self.deliver, lambda: None)
        await until(lambda: self.bus.statistics.ready)
        for account in accounts:
            self.bus.attach(account, "elsewhere")
        await self.bus.settle()
        try:
            yield
        finally:
            await self.bus.stop()


async def test_redis_learns_nothing_that_is_sealed_and_no_secret(tmp_path: Path) -> None:
    word, tap = Canaries(), Tap()
    password, key = word("password"), word("key") * 2
    async with redis_process("--requirepass", password) as redis, tap.on(redis.port, password):
        other = OtherNode(BusSettings(url=redis.url, key=key, password=password))
        bus = {"BUS_URL": redis.url, "BUS_KEY": key, "BUS_PASSWORD": password}
        async with (
            other.running("ident-anna", "ident-kim", "ident-lea"),
            planted(tmp_path, word, **bus) as world,
        ):
            await seal(world)
            await until(lambda: other.events > 0)  # of what was sealed, the other node hears as well
            sealed, opened = other.events, word("open")
            people = [{"account": "ident-anna", "role": "therapist"}]
            await world.call("createRoom", {"room": "ident-room", "members": people})
            anna = await world.person("ident-anna", "therapist")
            async with asyncio.timeout(60):
                while b"canary-open" not in tap.heard or other.events == sealed:
                    await anna.say(opened)
    assert [found.rsplit("-", 1)[0] for found in word.found_in(bytes(tap.heard))] == ["canary-open"]
    assert b"ident-sealed" in tap.heard

"""What it costs and how long it takes to ring another node through Redis.

Two processes and a Redis server on this machine. One publishes events of many rooms, the other has the
readers' connections; each bundle that comes is answered, so that there is always the same in flight. Counted
is the CPU of both processes beyond what publishing costs within one process; what Redis takes is told by
itself. The times are those of one event after the other with nothing else under way.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection

import uvloop

from config.settings import BusSettings
from relay.bus import Bus, Delivery, EventNotice, ReplyNotice
from relay.bus.local import LocalBus
from relay.bus.redis import RedisBus
from relay.rows import StoredEvent
from tests.bench import Measurement
from tests.redis_process import RedisProcess, redis_process

ROOMS = 10_000
IN_FLIGHT = 512
A_TURN = 32
"""Events that are committed together, and published in one turn of the loop."""

ROUNDS, ROUND_EVENTS = 5, 40_000
ALONE = 2_000
BODY = bytes(300)
PUBLISHER, READER = "a" * 16, "b" * 16


def measure() -> dict[str, Measurement]:
    """Microseconds of CPU per event, milliseconds per event."""
    return uvloop.run(_measure())


async def _measure() -> dict[str, Measurement]:
    local = LocalBus(PUBLISHER)
    attach(local, "reader")
    alone = Publisher(local)
    await local.start(alone.deliver, lambda: None)
    here = min([await alone.cpu_per_event() for _ in range(ROUNDS)])
    await local.stop()
    async with redis_process() as redis, AsyncExitStack() as stack:
        ours, theirs = get_context("spawn").Pipe()
        settings = redis.settings()
        reader = get_context("spawn").Process(target=read, args=(settings, theirs), daemon=True)
        reader.start()
        stack.callback(reader.join)
        stack.callback(ours.send, "stop")
        await asyncio.to_thread(ours.recv)
        bus = RedisBus(settings, PUBLISHER)
        publisher = Publisher(bus)
        await bus.start(publisher.deliver, lambda: None)
        stack.push_async_callback(bus.stop)
        rounds = [await one_round(publisher, ours, redis) for _ in range(ROUNDS)]
        times = sorted([await publisher.alone() for _ in range(ALONE)])
        assert bus.statistics.dropped == 0
    return {
        "cluster.added_cpu": Measurement(min(both for both, _ in rounds) - here, "us"),
        "cluster.redis_cpu": Measurement(min(taken for _, taken in rounds), "us"),
        "cluster.p50": Measurement(statistics.median(times) * 1000, "ms"),
        "cluster.p99": Measurement(times[len(times) * 99 // 100] * 1000, "ms"),
    }


def attach(bus: Bus, who: str) -> None:
    """Connect one account of every room."""
    for room in range(ROOMS):
        bus.attach(f"{who} {room}", "d")


async def one_round(publisher: Publisher, reader: Connection, redis: RedisProcess) -> tuple[float, float]:
    """Microseconds of CPU per event of the two processes, and of Redis."""
    before = await used(reader), await redis_seconds(redis)
    here = await publisher.cpu_per_event()
    after = await used(reader), await redis_seconds(redis)
    there, taken = ((then - now) / ROUND_EVENTS * 1e6 for then, now in zip(after, before, strict=True))
    return here + there, taken


async def used(reader: Connection) -> float:
    """Seconds of CPU that the other process has taken."""
    reader.send("cpu")
    seconds: float = await asyncio.to_thread(reader.recv)
    return seconds


async def redis_seconds(redis: RedisProcess) -> float:
    """Seconds of CPU that Redis has taken."""
    async with redis.client() as client:
        told = await client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


class Publisher:
    """The node that publishes, and what it was answered."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._sent = self._received = 0
        self._came = asyncio.Event()

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Events of its own, if it is alone, or answers."""
        for delivery in deliveries:
            match delivery.notice:
                case EventNotice():
                    self._received += 1
                case ReplyNotice(id=count):
                    self._received = int(count)
        self._came.set()

    async def cpu_per_event(self) -> float:
        """Microseconds of this process."""
        began = time.process_time()
        await self.publish(ROUND_EVENTS)
        return (time.process_time() - began) / ROUND_EVENTS * 1e6

    async def publish(self, count: int) -> None:
        """Publish so many, with as many in flight as may be; returns when all have come."""
        until = self._sent + count
        while self._received < until:
            self._came.clear()
            together = min(A_TURN, until - self._sent)
            if together and self._sent - self._received + together <= IN_FLIGHT:
                for _ in range(together):
                    self._publish()
                await asyncio.sleep(0)
            else:
                await self._came.wait()

    async def alone(self) -> float:
        """Seconds until one event is there and answered, less what the answer takes."""
        began = time.monotonic()
        await self.publish(1)
        return (time.monotonic() - began) / 2

    def _publish(self) -> None:
        room = self._sent * 7919 % ROOMS
        event = StoredEvent(self._sent + 1, "ann", "d", bytes(16), BODY, 5)
        self._bus.publish((f"writer {room}", f"reader {room}"), EventNotice(f"room {room}", 1, event))
        self._sent += 1


def read(settings: BusSettings, control: Connection) -> None:
    """The process of the node with the readers."""
    uvloop.run(_read(settings, control))


async def _read(settings: BusSettings, control: Connection) -> None:
    bus, count = RedisBus(settings, READER), 0

    def deliver(deliveries: Sequence[Delivery]) -> None:
        nonlocal count
        events = sum(isinstance(delivery.notice, EventNotice) for delivery in deliveries)
        if events:
            count += events
            bus.send(PUBLISHER, ReplyNotice(str(count), None))

    await bus.start(deliver, lambda: None)
    attach(bus, "reader")
    await bus.settle()
    control.send("ready")
    while await asyncio.to_thread(control.recv) == "cpu":
        control.send(time.process_time())
    await bus.stop()

"""What every Quota does, and what holds on several nodes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from relay.bus import Bus
from relay.bus.local import LocalBus
from relay.bus.redis import RedisBus
from relay.quota import Draw, LocalQuota
from tests.redis_process import CALM, RedisProcess, redis_process, until

SLOW = Draw("joins", "ann", 1, rate=0.001, burst=3)
"""What is taken does not come back while a test runs."""


async def started(bus: Bus, stack: AsyncExitStack) -> Bus:
    """The bus, ready, until the end."""
    await bus.start(lambda deliveries: None, lambda: None)
    stack.push_async_callback(bus.stop)
    await until(lambda: bus.statistics.ready)
    return bus


@pytest.fixture
async def redis() -> AsyncIterator[RedisProcess]:
    async with redis_process() as one:
        yield one


@pytest.fixture(params=["local", "redis"])
async def bus(request: pytest.FixtureRequest, redis: RedisProcess) -> AsyncIterator[Bus]:
    async with AsyncExitStack() as stack:
        made = LocalBus() if request.param == "local" else RedisBus(redis.settings(), "a" * 16, timing=CALM)
        yield await started(made, stack)


async def test_a_bucket_holds_so_much_and_tells_when_it_will(bus: Bus) -> None:
    assert [await bus.quota.take(SLOW) for _ in range(3)] == [0, 0, 0]
    wait = await bus.quota.take(SLOW)
    assert 0 < wait <= 1000
    assert await bus.quota.take(SLOW) <= wait, "a refusal costs nothing"


async def test_buckets_of_others_and_of_other_kinds_are_others(bus: Bus) -> None:
    await bus.quota.take(replace(SLOW, cost=3))
    assert await bus.quota.take(SLOW) > 0
    assert await bus.quota.take(replace(SLOW, key="ben")) == 0
    assert await bus.quota.take(replace(SLOW, kind="claims")) == 0


async def test_more_than_a_burst_takes_all_of_it(bus: Bus) -> None:
    assert await bus.quota.take(replace(SLOW, cost=100)) == 0
    assert await bus.quota.take(SLOW) > 0


async def test_what_was_taken_comes_back(bus: Bus) -> None:
    fast = replace(SLOW, rate=1000)
    assert await bus.quota.take(replace(fast, cost=3)) == 0
    async with asyncio.timeout(60):
        while await bus.quota.take(fast):
            pass


async def test_nodes_share_their_buckets_and_have_their_own_while_redis_is_away(redis: RedisProcess) -> None:
    async with AsyncExitStack() as stack:
        one = await started(RedisBus(redis.settings(), "a" * 16, timing=CALM), stack)
        other = await started(RedisBus(redis.settings(), "b" * 16, timing=CALM), stack)
        taken = [await node.quota.take(SLOW) for node in (one, other, one, other)]
        assert [wait > 0 for wait in taken] == [False, False, False, True]
        await redis.kill()
        assert [await node.quota.take(SLOW) > 0 for node in (one, other)] == [False, False]
        await until(lambda: not one.statistics.ready and not other.statistics.ready)
        assert [await one.quota.take(SLOW) > 0 for _ in range(3)] == [False, False, True]
        await redis.start()
        await until(lambda: one.statistics.ready)
        assert await one.quota.take(SLOW) == 0, "and a Redis that forgot everything begins with full ones"


async def test_what_is_kept_in_redis_goes_by_itself(redis: RedisProcess, bus: Bus) -> None:
    for number in range(10):
        await bus.quota.take(Draw("joins", f"a{number}", 1, rate=1000, burst=3))
    async with asyncio.timeout(60):
        while await redis.ask("KEYS", "rapport:quota:*"):
            pass


async def test_a_node_keeps_so_many_buckets_and_those_in_use_stay() -> None:
    quota = LocalQuota(now=lambda: 100.0, limit=8)
    for number in range(20):
        await quota.take(replace(SLOW, key=f"x{number}"))
        wait = await quota.take(SLOW)
        assert (wait > 0) == (number >= 3)
    assert len(quota._buckets) == 8

"""Two servers, PostgreSQL and Redis, people who write all the time, and everything that can fail in between.

Each time: nothing acknowledged is lost, nothing is shown twice, the order is that of the log.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tests.faults.talkers import talking


async def test_a_server_is_killed_and_comes_back_and_then_the_other(tmp_path: Path) -> None:
    async with talking(tmp_path) as (whole, people):
        for member in whole.members:
            await member.server.kill()
            await people.goes_on()
            await member.server.start()
            await whole.ready()
            await people.goes_on()


async def test_a_server_that_stood_still_for_longer_than_its_lease(tmp_path: Path) -> None:
    async with talking(tmp_path) as (whole, people):
        paused = whole.members[0]
        paused.signal(signal.SIGSTOP)
        async with whole.store() as store:
            while len((await store.nodes()).living) > 1:  # noqa: ASYNC110 - it is changed by another process
                await asyncio.sleep(0.1)
        paused.signal(signal.SIGCONT)
        assert paused.server.process is not None
        await paused.server.process.wait()
        await people.goes_on()
        await paused.server.start()


async def test_redis_is_killed_and_comes_back_with_nothing(tmp_path: Path) -> None:
    # https://github.com/livekit/livekit/issues/4663: seven minutes without Redis, fifty-three without
    # service, and a drain that never ended.
    async with talking(tmp_path) as (whole, people):
        await whole.redis.kill()
        await people.goes_on()
        stopped = whole.members[0].server
        await stopped.stop()
        assert stopped.process is not None
        assert stopped.process.returncode == 0
        await stopped.start()
        await people.goes_on()
        await whole.redis.start()
        await whole.ready()
        await people.goes_on()
        await whole.redis.ask("FLUSHALL")
        await people.goes_on()


async def test_postgresql_is_killed_and_comes_back(tmp_path: Path) -> None:
    async with talking(tmp_path) as (whole, people):
        await asyncio.to_thread(whole.postgres.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(whole.postgres.start)
        await people.goes_on()

"""What takes longer: the faults of a deployment that are waited out, and all of them by chance for a while.

`make soak` runs these; `SOAK_SECONDS` says for how long chance has its way (600).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.faults.deployment import Deployment, Member
from tests.faults.talkers import Talk, talking

_log = logging.getLogger(__name__)

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))


async def test_a_rolling_restart(tmp_path: Path) -> None:
    async with talking(tmp_path) as (whole, people):
        for member in whole.members:
            await member.server.stop()
            assert member.server.process is not None
            assert member.server.process.returncode == 0
            await people.goes_on()
            await member.server.start()
            await whole.ready()


async def test_a_server_that_redis_is_gone_for_without_a_word(tmp_path: Path) -> None:
    async with talking(tmp_path) as (whole, people):
        whole.members[0].redis.hold()
        await people.goes_on(20)
        whole.members[0].redis.mend()
        await whole.ready()
        whole.members[1].redis.cut()
        await people.goes_on()
        whole.members[1].redis.mend()


async def test_a_server_that_postgresql_is_gone_for_without_a_word(tmp_path: Path) -> None:
    async with talking(tmp_path) as (whole, people):
        lonely = whole.members[0]
        lonely.database.hold()
        async with whole.store() as store:
            while len((await store.nodes()).living) > 1:  # noqa: ASYNC110 - it is changed by another process
                await asyncio.sleep(0.1)
        lonely.database.cut()
        lonely.database.mend()
        assert lonely.server.process is not None
        await lonely.server.process.wait()  # it was taken for dead
        await people.goes_on()
        await lonely.server.start()


async def test_redis_is_away_for_long_and_the_last_server_restarts_without_it(tmp_path: Path) -> None:
    async with talking(tmp_path) as (whole, people):
        await whole.redis.kill()
        await people.goes_on(200)
        await whole.members[0].server.stop()
        await people.goes_on(50)
        await whole.members[0].server.start()
        await people.goes_on(50)
        await whole.redis.start()


async def test_whatever_happens_by_chance(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    _log.info("seed %d", seed)
    chance = random.Random(seed)
    async with talking(tmp_path, count=3) as (whole, people):
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        while loop.time() < end:
            fault = chance.choice(FAULTS)
            _log.info("%s, %.0f s before the end", fault.__name__, end - loop.time())
            await fault(whole, chance.choice(whole.members), people)
            await whole.ready()
            await people.goes_on()


async def killed(_: Deployment, member: Member, people: Talk) -> None:
    await member.server.kill()
    await people.goes_on()
    await member.server.start()


async def drained(_: Deployment, member: Member, people: Talk) -> None:
    await member.server.stop()
    await people.goes_on()
    await member.server.start()


async def paused(_: Deployment, member: Member, people: Talk) -> None:
    member.signal(signal.SIGSTOP)
    await asyncio.sleep(random.uniform(0.5, 8))
    member.signal(signal.SIGCONT)
    await back(member)


async def redis_killed(whole: Deployment, _: Member, people: Talk) -> None:
    await whole.redis.kill()
    await people.goes_on()
    await whole.redis.start()


async def redis_forgets(whole: Deployment, _: Member, people: Talk) -> None:
    await whole.redis.ask("FLUSHALL")


async def redis_unreachable(_: Deployment, member: Member, people: Talk) -> None:
    member.redis.hold()
    await people.goes_on(10)
    member.redis.mend()


async def postgres_killed(whole: Deployment, _: Member, people: Talk) -> None:
    await asyncio.to_thread(whole.postgres.kill)
    await asyncio.sleep(random.uniform(0, 2))
    await asyncio.to_thread(whole.postgres.start)
    for member in whole.members:
        await back(member)


async def postgres_unreachable(_: Deployment, member: Member, people: Talk) -> None:
    member.database.hold()
    await asyncio.sleep(random.uniform(0.5, 8))
    member.database.cut()
    member.database.mend()
    await back(member)


async def back(member: Member) -> None:
    """A server that was taken for dead ends itself; a supervisor starts it again."""
    for _ in range(50):
        if not member.runs:
            await member.server.start()
            return
        await asyncio.sleep(0.1)


FAULTS: list[Callable[[Deployment, Member, Talk], Awaitable[None]]] = [
    killed,
    drained,
    paused,
    redis_killed,
    redis_forgets,
    redis_unreachable,
    postgres_killed,
    postgres_unreachable,
]

"""Whoever asks the Sentinels at the same time, none of them is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import TimeoutError as RedisTimeout

from relay.bus.redis_sentinels import Sentinels

HOSTS = [("127.0.0.1", 1), ("127.0.0.2", 1), ("127.0.0.3", 1)]
MASTER = {"ip": "127.0.0.9", "port": 6379, "is_master": True, "is_sdown": False, "is_odown": False}
MASTER |= {"num-other-sentinels": 2}


@given(chance=st.randoms(use_true_random=False), questions=st.integers(2, 12))
def test_none_is_forgotten(chance: random.Random, questions: int) -> None:
    async def asked() -> None:
        sentinels = Sentinels(HOSTS)
        everyone = set(sentinels._order)
        for one in everyone:
            one.sentinel_masters = answer  # type: ignore[method-assign]  # no server is asked

        async def ask() -> None:
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            with contextlib.suppress(MasterNotFoundError):  # none of them has answered
                assert await sentinels.discover_master("main") == ("127.0.0.9", 6379)
            if chance.random() < 0.3:
                sentinels.shuffle()

        await asyncio.gather(*(ask() for _ in range(questions)))
        assert len(sentinels._order) == len(everyone)
        assert set(sentinels._order) == everyone
        await sentinels.aclose()

    async def answer() -> dict[str, Any]:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.2:
            raise RedisTimeout
        return {"main": MASTER}

    asyncio.run(asked())

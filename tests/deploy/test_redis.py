"""Redis and Sentinel with the examples' configurations, and nodes that lose their master."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import AuthenticationError

from tests.deploy.examples import DEPLOY, ROOT, written
from tests.interop.test_redis_kinds import Node, talking
from tests.redis_process import HASTY, RedisProcess, redis_process, until

PASSWORD = "of-the-nodes"
PATIENCE = 60.0


def configured(folder: Path) -> str:
    """The configuration of a Redis server, with its users."""
    users = written(folder, "cluster/users.acl", {"RAPPORT-PASSWORD": PASSWORD})
    replaced = {"/etc/redis/users.acl": str(users), "bind 0.0.0.0": ""}
    return str(written(folder, "cluster/redis.conf", replaced))


@contextlib.asynccontextmanager
async def replicated(folder: Path) -> AsyncIterator[tuple[RedisProcess, list[RedisProcess]]]:
    """A master with a replica, and three Sentinels that watch them."""
    config = configured(folder)
    async with contextlib.AsyncExitStack() as stack:
        master = await stack.enter_async_context(redis_process(config))
        replica_of = ("--replicaof", f"127.0.0.1 {master.port}")
        await stack.enter_async_context(redis_process(config, *replica_of))
        sentinels = []
        for number in (1, 2, 3):
            own = folder / f"sentinel{number}"
            own.mkdir()
            replaced = {"10.0.0.41 6379": f"127.0.0.1 {master.port}", "port 26379": ""}
            watching = written(own, "cluster/sentinel.conf", replaced)
            options = (str(watching), "--sentinel", "--protected-mode", "no")
            sentinels.append(await stack.enter_async_context(redis_process(*options)))
        await until_known(sentinels)
        yield master, sentinels


async def until_known(sentinels: list[RedisProcess]) -> None:
    """Wait until every Sentinel knows the replica, that it is well, and the two others."""
    for sentinel in sentinels:
        async with asyncio.timeout(PATIENCE), sentinel.client() as client:
            while True:
                known: Any = await client.sentinel_master("rapport")
                replicas: Any = await client.sentinel_slaves("rapport")
                linked = [one for one in replicas if one["master-link-status"] == "ok"]
                if known["num-other-sentinels"] == 2 and linked:
                    break
                await asyncio.sleep(0.1)


async def test_nodes_hear_each_other_again_when_sentinel_has_moved_them(tmp_path: Path) -> None:
    async with replicated(tmp_path) as (master, sentinels):
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        url = f"redis+sentinel://{hosts}/rapport"
        ann, ben = (
            Node(name, master, HASTY, url=url, username="rapport", password=PASSWORD)
            for name in ("ann", "ben")
        )
        async with talking(ann, ben):
            await master.kill()
            async with asyncio.timeout(2 * PATIENCE):
                await ann.hears(ben)
                await ben.hears(ann)
            await until(lambda: ann.missed > 0 and ben.missed > 0)  # what was said meanwhile is looked up


async def test_redis_lets_nobody_in_without_a_name(tmp_path: Path) -> None:
    async with redis_process(configured(tmp_path)) as master, master.client() as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.execute_command("PUBLISH", "rapport:node:a", "x")  # type: ignore[no-untyped-call]


def test_the_rights_of_nodes_are_those_that_the_page_tells() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    (told,) = (line.partition("ACL SETUSER ")[2] for line in page.splitlines() if "SETUSER" in line)
    users = (DEPLOY / "cluster" / "users.acl").read_text()
    (given,) = (line.removeprefix("user ") for line in users.splitlines() if line.startswith("user rapport"))
    assert told.replace("PASSWORD", "") == given.replace("RAPPORT-PASSWORD", "")

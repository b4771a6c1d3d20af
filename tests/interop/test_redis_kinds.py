"""The bus on each kind of Redis that can be named: over TLS with a user, behind Sentinel, as a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from relay.bus import Delivery, RevokedNotice
from relay.bus.redis import RedisBus
from relay.bus.timing import Timing
from tests.redis_process import CALM, HASTY, RedisProcess, redis_process, until


class Node:
    """A bus, and whether it heard."""

    def __init__(self, redis: RedisProcess, timing: Timing = CALM, **settings: str) -> None:
        self.bus = RedisBus(redis.settings(**settings), timing=timing)
        self.heard: list[str] = []
        self.missed = 0

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self.heard += [each.notice.account for each in deliveries if isinstance(each.notice, RevokedNotice)]

    def miss(self) -> None:
        self.missed += 1


async def talk(ann: Node, ben: Node) -> None:
    """Begin, and have Ben's node hear something of Ann's."""
    for node, account in ((ann, "ann"), (ben, "ben")):
        await node.bus.start(node.deliver, node.miss)
        node.bus.attach(account)
        await node.bus.settle()
    await until(lambda: ann.bus.statistics.ready and ben.bus.statistics.ready)

    def heard() -> bool:
        ann.bus.publish(["ben"], RevokedNotice("ben", None))
        return bool(ben.heard)

    await until(heard)
    assert await ben.bus.online(["ann", "nobody"]) == {"ann"}


async def test_tls_and_a_user_with_no_more_rights_than_the_page_says(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=redis"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    (rights,) = (line.partition("ACL SETUSER rapport ")[2] for line in page.splitlines() if "SETUSER" in line)
    acl = rights.replace(">PASSWORD", ">secret")
    tls = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no")
    closed = ("--user", "default", "off", "--user", "rapport", *acl.split())
    async with redis_process(*tls, *closed, tls=True) as redis:
        ann, ben = (
            Node(redis, tls_ca=str(certificate), username="rapport", password="secret") for _ in range(2)
        )
        await talk(ann, ben)
        await ann.bus.stop()
        await ben.bus.stop()
        stranger = Node(redis, HASTY, username="rapport", password="secret")
        await stranger.bus.start(stranger.deliver, stranger.miss)
        assert not stranger.bus.statistics.ready, "a certificate of nobody known is not believed"
        await stranger.bus.stop()


async def test_a_cluster_with_channels_of_its_shards() -> None:
    async with redis_process("--cluster-enabled", "yes") as redis:
        await redis.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        info = b""
        while b"cluster_state:ok" not in info:
            answer = await redis.ask("CLUSTER", "INFO")
            info = answer if isinstance(answer, bytes) else str(answer).encode()
            await asyncio.sleep(0.05)
        url = redis.url.replace("redis://", "redis+cluster://")
        ann, ben = Node(redis, url=url), Node(redis, url=url)
        await talk(ann, ben)
        assert await redis.ask("PUBSUB", "SHARDCHANNELS") != []
        await redis.kill()
        await until(lambda: not ann.bus.statistics.ready)
        await ann.bus.stop()
        await ben.bus.stop()


async def test_a_failover_that_sentinel_decides(tmp_path: Path) -> None:
    async with redis_process() as master, redis_process() as replica:
        await replica.ask("REPLICAOF", "127.0.0.1", str(master.port))
        synced = False
        while not synced:
            role = await replica.ask("ROLE")
            synced = isinstance(role, list) and role[3] == b"connected"
            await asyncio.sleep(0.05)
        watched = tmp_path / "sentinel.conf"
        watched.write_text(
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
        )
        async with redis_process(str(watched), "--sentinel") as sentinel:
            url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
            ann, ben = Node(sentinel, HASTY, url=url), Node(sentinel, HASTY, url=url)
            await talk(ann, ben)
            known = 0
            while not known:  # the replica is found by asking the master
                answer = await sentinel.ask("SENTINEL", "REPLICAS", "main")
                known = len(answer) if isinstance(answer, list) else 0
                await asyncio.sleep(0.05)
            await master.kill()
            await until(lambda: ann.missed > 0 and ben.missed > 0)
            ben.heard.clear()

            def heard() -> bool:
                ann.bus.publish(["ben"], RevokedNotice("ben", None))
                return bool(ben.heard)

            await until(heard)
            await ann.bus.stop()
            await ben.bus.stop()

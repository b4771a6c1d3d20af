"""The bus on each kind of Redis that can be named: over TLS with a user, behind Sentinel, as a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from pathlib import Path

from relay.bus import Delivery, RevokedNotice
from relay.bus.redis import RedisBus
from relay.bus.timing import Timing
from tests.redis_process import CALM, HASTY, RedisProcess, redis_process, until

SLOTS = 16_384


class Node:
    """A bus with a connection of one account, and whether it heard."""

    def __init__(self, account: str, redis: RedisProcess, timing: Timing = CALM, **settings: str) -> None:
        self.account = account
        self.bus = RedisBus(redis.settings(**settings), secrets.token_hex(8), timing=timing)
        self.heard: list[str] = []
        self.missed = 0

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self.heard += [each.notice.account for each in deliveries if isinstance(each.notice, RevokedNotice)]

    def miss(self) -> None:
        self.missed += 1

    async def hears(self, speaker: Node) -> None:
        """Wait until it hears of its account what the other says; what comes too early may be lost."""
        self.heard.clear()

        def heard() -> bool:
            speaker.bus.publish([self.account], RevokedNotice(self.account, None))
            return bool(self.heard)

        await until(heard)


@contextlib.asynccontextmanager
async def talking(*nodes: Node) -> AsyncIterator[None]:
    """Begin, and have every node hear something of every other one."""
    async with contextlib.AsyncExitStack() as stack:
        for node in nodes:
            await node.bus.start(node.deliver, node.miss)
            stack.push_async_callback(node.bus.stop)
            node.bus.attach(node.account, "d")
            await node.bus.settle()
        for speaker, listener in permutations(nodes, 2):
            await listener.hears(speaker)
        everybody, known = {node.account for node in nodes}, frozenset[str]()
        async with asyncio.timeout(60):
            while known != everybody:  # as far as Redis answers in time
                known = await nodes[0].bus.online([*everybody, "nobody"])
        yield


async def certified(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """A certificate for this machine, and the options with which a server shows it."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=redis"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    believed = ("--tls-auth-clients", "no", "--tls-ca-cert-file", str(certificate))
    return certificate, ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), *believed)


async def test_tls_and_a_user_with_no_more_rights_than_the_page_says(tmp_path: Path) -> None:
    certificate, tls = await certified(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    (rights,) = (line.partition("ACL SETUSER rapport ")[2] for line in page.splitlines() if "SETUSER" in line)
    acl = rights.replace(">PASSWORD", ">secret")
    closed = ("--user", "default", "off", "--user", "rapport", *acl.split())
    async with redis_process(*tls, *closed, tls=True) as redis:
        ann, ben = (
            Node(name, redis, tls_ca=str(certificate), username="rapport", password="secret")
            for name in ("ann", "ben")
        )
        async with talking(ann, ben):
            stranger = Node("cid", redis, HASTY, username="rapport", password="secret")
            await stranger.bus.start(stranger.deliver, stranger.miss)
            assert not stranger.bus.statistics.ready, "a certificate of nobody known is not believed"
            await stranger.bus.stop()


@contextlib.asynccontextmanager
async def shards(count: int) -> AsyncIterator[list[RedisProcess]]:
    """A cluster of so many masters, which agree on who has which slots."""
    async with contextlib.AsyncExitStack() as stack:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "60000")
        masters = [await stack.enter_async_context(redis_process(*options)) for _ in range(count)]
        share = SLOTS // count
        for number, master in enumerate(masters):
            last = SLOTS - 1 if number == count - 1 else (number + 1) * share - 1
            await master.ask("CLUSTER", "ADDSLOTSRANGE", str(number * share), str(last))
            await masters[0].ask("CLUSTER", "MEET", "127.0.0.1", str(master.port))
        for master in masters:
            agreed = False
            while not agreed:
                await asyncio.sleep(0.05)
                agreed = await agrees(master, count)
        yield masters


async def agrees(master: RedisProcess, count: int) -> bool:
    """Whether it knows all slots and all other masters."""
    answer = await master.ask("CLUSTER", "INFO")
    info = answer if isinstance(answer, bytes) else str(answer).encode()
    return b"cluster_state:ok" in info and f"cluster_size:{count}".encode() in info


async def test_a_cluster_with_channels_of_its_shards() -> None:
    async with shards(3) as masters:
        url = masters[0].url.replace("redis://", "redis+cluster://")
        nodes = [Node(f"account {number}", masters[0], url=url) for number in range(6)]
        async with talking(*nodes):
            channels = [await master.ask("PUBSUB", "SHARDCHANNELS") for master in masters]
            assert sum(len(each) for each in channels if isinstance(each, list)) == len(nodes)


async def test_a_channel_whose_slot_moves_to_another_server_of_the_cluster_is_found_again() -> None:
    async with shards(2) as masters:
        url = masters[0].url.replace("redis://", "redis+cluster://")
        ann, ben = Node("ann", masters[0], HASTY, url=url), Node("ben", masters[0], HASTY, url=url)
        async with talking(ann, ben):
            channel = f"rapport:node:{ben.bus.node}"
            slot = str(await masters[0].ask("CLUSTER", "KEYSLOT", channel))
            by, to = masters if int(slot) < SLOTS // 2 else reversed(masters)
            for master in (to, by):
                name = await to.ask("CLUSTER", "MYID")
                assert isinstance(name, bytes)
                await master.ask("CLUSTER", "SETSLOT", slot, "NODE", name)
            await until(lambda: ben.missed > 0)
            await ben.hears(ann)
            assert channel.encode() in await names(to, "PUBSUB", "SHARDCHANNELS")


async def names(server: RedisProcess, *command: str) -> list[bytes]:
    """An answer that is a list."""
    answer = await server.ask(*command)
    assert isinstance(answer, list)
    return answer


async def test_a_server_of_a_cluster_that_dies_makes_its_nodes_unready() -> None:
    async with shards(1) as (only,):
        url = only.url.replace("redis://", "redis+cluster://")
        ann, ben = Node("ann", only, url=url), Node("ben", only, url=url)
        async with talking(ann, ben):
            await only.kill()
            await until(lambda: not ann.bus.statistics.ready)


async def test_sentinel_over_tls(tmp_path: Path) -> None:
    certificate, tls = await certified(tmp_path)
    async with redis_process(*tls, tls=True) as master:
        watching = watched(tmp_path, master), "--sentinel", *tls, "--tls-replication", "yes"
        async with redis_process(*watching, tls=True) as sentinel:
            url = f"rediss+sentinel://127.0.0.1:{sentinel.port}/main"
            ann, ben = (Node(name, sentinel, url=url, tls_ca=str(certificate)) for name in ("ann", "ben"))
            async with talking(ann, ben):
                assert await ann.bus.online(["ben"]) == {"ben"}


def watched(folder: Path, master: RedisProcess) -> str:
    """The configuration of a Sentinel that decides by itself, soon."""
    file = folder / "sentinel.conf"
    file.write_text(
        f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
    )
    return str(file)


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that takes everything and says nothing."""
    while await reader.read(4096):
        pass
    writer.close()


async def test_a_failover_that_sentinel_decides_while_another_is_stuck(tmp_path: Path) -> None:
    stuck = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with stuck, redis_process() as master, redis_process() as replica:
        await replica.ask("REPLICAOF", "127.0.0.1", str(master.port))
        synced = False
        while not synced:
            role = await replica.ask("ROLE")
            synced = isinstance(role, list) and role[3] == b"connected"
            await asyncio.sleep(0.05)
        async with redis_process(watched(tmp_path, master), "--sentinel") as sentinel:
            hosts = f"127.0.0.1:{stuck.sockets[0].getsockname()[1]},127.0.0.1:{sentinel.port}"
            url = f"redis+sentinel://{hosts}/main"
            ann, ben = Node("ann", sentinel, HASTY, url=url), Node("ben", sentinel, HASTY, url=url)
            async with talking(ann, ben):
                known = 0
                while not known:  # the replica is found by asking the master
                    answer = await sentinel.ask("SENTINEL", "REPLICAS", "main")
                    known = len(answer) if isinstance(answer, list) else 0
                    await asyncio.sleep(0.05)
                await master.kill()
                await until(lambda: ann.missed > 0 and ben.missed > 0)
                await ben.hears(ann)

"""Redis dies, forgets, stops and lies; the bus notices, says so, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence

import pytest

from relay.bus import Delivery, EventNotice, PresenceNotice
from relay.bus.bundle import Bundle, pack, seal
from relay.bus.redis import RedisBus
from relay.bus.timing import Timing
from relay.rows import StoredEvent
from tests.redis_process import CALM, HASTY, KEY, RedisProcess, redis_process, until


class Node:
    """A bus, and what it heard."""

    def __init__(self, redis: RedisProcess, timing: Timing = CALM, **settings: str) -> None:
        self.bus = RedisBus(redis.settings(**settings), secrets.token_hex(8), timing=timing)
        self.offsets: list[int] = []
        self.missed = 0

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if isinstance(delivery.notice, EventNotice):
                self.offsets += [delivery.notice.event.offset for _ in delivery.accounts]

    def miss(self) -> None:
        self.missed += 1

    @property
    def ready(self) -> bool:
        return self.bus.statistics.ready

    def say(self, account: str, offset: int) -> None:
        self.bus.publish([account], notice(offset))

    def heard(self, offset: int) -> bool:
        return offset in self.offsets


def notice(offset: int) -> EventNotice:
    return EventNotice("r", 1, StoredEvent(offset, "ann", "d", bytes(16), b"body", 5))


@contextlib.asynccontextmanager
async def nodes(
    redis: RedisProcess, timing: Timing = CALM, **settings: str
) -> AsyncIterator[tuple[Node, Node]]:
    """Ann's node and Ben's."""
    ann, ben = Node(redis, timing, **settings), Node(redis, timing, **settings)
    async with contextlib.AsyncExitStack() as stack:
        for node, account in ((ann, "ann"), (ben, "ben")):
            await node.bus.start(node.deliver, node.miss)
            stack.push_async_callback(node.bus.stop)
            await until(lambda node=node: node.ready)  # type: ignore[misc]
            node.bus.attach(account, "d")
            await node.bus.settle()
        yield ann, ben


@pytest.fixture
async def redis() -> AsyncIterator[RedisProcess]:
    async with redis_process() as one:
        yield one


async def found_online(node: Node, account: str) -> None:
    """Ask until Redis answers in time."""
    async with asyncio.timeout(60):
        while account not in await node.bus.online([account]):
            pass


async def reach_each_other(ann: Node, ben: Node, offset: int) -> None:
    """Both hear what the other says from here on; what is published before they do is allowed to be lost."""
    await until(lambda: ann.ready and ben.ready)
    for speaker, account, listener in ((ann, "ben", ben), (ben, "ann", ann)):

        def said(speaker: Node = speaker, account: str = account, listener: Node = listener) -> bool:
            speaker.say(account, offset)
            return listener.heard(offset)

        await until(said)


async def test_a_killed_redis_that_comes_back_empty_is_filled_again(redis: RedisProcess) -> None:
    async with nodes(redis) as (ann, ben):
        await redis.kill()
        await until(lambda: not ann.ready and not ben.ready)
        ann.say("ann", 1)
        await until(lambda: ann.heard(1))  # a node goes on by itself
        assert await ann.bus.online(["ann", "ben"]) == {"ann"}
        ann.say("ben", 2)
        await until(lambda: ann.bus.statistics.dropped > 0)
        await redis.start()
        await until(lambda: ann.missed > 0 and ben.missed > 0)
        await reach_each_other(ann, ben, 3)
        assert await ann.bus.online(["ben"]) == {"ben"}


async def test_who_connects_while_redis_is_away_is_found_when_it_is_back(redis: RedisProcess) -> None:
    async with nodes(redis) as (ann, ben):
        await redis.kill()
        ben.bus.attach("cid", "d")
        await ben.bus.settle()  # returns nevertheless
        await redis.start()
        await until(lambda: ben.missed > 0)

        def heard() -> bool:
            ann.say("cid", 9)
            return ben.heard(9)

        await until(heard)


async def test_a_redis_that_forgets_all_keys_is_told_again(redis: RedisProcess) -> None:
    async with nodes(redis) as (ann, ben):
        await redis.ask("FLUSHALL")
        await until(lambda: ann.missed > 0 and ben.missed > 0)
        await reach_each_other(ann, ben, 1)


async def test_a_single_account_that_is_forgotten_is_noticed(redis: RedisProcess) -> None:
    async with nodes(redis) as (_, ben):
        await redis.ask("DEL", "rapport:account:ben")
        await until(lambda: ben.missed > 0)
        assert await redis.ask("EXISTS", "rapport:account:ben") == 1


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_killed_connections_are_made_again(redis: RedisProcess, kind: str) -> None:
    async with nodes(redis) as (ann, ben):
        await redis.ask("CLIENT", "KILL", "TYPE", kind)
        if kind == "pubsub":
            await until(lambda: ann.missed > 0 and ben.missed > 0)
        await reach_each_other(ann, ben, 1)


class Deaf(asyncio.Protocol):
    """One connection to Redis through the test; what a subscription is sent can be swallowed."""

    muted = False

    def __init__(self, port: int) -> None:
        self._port = port
        self._subscribed = False
        self._early: list[bytes] = []
        self._up: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._down = transport
        self._task = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._up, _ = await loop.create_connection(lambda: Answers(self), "127.0.0.1", self._port)
        self._up.writelines(self._early)

    def data_received(self, data: bytes) -> None:
        self._subscribed = self._subscribed or b"SUBSCRIBE" in data
        if self._up is None:
            self._early.append(data)
        else:
            self._up.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._up is not None:
            self._up.close()

    def answer(self, data: bytes) -> None:
        assert isinstance(self._down, asyncio.Transport)
        if not (self._subscribed and Deaf.muted):
            self._down.write(data)


class Answers(asyncio.Protocol):
    """What Redis says to it."""

    def __init__(self, to: Deaf) -> None:
        self._to = to

    def data_received(self, data: bytes) -> None:
        self._to.answer(data)


async def test_a_subscription_that_silently_ended_is_noticed(redis: RedisProcess) -> None:
    # https://github.com/centrifugal/centrifugo/issues/1189: after a failover delivery ended, and every check
    # stayed green.
    loop = asyncio.get_running_loop()
    proxy = await loop.create_server(lambda: Deaf(redis.port), "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    Deaf.muted = False
    async with proxy, nodes(redis, HASTY, url=url) as (ann, ben):
        # The connections stay up and commands are answered, but nothing is delivered any more.
        Deaf.muted = True
        await until(lambda: not ann.ready and not ben.ready)
        await found_online(ann, "ben")
        Deaf.muted = False
        await until(lambda: ann.missed > 0 and ben.missed > 0)
        await reach_each_other(ann, ben, 1)


async def test_a_stopped_redis_makes_nodes_unready_and_holds_nobody_up(redis: RedisProcess) -> None:
    async with nodes(redis, HASTY) as (ann, ben):
        redis.pause()
        try:
            ann.say("ben", 1)
            ann.say("ann", 2)
            await until(lambda: ann.heard(2))
            await until(lambda: not ann.ready and not ben.ready)
            ben.bus.attach("cid", "d")
            await ben.bus.settle()
        finally:
            redis.resume()
        await until(lambda: ben.missed > 0)
        await reach_each_other(ann, ben, 3)


async def test_what_others_put_on_a_channel_is_refused_and_counted(redis: RedisProcess) -> None:
    async with nodes(redis) as (ann, ben):
        async with redis.client() as spy, spy.pubsub() as tap:
            channel = f"rapport:node:{ben.bus.node}"
            await tap.psubscribe("rapport:node:*")
            ann.say("ben", 1)
            await until(lambda: ben.heard(1))
            genuine: list[bytes] = []
            while not genuine:
                message = await tap.get_message(ignore_subscribe_messages=True, timeout=60)
                if message is not None and ann.bus.node.encode() in message["data"][32:]:
                    genuine += [message["data"]] if message["channel"] == channel.encode() else []
            bundle = Bundle("x", ben.bus.node, 1, 0, False, (pack(Delivery(("ben",), notice(66))),))
            good, garbage = KEY.encode(), b"\xc1" * 100
            forgery = seal(bundle, b"another key")
            elsewhere = seal(Bundle("x", "elsewhere", 1, 0, False, bundle.deliveries), good)
            for forged in (
                b"",
                garbage,
                forgery,
                seal(bundle, good),
                elsewhere,
                *genuine,
            ):
                await spy.publish(channel, forged)
            ann.say("ben", 2)
            await until(lambda: ben.heard(2))
        assert ben.offsets == [1, 2]
        assert ben.bus.statistics.refused == {"forged": 3, "stale": 1, "misdirected": 1, "replayed": 1}
        assert ben.missed == 0, "nobody can make a node read the store by sending it rubbish"


async def test_each_node_hears_once_however_many_devices_are_connected_to_it(redis: RedisProcess) -> None:
    async with nodes(redis) as (ann, ben):
        ann.bus.attach("cid", "d1")
        ben.bus.attach("cid", "d2")
        for node, device in ((ann, "d3"), (ben, "d4"), (ann, "d5"), (ben, "d6")):
            await node.bus.settle()
            node.bus.attach("cid", device)
        await ann.bus.settle()
        await ben.bus.settle()
        async with nodes(redis) as (other, _):
            other.say("cid", 1)
            other.say("cid", 2)
            await until(lambda: ann.heard(2) and ben.heard(2))
        assert ann.offsets == ben.offsets == [1, 2]


async def test_what_is_lost_between_two_nodes_shows_in_the_next_bundle(redis: RedisProcess) -> None:
    async with nodes(redis) as (ann, ben):
        ann.say("ben", 1)
        await until(lambda: ben.heard(1))
        ann.bus._sequences[ben.bus.node] += 1  # a bundle that never arrived
        ann.say("ben", 2)
        await until(lambda: ben.missed == 1)
        assert ben.bus.statistics.gaps == 1


async def test_presence_is_that_of_all_nodes_together(redis: RedisProcess) -> None:
    told: list[tuple[str, PresenceNotice]] = []

    def listener(name: str) -> Node:
        node = Node(redis)
        deliver = node.deliver

        def also(deliveries: Sequence[Delivery]) -> None:
            told.extend((name, each.notice) for each in deliveries if isinstance(each.notice, PresenceNotice))
            deliver(deliveries)

        node.deliver = also  # type: ignore[method-assign]
        return node

    first, second = listener("first"), listener("second")
    await first.bus.start(first.deliver, first.miss)
    await second.bus.start(second.deliver, second.miss)
    for step in (first.bus.attach, second.bus.attach, first.bus.detach, second.bus.detach):
        step("ann", "d")
        await first.bus.settle()
        await second.bus.settle()
    await first.bus.stop()
    await second.bus.stop()
    assert told == [
        ("first", PresenceNotice("ann", online=True)),
        ("second", PresenceNotice("ann", online=False)),
    ]


async def test_of_a_node_that_died_everybody_is_told_at_once_and_once(redis: RedisProcess) -> None:
    told: list[PresenceNotice] = []
    async with nodes(redis) as (ann, _):
        dead = Node(redis)
        await dead.bus.start(dead.deliver, dead.miss)
        await until(lambda: dead.ready)
        accounts = [f"account {number}" for number in range(600)]
        for account in (*accounts, "ben"):
            dead.bus.attach(account, "d")
        await dead.bus.settle()
        assert await ann.bus.devices("account 7") == {"d"}
        for task in (*dead.bus._tasks, dead.bus._sending):
            assert task is not None
            task.cancel()  # as SIGKILL does: nothing is withdrawn
        deliver = ann.deliver

        def also(deliveries: Sequence[Delivery]) -> None:
            told.extend(each.notice for each in deliveries if isinstance(each.notice, PresenceNotice))
            deliver(deliveries)

        ann.bus._loopback.stop()
        ann.bus._loopback.start(also)
        ann.bus.gone(dead.bus.node)
        ann.bus.gone(dead.bus.node)
        await until(lambda: len(told) >= len(accounts))
        assert sorted(told, key=lambda each: each.account) == [
            PresenceNotice(account, online=False) for account in sorted(accounts)
        ]
        assert await ann.bus.online([*accounts, "ben"]) == {"ben"}
        await until(lambda: not ann.bus._announcer._dead)
        assert await redis.ask("EXISTS", f"rapport:held:{dead.bus.node}") == 0
        await dead.bus._server.close()


async def test_who_was_on_a_dead_node_is_looked_for_until_redis_answers(redis: RedisProcess) -> None:
    async with nodes(redis) as (ann, ben):
        await redis.ask("SET", "rapport:held:dead", "not what is expected there")
        await redis.ask("ZADD", "rapport:account:cid", "9e12", "dead/d")
        assert await ben.bus.online(["cid"]) == {"cid"}
        ann.bus.gone("dead")
        await until(lambda: ann.bus._announcer._failing)
        await redis.ask("DEL", "rapport:held:dead")
        await redis.ask("SADD", "rapport:held:dead", "cid")
        await until(lambda: not ann.bus._announcer._dead)
        assert await ben.bus.online(["cid"]) == frozenset()


async def test_a_node_that_stops_is_not_found_any_more(redis: RedisProcess) -> None:
    async with nodes(redis) as (ann, ben):
        await ben.bus.stop()
        assert await ann.bus.online(["ben"]) == frozenset()
        assert await redis.ask("EXISTS", "rapport:account:ben") == 0


async def test_a_bus_can_be_stopped_at_any_moment(redis: RedisProcess) -> None:
    """redis-py #2551, #3941: cancellations that were swallowed, connections that never finished closing."""
    restless = Timing(answer=60.0, beat=0.0, silence=120.0, refresh=0.0, expiry=600.0, retry=0.0)
    for turns in range(60):
        node = Node(redis, restless)
        await node.bus.start(node.deliver, node.miss)
        node.bus.attach("ann", "d")
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await node.bus.stop()
    assert await redis.ask("DBSIZE") == 0


async def test_a_key_is_changed_without_losing_anything(redis: RedisProcess) -> None:
    new = "another-key-for-tests-that-is-long-enough"
    async with nodes(redis, key=f"{KEY} {new}") as (ann, _), nodes(redis, key=f"{new} {KEY}") as (_, ben):
        await reach_each_other(ann, ben, 1)

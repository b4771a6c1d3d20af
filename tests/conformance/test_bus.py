"""What every Bus does. A cluster has one node or more; what one publishes, the last receives."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import pytest

from relay.bus import (
    Addressed,
    AskNotice,
    Bus,
    ConnectedNotice,
    ConnectionNotice,
    Delivery,
    DirectNotice,
    EventNotice,
    InboxNotice,
    MembershipNotice,
    Notice,
    PlaceNotice,
    PresenceNotice,
    ReplyNotice,
    RevokedNotice,
    SignalNotice,
)
from relay.bus.local import LocalBus
from relay.bus.redis import RedisBus
from relay.rows import StoredEvent
from tests.redis_process import CALM, RedisProcess, redis_process, until


class Cluster(Protocol):
    """Nodes that reach each other; each call gives one more, not started. One node is a cluster too."""

    def publisher(self) -> Bus:
        """The node notices are published on."""

    def receiver(self) -> Bus:
        """The node connections are attached to."""


class LocalCluster:
    """One process."""

    def __init__(self) -> None:
        self._bus = LocalBus(max_notices=100, max_bytes=10_000)

    def publisher(self) -> Bus:
        return self._bus

    def receiver(self) -> Bus:
        return self._bus


class RedisCluster:
    """Two nodes, or one, that know each other through Redis."""

    def __init__(self, redis: RedisProcess, nodes: int) -> None:
        settings = redis.settings(prefix=f"test{next(_clusters)}")
        limits = {"max_notices": 100, "max_bytes": 10_000}
        self._buses = [RedisBus(settings, secrets.token_hex(8), timing=CALM, **limits) for _ in range(nodes)]

    def publisher(self) -> Bus:
        return self._buses[0]

    def receiver(self) -> Bus:
        return self._buses[-1]


class Node:
    """A receiving node and what it got, call by call."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.calls: list[Sequence[Delivery]] = []
        self.missed = 0
        self._heard = asyncio.Condition()
        self._wakers: set[asyncio.Task[None]] = set()

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self.calls.append(deliveries)
        task = asyncio.ensure_future(self._wake())
        self._wakers.add(task)
        task.add_done_callback(self._wakers.discard)

    def miss(self) -> None:
        self.missed += 1

    async def _wake(self) -> None:
        async with self._heard:
            self._heard.notify_all()

    @property
    def got(self) -> list[Delivery]:
        return [delivery for call in self.calls for delivery in call]

    @property
    def notices(self) -> list[Notice]:
        """All but those about presence."""
        return [delivery.notice for delivery in self.got if not isinstance(delivery.notice, PresenceNotice)]

    async def until(self, count: int) -> None:
        """Wait for so many notices that are not about presence."""
        async with self._heard:
            await asyncio.wait_for(self._heard.wait_for(lambda: len(self.notices) >= count), 60)


_clusters = itertools.count()


@pytest.fixture(params=["local", "redis, one node", "redis, two nodes"])
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    if request.param == "local":
        yield LocalCluster()
        return
    async with redis_process() as redis:
        yield RedisCluster(redis, nodes=1 if "one" in request.param else 2)


@pytest.fixture
async def node(cluster: Cluster) -> AsyncIterator[Node]:
    node = Node(cluster.receiver())
    await node.bus.start(node.deliver, node.miss)
    await until(lambda: node.bus.statistics.ready)
    publisher = cluster.publisher()
    if publisher is not node.bus:
        await publisher.start(lambda deliveries: None, lambda: None)
    yield node
    if publisher is not node.bus:
        await publisher.stop()
    await node.bus.stop()


def event(offset: int, size: int = 4, room: str = "r") -> EventNotice:
    return EventNotice(room, 1, StoredEvent(offset, "ann", "d", bytes(16), bytes(size), 5))


ALL: tuple[Notice, ...] = (
    event(1),
    SignalNotice("r", "typing:ann", "ann", b"typing", 5),
    DirectNotice("ben", "d", "k", b"offer"),
    MembershipNotice("r", "ben", "client"),
    MembershipNotice("r", "ben", None),
    RevokedNotice("ben", None),
    ConnectedNotice("ben", "d", "c1"),
    PlaceNotice("ben", "r", "s", "waiting", ("c1", "c2")),
    InboxNotice("r"),
)


async def test_every_notice_arrives_as_it_was(cluster: Cluster, node: Node) -> None:
    node.bus.attach("ben", "d")
    await node.bus.settle()
    for notice in ALL:
        cluster.publisher().publish(["ben"], notice)
    await node.until(len(ALL))
    assert node.notices == list(ALL)


ADDRESSED: tuple[Addressed, ...] = (
    ConnectionNotice("c1", SignalNotice("r", "k", None, b"again", 5)),
    AskNotice("me", "1", b"question"),
    ReplyNotice("1", b"answer"),
    ReplyNotice("2", None),
)


async def test_what_is_sent_to_a_node_reaches_it_in_order_with_what_is_published(
    cluster: Cluster, node: Node
) -> None:
    node.bus.attach("ben", "d")
    await node.bus.settle()
    cluster.publisher().publish(["ben"], event(1))
    for notice in ADDRESSED:
        cluster.publisher().send(node.bus.node, notice)
    cluster.publisher().publish(["ben"], event(2))
    cluster.publisher().send("nobody", ADDRESSED[0])
    cluster.publisher().publish(["ben"], event(3))
    assert node.notices == [], "not from inside send"
    await node.until(7)
    assert node.notices == [event(1), *ADDRESSED, event(2), event(3)]
    sent = [delivery.accounts for delivery in node.got if isinstance(delivery.notice, Addressed)]
    assert sent == [()] * len(ADDRESSED)


async def test_a_node_reaches_itself_by_its_name(cluster: Cluster, node: Node) -> None:
    node.bus.send(node.bus.node, ADDRESSED[0])
    await node.until(1)
    assert node.notices == [ADDRESSED[0]]


async def test_what_is_sent_to_a_node_is_bounded_like_events(cluster: Cluster, node: Node) -> None:
    for _ in range(200):
        cluster.publisher().send(node.bus.node, ADDRESSED[1])
    await node.until(100)
    assert cluster.publisher().statistics.dropped == 100
    cluster.publisher().send(node.bus.node, ADDRESSED[2])
    await node.until(101)
    assert len(node.notices) == 101


async def test_only_accounts_that_are_here_are_delivered_to(cluster: Cluster, node: Node) -> None:
    node.bus.attach("ben", "d")
    node.bus.attach("cid", "d")
    await node.bus.settle()
    cluster.publisher().publish(["ann"], event(1))
    cluster.publisher().publish(["ann", "ben", "cid"], event(2))
    cluster.publisher().publish(["cid"], event(3))
    await node.until(2)
    got = [delivery for delivery in node.got if isinstance(delivery.notice, EventNotice)]
    assert [(sorted(delivery.accounts), delivery.notice) for delivery in got] == [
        (["ben", "cid"], event(2)),
        (["cid"], event(3)),
    ]


async def test_order_is_kept_and_one_turn_is_one_call(cluster: Cluster, node: Node) -> None:
    node.bus.attach("ben", "d")
    await node.bus.settle()
    cluster.publisher().publish(["ben"], event(1))
    await node.until(1)
    calls = len(node.calls)
    for offset in range(2, 50):
        cluster.publisher().publish(["ben"], event(offset))
    assert len(node.calls) == calls, "not from inside publish"
    await node.until(49)
    assert len(node.calls) == calls + 1
    assert node.notices == [event(offset) for offset in range(1, 50)]


async def test_devices_of_an_account_are_known_everywhere_while_they_are_connected(
    cluster: Cluster, node: Node
) -> None:
    for account, device in (("ben", "phone"), ("ben", "phone"), ("ben", "tablet/2"), ("cid", "x")):
        node.bus.attach(account, device)
    await node.bus.settle()
    asked = cluster.publisher()
    assert await asked.devices("ben") == {"phone", "tablet/2"}
    node.bus.detach("ben", "phone")
    node.bus.detach("ben", "tablet/2")
    await node.bus.settle()
    assert await asked.devices("ben") == {"phone"}
    assert await asked.devices("nobody") == frozenset()
    assert await asked.online(["ben", "cid", "nobody"]) == {"ben", "cid"}
    node.bus.detach("ben", "phone")
    await node.bus.settle()
    assert await asked.devices("ben") == frozenset()
    assert await asked.online(["ben"]) == frozenset()


async def test_the_death_of_a_node_that_is_not_known_changes_nothing(cluster: Cluster, node: Node) -> None:
    node.bus.attach("ben", "d")
    await node.bus.settle()
    cluster.publisher().gone("0" * 16)
    node.bus.attach("cid", "d")
    await node.bus.settle()
    assert await cluster.publisher().online(["ben"]) == {"ben"}


async def test_connections_of_an_account_are_counted(cluster: Cluster, node: Node) -> None:
    node.bus.attach("ben", "d")
    node.bus.attach("ben", "d")
    node.bus.detach("ben", "d")
    await node.bus.settle()
    cluster.publisher().publish(["ben"], event(1))
    await node.until(1)
    node.bus.detach("ben", "d")
    node.bus.attach("cid", "d")
    await node.bus.settle()
    cluster.publisher().publish(["ben"], event(2))
    cluster.publisher().publish(["cid"], event(3))
    await node.until(2)
    assert node.notices == [event(1), event(3)]


async def test_presence_is_reported_where_it_changes(cluster: Cluster, node: Node) -> None:
    node.bus.attach("ben", "d")
    node.bus.attach("ben", "d")
    node.bus.detach("ben", "d")
    await node.bus.settle()
    assert await cluster.publisher().online(["ann", "ben"]) == {"ben"}
    node.bus.detach("ben", "d")
    await node.bus.settle()
    assert await cluster.publisher().online(["ann", "ben"]) == frozenset()
    node.bus.attach("cid", "d")
    await node.bus.settle()
    cluster.publisher().publish(["cid"], event(1))
    await node.until(1)
    changes = [delivery for delivery in node.got if isinstance(delivery.notice, PresenceNotice)]
    assert changes == [
        Delivery(("ben",), PresenceNotice("ben", online=True)),
        Delivery(("ben",), PresenceNotice("ben", online=False)),
        Delivery(("cid",), PresenceNotice("cid", online=True)),
    ]


async def test_past_the_limit_only_what_the_store_or_time_makes_good_is_dropped(
    cluster: Cluster, node: Node
) -> None:
    node.bus.attach("ben", "d")
    await node.bus.settle()
    for offset in range(1, 201):
        cluster.publisher().publish(["ben"], event(offset))
    for notice in ALL[1:]:
        cluster.publisher().publish(["ben"], notice)
    await node.until(100 + len(ALL) - 2)
    kept = [notice for notice in node.notices if isinstance(notice, EventNotice)]
    assert kept == [event(offset) for offset in range(1, len(kept) + 1)]
    assert node.notices[len(kept) :] == list(ALL[2:])
    assert cluster.publisher().statistics.dropped == 200 - len(kept) + 1


async def test_large_notices_count_by_their_size(cluster: Cluster, node: Node) -> None:
    node.bus.attach("ben", "d")
    await node.bus.settle()
    for offset in range(1, 6):
        cluster.publisher().publish(["ben"], event(offset, size=3_000))
    await node.until(3)
    assert cluster.publisher().statistics.dropped == 2
    cluster.publisher().publish(["ben"], event(6, size=3_000))
    await node.until(4)


async def test_stopping_delivers_what_was_published_and_then_nothing(cluster: Cluster, node: Node) -> None:
    node.bus.attach("ben", "d")
    await node.bus.settle()
    node.bus.publish(["ben"], event(1))
    await node.bus.stop()
    assert node.notices == [event(1)]
    node.bus.publish(["ben"], event(2))
    await node.bus.stop()
    await asyncio.sleep(0)
    assert node.notices == [event(1)]


async def test_nothing_is_missed_as_long_as_nothing_fails(cluster: Cluster, node: Node) -> None:
    node.bus.attach("ben", "d")
    await node.bus.settle()
    for offset in range(1, 50):
        cluster.publisher().publish(["ben"], event(offset))
        await asyncio.sleep(0)
    await node.until(49)
    assert node.notices == [event(offset) for offset in range(1, 50)]
    assert (node.missed, node.bus.statistics.gaps, node.bus.statistics.refused) == (0, 0, {})

"""The Bus of a cluster: every node has a channel in Redis, and the directory tells which nodes to ring.

Redis may lose everything at any moment. What a node publishes to itself does not go through it; what others
publish and does not arrive shows as a gap in their numbers, or by a reconnection, and `missed` is called.
What Redis delivers is taken only if a node of the cluster has made it, for this node, and once.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import structlog
from redis.asyncio.client import PubSub

from config.settings import BusSettings
from relay.bus import Addressed, BusStatistics, Deliver, Delivery, Notice, PresenceNotice
from relay.bus.bundle import Bundle, Refused, seal, split, unpack, unseal
from relay.bus.loopback import Loopback
from relay.bus.outbound import Batch, Outbound, by_node
from relay.bus.redis_announcer import Announcer
from relay.bus.redis_directory import RedisDirectory
from relay.bus.redis_quota import RedisQuota
from relay.bus.redis_server import READ_SECONDS, UNREACHABLE, Command, RedisServer
from relay.bus.senders import Senders
from relay.bus.timing import Timing
from relay.presence import Presence
from relay.quota import Quota

MAX_NODES = 65_536
"""Nodes whose numbers are remembered, each since its start."""

_log = structlog.get_logger("rapport.bus")


class RedisBus:
    """`relay.bus.Bus` through Redis. Each start of a node has a name of its own, `node`, so a bus is started
    once.

    `max_notices` and `max_bytes` bound what waits for this node, and what waits for all others, within one
    turn or while Redis answers.
    """

    def __init__(
        self,
        settings: BusSettings,
        node: str,
        *,
        timing: Timing | None = None,
        max_notices: int = 65_536,
        max_bytes: int = 64 << 20,
    ) -> None:
        self._timing: Final = timing or Timing()
        assert settings.key is not None
        self._keys: Final = tuple(key.encode() for key in settings.key.split())
        self._node: Final = node
        self._server = RedisServer(settings, self._timing.answer)
        self._directory = RedisDirectory(self._server, settings.prefix, node, self._timing.expiry)
        self._quota = RedisQuota(self._server, settings.prefix, lambda: self._ready)
        self._presence = Presence()
        self._announcer = Announcer(
            self._directory, self._presence, self._timing, self._changed, self._may_have_missed
        )
        self._loopback = Loopback(max_notices=max_notices, max_bytes=max_bytes)
        self._outbound = Outbound(max_notices=max_notices, max_bytes=max_bytes)
        self._senders = Senders()
        self._sequences: dict[str, int] = {}  # of the last bundle to each node
        self._first = 1  # of a node that is not among them
        self._wake = asyncio.Event()
        self._probe_due = False
        self._lost = False  # notices were dropped, and not all nodes may know
        self._dropped = 0
        self._gaps = 0
        self._refused: Counter[str] = Counter()
        self._heard_at: float | None = None  # when the last probe came through, since subscribing
        self._deliver: Deliver | None = None
        self._missed: Callable[[], None] | None = None
        self._heard = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._sending: asyncio.Task[None] | None = None
        self._stopping = False

    # --- The port ---

    @property
    def node(self) -> str:
        return self._node

    async def start(self, deliver: Deliver, missed: Callable[[], None]) -> None:
        self._deliver, self._missed = deliver, missed
        self._loopback.start(deliver)
        self._server.open()
        works = (self._listen, self._announcer.run, self._probe)
        self._tasks = [asyncio.create_task(self._again_and_again(work)) for work in works]
        self._sending = asyncio.create_task(self._again_and_again(self._send))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.answer):
                await self._heard.wait()
                await self._announcer.settle()
        if not self._ready:
            _log.warning("bus_not_reached")

    async def stop(self) -> None:
        if self._deliver is None or self._stopping:
            return
        self._stopping = True
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._loopback.stop()
        assert self._sending is not None
        self._wake.set()
        await asyncio.wait([self._sending])  # no longer than Redis may take to answer
        try:
            async with asyncio.timeout(self._timing.answer):
                await self._directory.tell(dict.fromkeys(self._presence.accounts(), ()))
                await self._directory.unregister(self._node)
        except UNREACHABLE as error:
            _log.warning("bus_not_left", error=type(error).__name__)
        finally:
            self._deliver = self._missed = None
            await self._server.close()

    def attach(self, account: str, device: str) -> None:
        self._announcer.note(account, turned=self._presence.attach(account, device))

    def detach(self, account: str, device: str) -> None:
        self._announcer.note(account, turned=self._presence.detach(account, device))

    def gone(self, node: str) -> None:
        self._announcer.gone(node)

    async def settle(self) -> None:
        await self._announcer.settle()

    async def online(self, accounts: Collection[str]) -> frozenset[str]:
        here = frozenset(account for account in accounts if account in self._presence)
        others = [account for account in accounts if account not in here]
        try:
            return here | (await self._directory.elsewhere(others)).keys()
        except UNREACHABLE:
            return here

    async def devices(self, account: str) -> frozenset[str]:
        here = frozenset(self._presence.devices(account))
        try:
            return here | await self._directory.devices(account)
        except UNREACHABLE:
            return here

    def publish(self, accounts: Collection[str], notice: Notice) -> None:
        if self._deliver is None or self._stopping or not accounts:
            return
        here = tuple([account for account in accounts if account in self._presence])
        kept = not here or self._loopback.put(Delivery(here, notice))
        if self._outbound.put(accounts, notice):
            self._wake.set()
        else:
            self._lost = True
            kept = False
        self._dropped += not kept

    def send(self, node: str, notice: Addressed) -> None:
        if self._deliver is None or self._stopping:
            return
        if node == self._node:
            kept = self._loopback.put(Delivery((), notice))
        elif kept := self._outbound.put((), notice, node):
            self._wake.set()
        self._dropped += not kept

    @property
    def quota(self) -> Quota:
        return self._quota

    @property
    def statistics(self) -> BusStatistics:
        return BusStatistics(self._ready, self._dropped, self._gaps, dict(self._refused))

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever a client library raises, a bus that has silently ended would be worse."""
        while True:
            try:
                await work()
                return
            except Exception as error:  # noqa: BLE001 - what failed is logged, and tried again
                _log.error("bus_failed", error=type(error).__name__)
                await asyncio.sleep(self._timing.answer)

    # --- Sending ---

    async def _probe(self) -> None:
        """Ring oneself: only what comes back proves the way through Redis."""
        while True:
            self._probe_due = True
            self._wake.set()
            await asyncio.sleep(self._timing.beat)

    async def _send(self) -> None:
        """Send what was published in a turn, and what came while that was under way."""
        stopping = False
        while not stopping:
            await self._wake.wait()
            self._wake.clear()
            stopping = self._stopping
            batch = self._outbound.take()
            try:
                await self._publish(batch)
            except UNREACHABLE:
                self._dropped += len(batch)
                self._lost = self._lost or any(outgoing.accounts for outgoing in batch)

    async def _publish(self, batch: Batch) -> None:
        accounts = {account for outgoing in batch for account in outgoing.accounts}
        nodes = await self._directory.elsewhere(accounts) if accounts else {}
        deliveries = by_node(batch, nodes)
        lost = self._lost
        if lost:  # nobody knows whom the notices would have reached
            registered = await self._directory.registered()
            deliveries = {
                node: deliveries.get(node, []) for node in {*registered, *deliveries} - {self._node}
            }
        if self._probe_due:
            self._probe_due = False
            deliveries[self._node] = []
        portions = {node: list(split(packed)) for node, packed in deliveries.items()}
        while portions:
            now_ms = time.time_ns() // 1_000_000
            await self._server.run(
                [self._bundle(node, waiting.pop(0), now_ms, lost=lost) for node, waiting in portions.items()]
            )
            portions = {node: waiting for node, waiting in portions.items() if waiting}
        if lost:
            self._lost = False

    def _bundle(self, node: str, portion: tuple[Any, ...], now_ms: int, *, lost: bool) -> Command:
        if len(self._sequences) >= MAX_NODES:  # they begin above all that were, or would pass for replays
            self._first = max(self._sequences.values()) + 1
            self._sequences.clear()
        sequence = self._sequences[node] = self._sequences.get(node, self._first - 1) + 1
        bundle = Bundle(self._node, node, sequence, now_ms, lost, portion)
        return self._server.publishing(self._directory.channel(node), seal(bundle, self._keys[0]))

    # --- Receiving ---

    @property
    def _ready(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._heard_at is not None and now - self._heard_at < self._timing.silence

    async def _listen(self) -> None:
        """Receive for as long as the bus runs; whatever ends a subscription, begin another."""
        while True:
            try:
                async with self._server.subscribed(self._directory.channel(self._node)) as pubsub:
                    self._announcer.repeat()
                    self._probe_due = True
                    self._wake.set()
                    await self._receive_from(pubsub)
            except UNREACHABLE as error:
                if self._heard_at is not None:
                    _log.warning("bus_interrupted", error=type(error).__name__)
            self._heard_at = None
            await asyncio.sleep(self._timing.retry * random.random())  # noqa: S311 - spreads load, guards nothing

    async def _receive_from(self, pubsub: PubSub) -> None:
        """Receive until the subscription fails, or falls silent. Raises one of `UNREACHABLE`."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        while loop.time() - (self._heard_at or since) < self._timing.silence:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=READ_SECONDS)
            if message is not None and isinstance(message["data"], bytes):
                self._receive(message["data"])
                await asyncio.sleep(0)  # what is in the buffer would be read without a pause, however much
        raise TimeoutError("no probe came through")

    def _receive(self, data: bytes) -> None:
        try:
            bundle = unseal(data, self._keys, self._node)
            gap = self._senders.take(bundle, time.time_ns() // 1_000_000)
        except Refused as refused:
            self._refused[refused.cause] += 1
            return
        if bundle.sender == self._node:
            # The first one since subscribing tells nothing of what was lost before.
            gap = gap and self._heard_at is not None
            self._heard_at = asyncio.get_running_loop().time()
            self._heard.set()
        elif bundle.deliveries:
            self._take(bundle)
        if gap or bundle.lost:
            self._may_have_missed()

    def _take(self, bundle: Bundle) -> None:
        taken: list[Delivery] = []
        for packed in bundle.deliveries:
            delivery = unpack(packed)
            if delivery is None:
                self._refused["unknown"] += 1
                continue
            here = tuple([account for account in delivery.accounts if account in self._presence])
            if here or not delivery.accounts:
                taken.append(Delivery(here, delivery.notice))
        if taken and self._deliver is not None:
            # Not from here: what it raises is no matter of the subscription.
            asyncio.get_running_loop().call_soon(self._deliver, taken)

    def _may_have_missed(self) -> None:
        if self._missed is not None:
            self._gaps += 1
            asyncio.get_running_loop().call_soon(self._missed)

    def _changed(self, account: str, online: bool) -> None:
        self._loopback.put(Delivery((account,), PresenceNotice(account, online=online)))

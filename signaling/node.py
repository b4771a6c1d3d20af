"""One node of Rapport: every part made, wired, started in order and stopped in the opposite order.

Used by ``rapport serve`` and by tests. Which part does what is told by the parts.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

import structlog
from aiohttp import web

from config import Settings
from protocol import errors
from relay.blobs.folder import BlobFolder
from relay.bus import Bus
from relay.bus.calls import Calls
from relay.bus.local import LocalBus
from relay.bus.redis import RedisBus
from relay.cluster import Fence, ForgetNodes, Grave, NodeRow
from relay.errors import StoreError
from relay.writes import ForgetIdempotency, Write
from rtc.client import MediaWorker
from rtc.control import EventMessage, WorkerOptions
from rtc.errors import RtcError
from signaling.access import Access
from signaling.around import Around
from signaling.audit.auditor import Auditor
from signaling.audit.witness import WitnessError
from signaling.blobs.places import folder_of
from signaling.blobs.service import BlobService
from signaling.cluster.duties import Duties
from signaling.cluster.keeper import Keeper
from signaling.cluster.names import CHANCE_BYTES, node_name
from signaling.cluster.undertaker import LOOK_SECONDS, Step, Undertaker
from signaling.dispatch import Dispatcher
from signaling.door.acks import Acks
from signaling.door.hub import Hub
from signaling.door.shared import Shared
from signaling.door.websocket import Door
from signaling.erasure import Erasure
from signaling.export.service import Export
from signaling.http.application import application
from signaling.http.endpoint import Services
from signaling.http.health import Health
from signaling.http.idempotency import KEPT_MS
from signaling.http.runner import Runner
from signaling.key_files import KeyFileError
from signaling.key_sets import KeySets
from signaling.keys.service import KeysService
from signaling.media.cut import Cut
from signaling.media.hosting import SWEEP_SECONDS, Hosting
from signaling.media.hosts import Hosts
from signaling.media.moving import Moving
from signaling.media.placement import Placement
from signaling.media.pool import Pool, Worker
from signaling.media.reoffers import Reoffers
from signaling.media.service import Media
from signaling.observe.logs import failure
from signaling.observe.metrics import Metrics
from signaling.policy import policy_of
from signaling.push.keys import key_file
from signaling.push.ringer import Surroundings
from signaling.push.service import PushService
from signaling.quotas import JoinAttempts
from signaling.ratings.notices import notices_of
from signaling.ratings.rating import Rating
from signaling.ratings.service import Ratings
from signaling.retention.service import Retention
from signaling.rooms import Rooms
from signaling.schedule.appointments import Appointments
from signaling.schedule.feeds import Feeds
from signaling.schedule.service import Schedule
from signaling.sessions.bookings import StoredBookings
from signaling.sessions.changes import Changes
from signaling.sessions.clock import Clock
from signaling.sessions.service import Sessions
from signaling.sessions.telling import Telling
from signaling.stores import store_of
from signaling.timebase import Timebase
from signaling.usage.service import Usage
from signaling.webhooks.service import Webhooks
from signaling.webhooks.unreceived import UnreceivedSearch

TICK_SECONDS = 1.0
SCHEDULE_SECONDS = 600.0
HOUSEKEEPING_SECONDS = 3600.0
BLOBS_SECONDS = 60.0
TASK_PAUSE_SECONDS = 1.0
GRAVES_MS = 86_400_000
"""How long it is known that a node was buried. One that is not known ends as well when it wakes."""

HAND_OVER_SHARE = 0.25
"""The part of the time for stopping within which media sessions are handed to other nodes."""

DRAIN_SHARE = 0.5
"""The part of the time for stopping within which connections are told to come back."""

_log = structlog.get_logger("rapport.node")


class StartError(Exception):
    """The node cannot start. The message is for operators: one line that says what is wrong."""


class Node:
    """One server: ``await start()``, then it serves at :attr:`url` until ``await stop()``.

    ``development`` adds the page at ``/`` and ``/dev/session``.
    """

    def __init__(self, settings: Settings, *, development: bool = False) -> None:
        self._settings = settings
        self._development = development
        self._stack = AsyncExitStack()
        self._port = 0
        self._wire()

    def _wire(self) -> None:
        settings = self._settings
        self.name = node_name(secrets.token_bytes(CHANCE_BYTES))
        self.serving = False
        self._taking = False
        self._strands = False  # whether media sessions are left here for others to take over
        self.metrics = Metrics()
        self.timebase = Timebase()
        self.store = store_of(settings.store)
        local = settings.bus.url == "memory://"
        self.bus: Bus = LocalBus(self.name) if local else RedisBus(settings.bus, self.name)
        self.calls = Calls(self.bus)
        self.hub = Hub(self.store, self.bus, settings.limits, self.timebase, self.name)
        self.hub.on_call(self.calls.take)
        self.webhooks = Webhooks(
            settings.webhooks, self.store, self.timebase, self.metrics.delivery_attempted
        )
        self.auditor = Auditor(
            settings.audit, self.store, settings.store.url, self.timebase, version("rapport-rtc")
        )
        self.rooms = Rooms(self.store, self.bus, self.timebase, (self.webhooks, self.auditor))
        self.key_sets = KeySets(settings.tokens.jwks)
        self.access = Access(settings.tokens, self.store, self.key_sets, self.timebase, self.auditor)
        self.pool = Pool(settings.media.workers, self._spawn)
        self.keeper = Keeper(self.store, self.name, self.timebase, self._introduced)
        self.duties = Duties(self.keeper.owns)
        hosts = Hosts(self.keeper, self.calls, settings.media.request_timeout_seconds)
        self.cut = Cut(hosts, self.keeper)
        self.clock = Clock(self.store, self.timebase, self.metrics.deadline_met, self.keeper)
        changes = Changes(
            self.store,
            self.rooms,
            Telling(self.store, self.hub, self.cut, self.timebase),
            self.timebase,
            self.clock.put,
            self.metrics.session_changed,
            (self.webhooks, self.auditor),
            (Fence(self.name),),
        )
        bookings = StoredBookings(self.store)
        self.sessions = Sessions(self.store, changes, bookings, self.timebase, policy_of(settings))
        self.schedule = Schedule(
            self.store,
            self.rooms,
            self.sessions,
            self.timebase,
            settings.schedule,
            settings.sessions.max_ahead_days,
        )
        self.feeds = Feeds(self.store, self.rooms, self.timebase, settings.schedule)
        self.usage = Usage(self.store, self.timebase)
        self.ratings = Ratings(
            self.store, self.rooms, self.sessions, self.timebase, self._told, self.metrics.session_rated
        )
        appointments = Appointments(self.store, self.sessions, self.schedule)
        told = Reoffers(self.sessions, self.hub)
        placement = Placement(settings.media.capacity)
        self.hosting = Hosting(self.sessions, self.keeper, self.pool, placement, told)
        hosts.serve(self.hosting)
        self.moving = Moving(self.sessions, self.keeper, self.hosting, told)
        self.media = Media(self.sessions, hosts, self.moving, settings.turn, self.timebase)
        self.around = Around.wired(
            self.store, self.rooms, self.bus, self.hub, self.timebase, settings.replies
        )
        self.keys = KeysService(
            self.store,
            self.rooms,
            self.timebase,
            settings.keys,
            self.hub.keys_changed,
            self.webhooks.deliveries,
            self.metrics,
            self.bus.quota,
        )
        self.blobs = BlobService(
            settings.blobs,
            self.store,
            self.rooms,
            BlobFolder(Path(folder_of(settings.blobs, settings.store.url))),
            self.timebase,
            self.auditor,
            self.metrics,
        )
        self.push = PushService(
            Surroundings(
                self.store,
                self.rooms,
                self.timebase,
                self.around.hours.quiet_until,
                self.webhooks.deliveries,
                self.metrics.doorbell_attempted,
            ),
            settings.push,
            settings.webhooks,
            key_file(settings.push, settings.store.url),
            told=self.webhooks.tells("push.doorbell"),
        )
        self.retention = Retention(self.store, self.rooms, self.timebase, settings.retention)
        self.keeper.on_changed, self.keeper.on_gone = self._changed, self.calls.gone
        dispatcher = Dispatcher(
            self.rooms,
            self.hub,
            self.sessions,
            JoinAttempts(self.bus.quota, settings.limits),
            self.ratings,
            appointments,
            self.media,
            self.access,
            self.around,
            self.keys,
            self.push,
            self.timebase,
            self.auditor,
        )
        acks = Acks(self.store, self.around.receipts.written)
        shared = Shared(settings.limits, self.store, self.hub, self.access, dispatcher, self.timebase, acks)
        self.door = Door(shared, settings.server)

    @property
    def url(self) -> str:
        """Where the node serves, as seen from its own machine."""
        server = self._settings.server
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(server.host, server.host)  # noqa: S104 - compared
        return f"{'https' if server.tls_certificate else 'http'}://{host}:{self._port}"

    async def start(self) -> None:
        """Start everything; returns when the node serves. Raises :exc:`StartError`; then nothing is left."""
        try:
            await self._start()
        except BaseException as error:
            await self._stack.aclose()
            if isinstance(error, StoreError):
                raise StartError(f"the store {self._settings.store.url} cannot be used: {error}") from error
            if isinstance(error, WitnessError):
                raise StartError(f"the audit trail cannot be kept: {error}") from error
            if isinstance(error, KeyFileError):
                raise StartError(f"a key of this server cannot be used: {error}") from error
            if isinstance(error, RtcError):
                raise StartError(f"the media workers do not start: {error}") from error
            raise
        self.serving = True

    async def stop(self) -> None:
        """Drain and stop everything, within the time that the settings allow for it."""
        self.serving = self._taking = False
        seconds = self._settings.server.shutdown_seconds
        try:
            async with asyncio.timeout(seconds * HAND_OVER_SHARE):
                await self.keeper.turn()  # nothing new falls to this node from here on
                await self.moving.hand_over()
        except TimeoutError:
            _log.warning("hand_over_unfinished", sessions=len(self.hosting.carried))
        self._strands = bool(self.hosting.carried)
        try:
            async with asyncio.timeout(seconds * DRAIN_SHARE):
                await self.hub.close_all(errors.DRAIN, seconds)
        except TimeoutError:
            _log.warning("connections_cut", connections=self.hub.stats().connections)
        await self._stack.aclose()

    async def _start(self) -> None:
        after = self._stack.push_async_callback
        await self.store.open()
        after(self.store.close)
        await self.keeper.start()
        after(self._leave)
        self._run("members", self.keeper.run)
        self._run("duties", self.duties.run)
        await self.auditor.start()
        after(self.auditor.stop)
        after(self.blobs.stop)
        await self.blobs.start()
        self._duty("blobs", _every(BLOBS_SECONDS, self.blobs.forget))
        await self._start_webhooks()
        self._duty("push", self.push.start())
        await self.hub.start()
        after(self.hub.stop)
        after(self.calls.stop)
        await self.pool.start()
        after(self.pool.stop)
        after(self.hosting.stop)
        after(self.cut.stop)
        self._run("media", _every(SWEEP_SECONDS, self.hosting.sweep))
        undertaker = Undertaker(self.store, self.keeper, self.timebase, self._after_death())
        await undertaker.turn()
        self._run("undertaker", _every(LOOK_SECONDS, undertaker.turn))
        await self.clock.catch_up(self.sessions.fire)
        self._run("clock", lambda: self.clock.run(self.sessions.fire))
        self._run("notes", _every(TICK_SECONDS, self.auditor.write_notes))
        self._duty("audit", _every(TICK_SECONDS, self.auditor.tick))
        self._run("sessions", _every(TICK_SECONDS, self.sessions.tick))
        await self.schedule.roll()
        self._duty("schedule", _every(SCHEDULE_SECONDS, self.schedule.roll))
        after(self.around.teller.stop)
        after(self.around.receipts.stop)
        await self.around.replies.recover()
        self._run("replies", self.around.replies.run)
        self._duty("housekeeping", _every(HOUSEKEEPING_SECONDS, self.forget))
        await self.door.start()
        after(self.door.stop)
        self._taking = True
        await self.keeper.turn()  # from here on something may fall to this node
        await self._listen()

    async def _start_webhooks(self) -> None:
        await self.webhooks.start()
        for name, work in self.webhooks.tasks().items():
            self._duty(name, work)
        if self.webhooks.tells("message.undelivered"):
            age_seconds = self._settings.webhooks.undelivered_seconds
            search = UnreceivedSearch(
                self.store,
                self.rooms,
                self.timebase,
                age_seconds,
                self.webhooks.deliveries,
                self.around.hours.quiet_until,
            )
            self._duty("unreceived", search.run)

    def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep something running for as long as the node runs."""
        task = asyncio.create_task(_again_and_again(name, work), name=name)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(end)

    def _duty(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep something running for as long as it falls to this node."""
        self.duties.add(name, lambda: _again_and_again(name, work))
        self._stack.push_async_callback(self.duties.end, name)

    def _after_death(self) -> Sequence[Step]:
        """What follows from the death of a node."""

        async def tell_presence(grave: Grave) -> None:
            self.bus.gone(grave.name)

        async def take_over(grave: Grave) -> None:
            await self.moving.take_over(grave.name, grave.region)

        async def reply(_: Grave) -> None:
            await self.around.replies.recover()

        return (tell_presence, take_over, self.sessions.node_died, reply)

    def _changed(self) -> None:
        """Something else may fall to this node than before."""
        self.duties.see()
        self.clock.look_again()

    def _introduced(self, beat: int) -> NodeRow:
        """What this node says of itself."""
        return NodeRow(
            self.name,
            beat,
            self.timebase.now_ms(),
            version("rapport-rtc"),
            self._settings.cluster.region,
            self.url,
            self.hosting.participants,
            self.hub.stats().connections,
            draining=not self._taking,
        )

    async def _leave(self) -> None:
        await self.keeper.leave(settled=self.sessions.settled and not self._strands)

    async def _listen(self) -> None:
        server = self._settings.server
        services = Services(
            self.store,
            self.rooms,
            self.sessions,
            self.schedule,
            self.feeds,
            self.around,
            self.keys,
            self.retention,
            Export(self.store, self.timebase),
            Erasure(self.store, self.rooms, self.sessions, self.timebase),
            self.usage,
            self.ratings,
            self.timebase,
            self.auditor,
            self.webhooks,
            self.blobs,
            self._settings.audit.break_glass_minutes,
        )
        health = Health(
            self,
            self.store,
            self.bus,
            self.hub,
            self.pool,
            self.keeper,
            self.duties,
            self.metrics,
            self._settings.metrics.token,
            self.timebase,
        )
        app = application(
            services,
            self.access,
            self.door,
            health,
            self.metrics,
            self._settings,
            development_mode=self._development,
        )
        runner = Runner(app, access_log=None, shutdown_timeout=server.shutdown_seconds / 4)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, server.host, server.port, ssl_context=self._tls(), reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else "the address cannot be resolved"
            raise StartError(f"cannot listen on {server.host} port {server.port}: {reason}") from error
        self._port = runner.addresses[0][1]

    def _tls(self) -> ssl.SSLContext | None:
        server = self._settings.server
        if server.tls_certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(server.tls_certificate, server.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise StartError(f"the TLS certificate and key cannot be used: {type(error).__name__}") from error
        return context

    def _spawn(
        self, slot: int, on_event: Callable[[EventMessage], None], on_exit: Callable[[], None]
    ) -> Worker:
        media = self._settings.media
        options = WorkerOptions(
            host=media.host,
            port=media.port + slot if media.port else 0,
            announce=media.announce,
            ice_consent_seconds=media.consent_seconds,
            max_participants=media.max_participants,
        )
        return MediaWorker(
            options,
            on_event=on_event,
            on_exit=on_exit,
            request_timeout_seconds=media.request_timeout_seconds,
        )

    def _told(self, rating: Rating) -> Sequence[Write]:
        return self.webhooks.deliveries(notices_of(rating, self._settings.webhooks.low_rating))

    async def forget(self) -> None:
        """Drop what has been kept for long enough; done every hour."""
        now_ms = self.timebase.now_ms()
        await self.store.commit(ForgetIdempotency(now_ms - KEPT_MS), ForgetNodes(now_ms - GRAVES_MS))
        await self.keys.forget()
        await self.retention.purge()
        await self.webhooks.forget()
        await self.auditor.prune()


def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def once() -> None:
        await asyncio.sleep(seconds)
        await work()

    return once


async def _again_and_again(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work, and whatever it meets, do it again: a node without its clock would be worse than none."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - what failed is logged, and tried again
            _log.error("task_failed", task=name, error=failure(error))
            await asyncio.sleep(TASK_PAUSE_SECONDS)

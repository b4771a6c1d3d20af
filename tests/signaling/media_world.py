"""Several nodes with media workers, one store, and a bus that loses, repeats and delays what it carries.

Nothing here sleeps. What is under way between nodes moves when a test says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from config.settings import TurnSettings
from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import Modality
from protocol.signals import SignalBody
from relay.bus.calls import NoReply
from rtc.client import Refused
from rtc.control import EventMessage
from rtc.errors import NoSuchParticipant, NoSuchSession, StaleGeneration, WorkerGone
from signaling.caller import Caller
from signaling.media.cut import Cut
from signaling.media.hosting import Hosting
from signaling.media.hosts import Hosts
from signaling.media.moving import Moving
from signaling.media.placement import Placement
from signaling.media.pool import Pool
from signaling.media.reoffers import Reoffers
from signaling.media.service import Media
from signaling.sessions import core, moves
from signaling.sessions.commands import Command, CutMedia, Rehost
from signaling.sessions.session import Session
from signaling.timebase import Timebase
from tests.signaling.media_kit import FakeWorker, Seen
from tests.signaling.sessions_core_kit import START

Fate = Literal["arrive", "repeat", "late", "lost"]


class ModelWorker(FakeWorker):
    """A worker that knows whom it serves, by session and generation, as a real one does."""

    def __init__(self, on_event: Callable[[EventMessage], None], on_exit: Callable[[], None]) -> None:
        super().__init__(0, on_event, on_exit)
        self.serves: dict[str, tuple[int, dict[str, str]]] = {}
        self.forwards: dict[str, Modality] = {}

    async def offer(self, session: str, generation: int, participant: str, sdp: str) -> str:
        self._opened(session, generation)[participant] = sdp
        return await super().offer(session, generation, participant, sdp)

    async def remove(self, session: str, generation: int, participant: str) -> None:
        if self._known(session, generation).pop(participant, None) is None:
            raise Refused(NoSuchParticipant.name, "")
        await super().remove(session, generation, participant)

    async def close_session(self, session: str, generation: int) -> None:
        self._known(session, generation)
        del self.serves[session]
        await super().close_session(session, generation)

    async def set_modality(self, session: str, generation: int, modality: Modality) -> None:
        self._opened(session, generation)
        self.forwards[session] = modality
        await super().set_modality(session, generation, modality)

    async def _take(self, *asked: str) -> None:
        await asyncio.sleep(0)  # what is asked takes effect at once, and is answered later
        await super()._take(*asked)

    def _known(self, session: str, generation: int) -> dict[str, str]:
        self._check()
        known, people = self.serves.get(session, (0, {}))
        if known < generation:
            raise Refused(NoSuchSession.name, "")
        if known > generation:
            raise Refused(StaleGeneration.name, "")
        return people

    def _opened(self, session: str, generation: int) -> dict[str, str]:
        self._check()
        known, people = self.serves.get(session, (0, {}))
        if known > generation:
            raise Refused(StaleGeneration.name, "")
        if known < generation:
            people = {}
            self.serves[session] = generation, people
        return people

    def _check(self) -> None:
        if not self.running:
            raise WorkerGone


@dataclass
class Store:
    """Sessions, each change atomic."""

    sessions: dict[str, Session]

    def change(self, session_id: str, command: Command) -> tuple[Session, bool]:
        """The session after a command, and whether media is to be cut. What the core refuses."""
        decision = core.decide(self.sessions[session_id], command, START)
        self.sessions[session_id] = decision.session
        return decision.session, CutMedia() in decision.effects


class SharedSessions:
    """`signaling.media.ports.JoinedSessions` on that store; reading and writing take a turn of the loop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, session_id: str) -> Session:
        session = self._store.sessions[session_id]
        await asyncio.sleep(0)  # what is read is old already when it arrives
        return session

    async def joined(self, caller: Caller, session_id: str) -> Session:
        session = await self.find(session_id)
        if session.over:
            raise ProtocolError(errors.SESSION_OVER)
        if caller.connection not in moves.inside(session, caller.account).connections:
            raise ProtocolError(errors.NOT_JOINED)
        return session

    async def rehost(self, session_id: str, host: str, generation: int) -> Session:
        await asyncio.sleep(0)
        session, _ = self._store.change(session_id, Rehost(host, generation))
        await asyncio.sleep(0)
        return session

    async def running(self) -> AsyncIterator[tuple[Session, ...]]:
        yield tuple(session for session in self._store.sessions.values() if not session.over)


@dataclass
class Carried:
    """A request or reply on its way."""

    to: str
    waiting: asyncio.Future[bytes]
    deliver: Callable[[], Awaitable[None]]


@dataclass
class Wire:
    """What is on its way between nodes."""

    under_way: list[Carried] = field(default_factory=list)
    handlers: dict[str, Callable[[str, bytes], Awaitable[bytes]]] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    failures: list[Exception] = field(default_factory=list)
    """What nodes should have answered, and raised."""

    def meet(self, index: int, fate: Fate) -> None:
        """One of those under way meets its fate."""
        one = self.under_way[index]
        if fate != "late" and fate != "repeat":
            del self.under_way[index]
        if fate in {"arrive", "repeat"}:
            task: asyncio.Task[None] = asyncio.ensure_future(one.deliver())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        elif not one.waiting.done():  # whoever asked loses patience
            one.waiting.set_exception(NoReply())

    def lose(self, name: str) -> None:
        """A node is gone, and all that was on its way to it."""
        self.handlers.pop(name, None)
        for index in reversed(range(len(self.under_way))):
            if self.under_way[index].to == name:
                self.meet(index, "lost")


class Line:
    """`signaling.media.ports.Calls` of one node."""

    def __init__(self, name: str, wire: Wire) -> None:
        self._name = name
        self._wire = wire

    async def ask(self, node: str, request: bytes, timeout: float) -> bytes:
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def reply(data: bytes) -> None:
            if not waiting.done():
                waiting.set_result(data)

        async def nobody() -> None:
            if not waiting.done():
                waiting.set_exception(NoReply())

        async def carry_out() -> None:
            if node not in self._wire.handlers:
                self._wire.under_way.append(Carried(node, waiting, nobody))
                return
            try:
                data = await self._wire.handlers[node](self._name, request)
            except Exception as error:  # noqa: BLE001 - kept for the test to raise
                self._wire.failures.append(error)
                await nobody()
                return
            self._wire.under_way.append(Carried(self._name, waiting, lambda: reply(data)))

        self._wire.under_way.append(Carried(node, waiting, carry_out))
        return await waiting

    def serve(self, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        self._wire.handlers[self._name] = handler


@dataclass
class View:
    """`signaling.media.ports.Members` of one node."""

    name: str
    world: World
    acting: bool = True

    def alive(self) -> tuple[Seen, ...]:
        """The nodes that nobody takes for dead; a node does not take itself for it."""
        here = [
            Seen(name, region=node.region, participants=node.hosting.participants, draining=node.draining)
            for name, node in self.world.nodes.items()
            if name not in self.world.suspected or name == self.name
        ]
        return (*here, *map(Seen, self.world.ghosts))


class MediaNode:
    """A node with its workers."""

    def __init__(self, name: str, world: World, region: str, workers: int) -> None:
        self.name, self.region, self.draining = name, region, False
        self.view = View(name, world)
        self.sessions = SharedSessions(world.store)
        self.workers: dict[int, ModelWorker] = {}
        self.pool = Pool(workers, self._spawn)
        hosts = Hosts(self.view, Line(name, world.wire), 1.0)
        self.cut = Cut(hosts, self.view)
        told = Reoffers(self.sessions, world)
        self.hosting = Hosting(self.sessions, self.view, self.pool, Placement(world.capacity), told)
        hosts.serve(self.hosting)
        self.moving = Moving(self.sessions, self.view, self.hosting, told)
        self.media = Media(self.sessions, hosts, self.moving, TurnSettings(), Timebase())

    async def stop(self) -> None:
        """End it at once."""
        await self.cut.stop()
        await self.hosting.stop()
        await self.pool.stop()

    def _spawn(
        self, slot: int, on_event: Callable[[EventMessage], None], on_exit: Callable[[], None]
    ) -> ModelWorker:
        self.workers[slot] = ModelWorker(on_event, on_exit)
        return self.workers[slot]


class World:
    """Nodes with a store and a bus between them, and whoever is connected to them."""

    def __init__(self, *sessions: Session, capacity: int = 1000) -> None:
        self.store = Store({session.id: session for session in sessions})
        self.wire = Wire()
        self.capacity = capacity
        self.nodes: dict[str, MediaNode] = {}
        self.suspected: set[str] = set()
        self.ghosts: set[str] = set()
        self.told: list[tuple[str, SignalBody]] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def add(self, name: str, region: str = "", workers: int = 1) -> MediaNode:
        """One more node."""
        node = self.nodes[name] = MediaNode(name, self, region, workers)
        await node.pool.start()
        return node

    async def kill(self, name: str) -> None:
        """End a node without a word; nobody has noticed yet."""
        node = self.nodes.pop(name)
        self.ghosts.add(name)
        self.wire.lose(name)
        await node.stop()

    def session(self) -> Session:
        """The first session as it is stored."""
        return next(iter(self.store.sessions.values()))

    def change(self, node: MediaNode, command: Command) -> None:
        """A change that a node makes; what is refused changes nothing."""
        with contextlib.suppress(ProtocolError):
            session, cut = self.store.change(self.session().id, command)
            if cut:
                node.cut.cut(session)

    def signal_connection(self, connection: str, room: str, body: SignalBody) -> None:
        self.told.append((connection, body))

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Something that goes on while other things happen."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        return task

    def check(self) -> None:
        """Raise what nobody has looked at."""
        for failure in self.wire.failures:
            raise failure
        for task in self._tasks:
            if task.done():
                task.result()

    async def settle(self) -> None:
        """Let everything arrive that is under way, until nothing is."""
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
                while self.wire.under_way:
                    self.wire.meet(0, "arrive")
            busy = [*self.wire.tasks, *(task for task in self._tasks if not task.done())]
            busy += [task for node in self.nodes.values() for task in node.cut._tasks.values()]
            busy += [task for node in self.nodes.values() for task in node.hosting._tasks]
            if not busy:
                return

    async def stop(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for node in self.nodes.values():
            await node.stop()


@contextlib.asynccontextmanager
async def world(*sessions: Session, nodes: str = "abc", capacity: int = 1000) -> AsyncIterator[World]:
    """Nodes with these names, with these sessions to hold."""
    made = World(*sessions, capacity=capacity)
    for name in nodes:
        await made.add(name)
    try:
        yield made
    finally:
        await made.stop()

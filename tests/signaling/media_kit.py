"""Media workers that are no processes: scripted, and noting what they are asked; nodes as others see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from protocol.fields import Modality
from protocol.signals import SignalBody
from rtc.control import EventMessage, WorkerStats
from rtc.errors import RtcError, WorkerGone
from signaling.media.pool import Pool, Worker


@dataclass(frozen=True)
class Seen:
    """A node as it is seen by others: `signaling.media.ports.Neighbour`."""

    name: str
    region: str = ""
    participants: int = 0
    draining: bool = False


class Alone:
    """`signaling.media.ports.Members` of a node that has its store for itself."""

    name = "here"
    acting = True

    def alive(self) -> tuple[Seen, ...]:
        return (Seen(self.name),)


class FakeWorker:
    """One worker. ``die`` ends it as a crash would."""

    def __init__(
        self, pid: int, on_event: Callable[[EventMessage], None], on_exit: Callable[[], None]
    ) -> None:
        self.pid = pid
        self.on_event = on_event
        self._on_exit = on_exit
        self.asked: list[tuple[str, ...]] = []
        self.refuses: RtcError | None = None
        self.hold: asyncio.Event | None = None
        self.running = False

    async def start(self) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.running = True

    async def stop(self) -> None:
        self.running = False

    def die(self) -> None:
        self.running = False
        self._on_exit()

    async def offer(self, session: str, generation: int, participant: str, sdp: str) -> str:
        await self._take("offer", session, str(generation), participant)
        return f"answer to {sdp}"

    async def remove(self, session: str, generation: int, participant: str) -> None:
        await self._take("remove", session, str(generation), participant)

    async def close_session(self, session: str, generation: int) -> None:
        await self._take("close", session, str(generation))

    async def set_modality(self, session: str, generation: int, modality: Modality) -> None:
        await self._take("modality", session, str(generation), modality)

    async def stats(self) -> WorkerStats:
        await self._take("stats")
        return WorkerStats(0, 0, 0, 0, 0, 0, 0, {}, 0.0)

    async def _take(self, *asked: str) -> None:
        self.asked.append(asked)
        if self.hold is not None:
            await self.hold.wait()
        if not self.running:
            raise WorkerGone
        if self.refuses is not None:
            raise self.refuses


class FakeWorkers:
    """Spawns fake workers; those at the front of ``faulty`` do not start."""

    def __init__(self) -> None:
        self.spawned: list[FakeWorker] = []
        self.faulty: list[RtcError] = []
        self._more = asyncio.Event()

    def __call__(
        self, slot: int, on_event: Callable[[EventMessage], None], on_exit: Callable[[], None]
    ) -> Worker:
        worker = FakeWorker(1000 + len(self.spawned), on_event, on_exit)
        if self.faulty:
            worker.refuses = self.faulty.pop(0)
        self.spawned.append(worker)
        self._more.set()
        return worker

    async def until_spawned(self, count: int, pool: Pool) -> None:
        """Wait until so many were spawned and the last of them is up."""
        while len(self.spawned) < count:
            self._more.clear()
            await self._more.wait()
        await pool.wait_up()


class Signals:
    """Notes what connections are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, SignalBody]] = []
        self._more = asyncio.Event()

    def signal_connection(self, connection: str, room: str, body: SignalBody) -> None:
        self.told.append((connection, body))
        self._more.set()

    async def until(self, count: int) -> list[tuple[str, SignalBody]]:
        """Wait for so many signals."""
        while len(self.told) < count:
            self._more.clear()
            await self._more.wait()
        return self.told

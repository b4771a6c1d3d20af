"""The media worker processes of a node: started with it, replaced when they die, stopped with it.

Which sessions they carry is not known here. A worker that dies again and again is restarted after a pause
that grows, so that a fault of the machine does not become a storm of processes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from protocol.fields import Modality
from rtc.control import EventMessage, WorkerStats
from rtc.errors import RtcError
from signaling.observe.logs import failure

STEADY_SECONDS = 10.0
"""A worker that has lived for so long is replaced at once."""
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0

_log = structlog.get_logger("rapport.media")


class Worker(Protocol):
    """A process of :class:`rtc.client.MediaWorker`, say. Requests raise :exc:`rtc.errors.RtcError`."""

    @property
    def pid(self) -> int:
        """The process."""

    async def start(self) -> None:
        """Start it; returns when it listens."""

    async def stop(self) -> None:
        """End it; returns when it is gone."""

    async def offer(self, session: str, generation: int, participant: str, sdp: str) -> str:
        """The answer to a participant's offer."""

    async def remove(self, session: str, generation: int, participant: str) -> None:
        """Take a participant out."""

    async def close_session(self, session: str, generation: int) -> None:
        """End a session's media."""

    async def set_modality(self, session: str, generation: int, modality: Modality) -> None:
        """Forward nothing that the modality excludes."""

    async def stats(self) -> WorkerStats:
        """Totals since it started."""


Spawn = Callable[[int, Callable[[EventMessage], None], Callable[[], None]], Worker]
"""Makes the worker of a slot, not yet started, with what to call on an event and on its death."""


class Pool:
    """The workers of a node, one per slot.

    ``on_up`` and ``on_down`` are called with a slot as its worker becomes ready or dies; ``on_event`` with
    the slot and what its worker tells.
    """

    def __init__(self, slots: int, spawn: Spawn) -> None:
        self._slots = slots
        self._spawn = spawn
        self._workers: dict[int, Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._some_up = asyncio.Event()
        self.restarts = 0
        """Workers that died and were replaced."""
        self.on_up: Callable[[int], None] = _nothing
        self.on_down: Callable[[int], None] = _nothing
        self.on_event: Callable[[int, EventMessage], None] = _nothing

    async def start(self) -> None:
        """Start every worker. Raises :exc:`rtc.errors.RtcError` if one does not start; then none is left."""
        try:
            deaths = [await self._bring_up(slot) for slot in range(self._slots)]
        except BaseException:
            await self.stop()
            raise
        self._keepers = [
            asyncio.create_task(self._keep(slot, dead), name=f"media worker {slot}")
            for slot, dead in enumerate(deaths)
        ]

    async def stop(self) -> None:
        """Stop every worker; returns when all processes are gone."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))
        self._workers.clear()
        self._some_up.clear()

    def worker(self, slot: int) -> Worker | None:
        """The worker of a slot; None while it is being replaced."""
        return self._workers.get(slot)

    def pids(self) -> tuple[int, ...]:
        """The worker processes that are up."""
        return tuple(worker.pid for worker in self._workers.values())

    async def wait_up(self) -> None:
        """Wait until some worker is up."""
        await self._some_up.wait()

    async def stats(self) -> dict[int, WorkerStats]:
        """Totals by slot. Raises :exc:`rtc.errors.RtcError` if a worker that is up does not answer."""
        slots = dict(self._workers)
        totals = await asyncio.gather(*(worker.stats() for worker in slots.values()))
        return dict(zip(slots, totals, strict=True))

    async def _bring_up(self, slot: int) -> asyncio.Event:
        """Start a slot's worker. The event it returns is set when that worker dies."""
        dead = asyncio.Event()
        worker = self._spawn(slot, lambda event: self.on_event(slot, event), dead.set)
        await worker.start()
        self._workers[slot] = worker
        self._some_up.set()
        self.on_up(slot)
        return dead

    async def _keep(self, slot: int, dead: asyncio.Event) -> None:
        pause = 0.0
        while True:
            since = time.monotonic()
            await dead.wait()
            pause = 0.0 if time.monotonic() - since > STEADY_SECONDS else _longer(pause)
            _log.error("media_worker_died", slot=slot)
            self._lose(slot)
            await asyncio.sleep(pause)
            dead = await self._replace(slot, pause)
            self.restarts += 1

    def _lose(self, slot: int) -> None:
        del self._workers[slot]
        if not self._workers:
            self._some_up.clear()
        self.on_down(slot)

    async def _replace(self, slot: int, pause: float) -> asyncio.Event:
        while True:
            try:
                return await self._bring_up(slot)
            except (RtcError, OSError) as error:
                pause = _longer(pause)
                _log.error("media_worker_not_started", slot=slot, error=failure(error))
                await asyncio.sleep(pause)


def _longer(pause: float) -> float:
    return min(max(2 * pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)


def _nothing(*_: object) -> None:
    """Nobody listens yet."""

"""The shell of the sessions' clock: loads deadlines, sleeps until the next, has it carried out.

Which deadlines, and when, is decided by :class:`signaling.sessions.agenda.Agenda`; what one means by the
session itself. Nothing here is lost with the process: the store has every deadline until its outcome is
committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from relay.errors import StoreError
from relay.rows import Deadline
from relay.store import Store
from signaling.sessions.agenda import Agenda
from signaling.timebase import Timebase

BATCH = 256
"""Deadlines carried out together: one group commit of the store."""

HORIZON_MS = 2_000
"""How far ahead deadlines are loaded; those that another node sets are seen after this time at the latest."""

STORE_PAUSE_SECONDS = 0.5
"""How long to wait when the store does not answer."""


class Duty(Protocol):
    """What falls to this node among those that share the store."""

    @property
    def acting(self) -> bool:
        """Whether it is to do anything at all."""

    def owns(self, key: str) -> bool:
        """Whether a session falls to it."""


Fire = Callable[[Sequence[Deadline]], Awaitable[tuple[BaseException | None, ...]]]

_log = structlog.get_logger("rapport.clock")


class Clock:
    """Carries out deadlines: never early, each until it has succeeded.

    Those of the sessions that fall to this node, and those that it has set so shortly before they are due
    that whoever they fall to may see them too late. If two carry out the same, it happens once.
    """

    def __init__(self, store: Store, timebase: Timebase, met: Callable[[int], None], duty: Duty) -> None:
        """``met`` is told how many milliseconds after it was due each deadline was carried out."""
        self._store = store
        self._timebase = timebase
        self._met = met
        self._duty = duty
        self._set_here: set[Deadline] = set()
        self._agenda = Agenda(HORIZON_MS)
        self._changed = asyncio.Event()

    def put(self, deadline: Deadline) -> None:
        """A deadline was committed by this node."""
        if self._agenda.put(deadline):
            self._set_here.add(deadline)
        self._changed.set()

    def look_again(self) -> None:
        """Other sessions may fall to this node than before."""
        self._agenda.look_again()
        self._changed.set()

    async def catch_up(self, fire: Fire) -> None:
        """Carry out everything that is due already, in order."""
        while await self._turn(fire):
            pass

    async def run(self, fire: Fire) -> None:
        """Carry out deadlines as they fall due, until cancelled."""
        while True:
            try:
                busy = await self._turn(fire)
            except StoreError as error:
                _log.warning("deadlines_not_readable", error=error.name)
                await asyncio.sleep(STORE_PAUSE_SECONDS)
                continue
            if not busy:
                await self._sleep()

    async def _turn(self, fire: Fire) -> bool:
        """Carry out one batch. False if there was nothing to do."""
        self._changed.clear()
        await self._load()
        batch = self._agenda.take(self._timebase.now_ms(), BATCH)
        if not batch:
            return False
        batch = self._own(batch)
        for deadline, failure in zip(batch, await self._fired(fire, batch), strict=True):
            if failure is None:
                self._agenda.done(deadline)
                self._met(self._timebase.now_ms() - deadline.due_ms)
            else:
                _log.error("deadline_failed", kind=deadline.kind, error=type(failure).__name__)
                self._agenda.failed(deadline, self._timebase.now_ms())
        return True

    def _own(self, batch: Sequence[Deadline]) -> tuple[Deadline, ...]:
        """Those to be carried out here; the others are left."""
        own = []
        for deadline in batch:
            if self._duty.acting and (deadline in self._set_here or self._duty.owns(deadline.session)):
                own.append(deadline)
            else:
                self._agenda.leave(deadline)
        old_ms = self._timebase.now_ms() - HORIZON_MS  # by now, whoever they fall to has seen them
        self._set_here = {deadline for deadline in self._set_here if deadline.due_ms > old_ms}
        return tuple(own)

    async def _fired(self, fire: Fire, batch: Sequence[Deadline]) -> Sequence[BaseException | None]:
        try:
            return await fire(batch)
        except StoreError as error:
            return [error] * len(batch)

    async def _load(self) -> None:
        now_ms = self._timebase.now_ms()
        if self._agenda.stale(now_ms):
            before_ms = self._agenda.load_before_ms(now_ms)
            limit = self._agenda.held + BATCH
            loaded = await self._store.deadlines(due_before_ms=before_ms, limit=limit)
            self._agenda.loaded(loaded, before_ms, complete=len(loaded) < limit)

    async def _sleep(self) -> None:
        """Until the next deadline, or until one is set."""
        try:
            async with asyncio.timeout(self._timebase.seconds_until(self._agenda.wake_ms())):
                await self._changed.wait()
        except TimeoutError:
            return

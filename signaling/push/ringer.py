"""Finds the doorbells that are to be rung, and rings them.

The logs are examined in the order in which they were written, each event once, when a device that is there
would have acknowledged it. Whose doorbell is to be looked at is kept by the store, and so is what came of it:
what was under way when the process died is done again. When to ring is decided by
:mod:`signaling.push.plan`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import structlog

from config.settings import PushSettings
from relay.errors import Conflict, StoreError
from relay.push import DropDoorbell, DueDoorbell, NoteUnrung, Rung, SettleDoorbell
from relay.store import Store
from relay.writes import Write
from signaling.observe.logs import failure
from signaling.push.calling import Caller
from signaling.push.plan import MAX_ATTEMPTS, Decision, Forget, Later, Rest, Ring, decide
from signaling.push.vapid import Vapid
from signaling.sessions.ports import Ledger
from signaling.timebase import Timebase
from signaling.webhooks.notices import Notice, doorbell
from signaling.webhooks.schedule import Accepted, Pace, Result, pause_ms
from signaling.webhooks.unreceived import QuietUntil

BATCH = 512
"""Events that are examined together."""

LONGEST_PAUSE_SECONDS = 1.0
"""How often the logs are looked at; less where devices are to be told sooner than that."""

TTL_SECONDS = 86_400
"""How long a push service keeps a doorbell for a device that it does not reach (RFC 8030, 5.2)."""

Outcome: TypeAlias = Literal["rung", "failed", "gone", "given_up"]
_Device: TypeAlias = tuple[str, str]

_log = structlog.get_logger("rapport.push")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a ringer works with."""

    store: Store
    ledger: Ledger
    timebase: Timebase
    quiet_until: QuietUntil
    tell: Callable[[Sequence[Notice]], Sequence[Write]]
    """Gives the writes that tell the platform."""
    counted: Callable[[str], None]
    """Hears of every attempt."""


class Ringer:
    """The doorbells of one node."""

    def __init__(self, around: Surroundings, settings: PushSettings, caller: Caller, pace: Pace) -> None:
        self._around = around
        self._settings = settings
        self._caller = caller
        self._pace = pace
        self._age_ms = round(settings.after_seconds * 1000)
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, settings.after_seconds / 4)
        self._under_way: set[_Device] = set()
        self._settled = asyncio.Event()

    async def run(self, vapid: Vapid) -> None:
        """Ring, until cancelled; what is under way then is rung again by whoever comes next."""
        self._under_way.clear()
        async with asyncio.TaskGroup() as attempts:
            while True:
                self._settled.clear()
                try:
                    await self._turn(vapid, attempts)
                except StoreError as error:
                    _log.warning("doorbells_not_examined", error=error.name)
                try:
                    async with asyncio.timeout(self._pause_seconds):
                        await self._settled.wait()
                except TimeoutError:
                    continue

    async def _turn(self, vapid: Vapid, attempts: asyncio.TaskGroup) -> None:
        while await self._examine():
            pass
        more = True
        while more:
            ringing, more = await self._decided()
            for due, ring in ringing:
                self._under_way.add(_device(due))
                attempts.create_task(self._attempt(vapid, due, ring))

    async def _examine(self) -> bool:
        """Examine a batch of events; whether there was something to examine."""
        around = self._around
        now_ms = around.timebase.now_ms()
        found = await around.store.unrung(appended_before_ms=now_ms - self._age_ms, limit=BATCH)
        if found.through == found.after:
            return False
        try:
            await around.store.commit(NoteUnrung(found, now_ms))
        except Conflict:
            _log.debug("doorbells_examined_elsewhere")
        return True

    async def _decided(self) -> tuple[list[tuple[DueDoorbell, Ring]], bool]:
        """Look at what is due; those to be rung by push services now, as many as there are free places.

        And whether to look again at once: so many were due, and settled, that others may be due behind them.
        """
        around, now_ms = self._around, self._around.timebase.now_ms()
        # Behind those that are under way as many again, and no more: the others are looked at in later turns.
        limit = 2 * self._settings.parallel + len(self._under_way)
        due = await around.store.due_doorbells(until_ms=now_ms, limit=limit)
        idle = [one for one in due if _device(one) not in self._under_way]
        quiet = await around.quiet_until({one.bell.account for one in idle}) if idle else {}
        ringing: list[tuple[DueDoorbell, Ring]] = []
        for one, decision in self._decisions(idle, quiet, now_ms):
            if isinstance(decision, Ring) and one.bell.endpoint:
                ringing.append((one, decision))
            else:
                await around.ledger.commit(*self._writes(one, decision, now_ms))
        free = self._settings.parallel - len(self._under_way)
        return ringing[:free], len(due) == limit and len(ringing) < len(idle)

    def _decisions(
        self, due: Sequence[DueDoorbell], quiet: Mapping[str, int], now_ms: int
    ) -> list[tuple[DueDoorbell, Decision]]:
        again_ms = round(self._settings.again_seconds * 1000)
        return [(one, decide(one, quiet.get(one.bell.account), now_ms, again_ms)) for one in due]

    def _writes(self, due: DueDoorbell, decision: Decision, now_ms: int) -> Sequence[Write]:
        """What is written of a doorbell that no push service is asked for."""
        bell = due.bell
        match decision:
            case Forget():
                return [DropDoorbell(bell.account, bell.device, bell.version)]
            case Rest():
                return [SettleDoorbell(due, None)]
            case Later(due_ms):
                return [SettleDoorbell(due, due_ms, due.attempts)]
            case Ring(waits):
                rung = Rung(now_ms, waits.room, waits.offset, waits.flagged)
                notice = doorbell(bell.account, bell.device, urgent=waits.flagged, at_ms=now_ms)
                return [SettleDoorbell(due, None, rung=rung), *self._around.tell([notice])]

    # --- Push services ---

    async def _attempt(self, vapid: Vapid, due: DueDoorbell, ring: Ring) -> None:
        try:
            result = await self._ring(vapid, due, ring)
            outcome, write = self._settle(due, ring, result)
            await self._around.ledger.commit(write)
            self._around.counted(outcome)
        except StoreError as error:  # it is due as before, and rung once more
            _log.warning("doorbell_not_noted", error=error.name)
        except Exception as error:  # noqa: BLE001 - what one doorbell runs into must not hold up the others
            _log.error("doorbell_failed", error=failure(error))
        finally:
            self._under_way.discard(_device(due))
            self._settled.set()

    async def _ring(self, vapid: Vapid, due: DueDoorbell, ring: Ring) -> Result:
        endpoint = due.bell.endpoint
        headers = {
            "Authorization": vapid.authorization(endpoint, self._around.timebase.now_ms() // 1000),
            "TTL": str(TTL_SECONDS),
            "Urgency": "high" if ring.waits.flagged else "normal",
            "Topic": "rapport",  # a later one replaces one that the device has not got (RFC 8030, 5.4)
        }
        return await self._caller.post(endpoint, headers)

    def _settle(self, due: DueDoorbell, ring: Ring, result: Result) -> tuple[Outcome, Write]:
        bell, now_ms = due.bell, self._around.timebase.now_ms()
        if isinstance(result, Accepted):
            rung = Rung(now_ms, ring.waits.room, ring.waits.offset, ring.waits.flagged)
            return "rung", SettleDoorbell(due, None, rung=rung)
        if result.gone:
            return "gone", DropDoorbell(bell.account, bell.device, bell.version)
        attempts = due.attempts + 1
        if attempts >= MAX_ATTEMPTS:
            _log.warning("doorbell_given_up", failure=result.failure)
            return "given_up", SettleDoorbell(due, None)
        _log.info("doorbell_delayed", failure=result.failure, attempts=attempts)
        pause = pause_ms(due.attempts, result.wait_ms, random.random(), self._pace)  # noqa: S311 - jitter
        return "failed", SettleDoorbell(due, now_ms + pause, attempts)


def _device(due: DueDoorbell) -> _Device:
    return due.bell.account, due.bell.device

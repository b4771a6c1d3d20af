"""Brings the deliveries of one endpoint to it, for as long as it runs.

What is due is read from the store, a few at a time, attempted, and settled there: nothing is lost with the
process, and what was under way when it died is attempted again. What to do when is decided by
:mod:`signaling.webhooks.schedule`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal, TypeAlias

import structlog

from relay.errors import StoreError
from relay.store import Store
from relay.webhooks import Delivery, EndDelivery, HastenDeliveries, WebhookWrite
from signaling.observe.logs import failure
from signaling.timebase import Timebase
from signaling.webhooks.posting import Post
from signaling.webhooks.schedule import Agenda, Failed, Pace, Result, settle

STORE_PAUSE_SECONDS = 1.0
"""How long to wait when the store does not answer, or takes nothing."""

LONGEST_SLEEP_SECONDS = 1.0
"""How long something that is due can go unnoticed when nobody has said so: it was put by another node, or
whoever put it did not live to say so.
"""

AttemptOutcome: TypeAlias = Literal["delivered", "failed", "dead"]

_log = structlog.get_logger("rapport.webhooks")


class Deliverer:
    """One endpoint, of which nothing is known here but its name and how to reach it."""

    def __init__(
        self,
        endpoint: str,
        connect: Callable[[], AbstractAsyncContextManager[Post]],
        store: Store,
        timebase: Timebase,
        pace: Pace,
        parallel: int,
        attempted: Callable[[str, AttemptOutcome], None],
    ) -> None:
        """``attempted`` hears of every attempt, once its outcome is durable."""
        self._endpoint = endpoint
        self._connect = connect
        self._store = store
        self._timebase = timebase
        self._pace = pace
        self._attempted = attempted
        self._parallel = parallel
        self._agenda = Agenda(parallel)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something was written that may be due."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver, until cancelled; what is under way then is attempted again by whoever comes next."""
        self._agenda = Agenda(self._parallel)  # nothing is under way yet, whatever an earlier run has met
        async with self._connect() as post, asyncio.TaskGroup() as attempts:
            while True:
                self._woken.clear()
                wake_ms = await self._turn(post, attempts)
                try:
                    async with asyncio.timeout(self._seconds_until(wake_ms)):
                        await self._woken.wait()
                except TimeoutError:
                    continue

    async def _turn(self, post: Post, attempts: asyncio.TaskGroup) -> int | None:
        """Begin what is due; returns when to look again."""
        self._agenda.begin()
        try:
            heads = await self._store.due_deliveries(self._endpoint, limit=self._agenda.wanted)
        except StoreError as error:
            _log.warning("deliveries_not_readable", endpoint=self._endpoint, error=error.name)
            return self._timebase.now_ms() + round(STORE_PAUSE_SECONDS * 1000)
        for delivery in self._agenda.start(heads, self._timebase.now_ms()):
            attempts.create_task(self._attempt(post, delivery))
        return self._agenda.wake_ms(heads)

    async def _attempt(self, post: Post, delivery: Delivery) -> None:
        try:
            result = await post(delivery, self._timebase.now_ms())
        except Exception as error:  # noqa: BLE001 - what one delivery runs into must not hold up the others
            _log.error("delivery_failed", endpoint=self._endpoint, error=failure(error))
            result = Failed("internal")
        write = settle(delivery, result, self._timebase.now_ms(), random.random(), self._pace)  # noqa: S311 - jitter
        await self._commit(write)
        if self._agenda.settled(delivery.id, result):
            _log.info("endpoint_back", endpoint=self._endpoint)
            await self._commit(HastenDeliveries(self._endpoint, self._timebase.now_ms()))
        self._report(delivery, result, write)
        self._woken.set()

    async def _commit(self, write: WebhookWrite) -> None:
        """Write, however long it takes: until then the delivery counts as under way, and is not repeated."""
        while True:
            try:
                await self._store.commit(write)
                return
            except StoreError as error:
                _log.warning("attempt_not_noted", endpoint=self._endpoint, error=error.name)
                await asyncio.sleep(STORE_PAUSE_SECONDS)

    def _report(self, delivery: Delivery, result: Result, write: WebhookWrite) -> None:
        outcome: AttemptOutcome = "delivered"
        if isinstance(result, Failed):
            log = _log.bind(endpoint=self._endpoint, delivery=delivery.id, failure=result.failure)
            if isinstance(write, EndDelivery):
                outcome = "dead"
                log.error("delivery_dead", attempts=write.attempts)
            else:
                outcome = "failed"
                log.info("delivery_delayed", attempts=delivery.attempts + 1)
        self._attempted(self._endpoint, outcome)

    def _seconds_until(self, wake_ms: int | None) -> float:
        seconds = LONGEST_SLEEP_SECONDS if wake_ms is None else self._timebase.seconds_until(wake_ms)
        return min(seconds, LONGEST_SLEEP_SECONDS)

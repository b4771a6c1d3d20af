"""Many sessions, begun at a steady rate."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import aiohttp

from loadtest.backend import BackEnd
from loadtest.errors import LoadTestError
from loadtest.report import Outcome, Plan, Report, progress, summarize
from loadtest.scenario import Scenario
from loadtest.target import Target

HTTP_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)

_log = logging.getLogger("rapport.loadtest")


class Run:
    """A run of a plan. ``name`` tells its accounts from those of other runs against the same server."""

    def __init__(self, target: Target, plan: Plan, name: str) -> None:
        self._target = target
        self._plan = plan
        self._name = name
        self._begun = 0
        self._outcomes: list[Outcome] = []
        self._started = time.monotonic()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begin no more sessions, and leave those that are on."""
        self._stop.set()

    async def go(self) -> None:
        """Hold all sessions, or as many as there are until :meth:`stop`."""
        self._started = time.monotonic()
        # Unlimited: sessions that begin together do not wait for each other.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=HTTP_TIMEOUT) as http:
            back_end = BackEnd(self._target, http)
            tasks = await self._begin_all(back_end, http)
            stopping = asyncio.create_task(self._stop.wait())
            running = asyncio.gather(*tasks)
            await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if self._stop.is_set():
                for task in tasks:
                    task.cancel()
            await running

    async def _begin_all(self, back_end: BackEnd, http: aiohttp.ClientSession) -> list[asyncio.Task[None]]:
        tasks = []
        for number in range(self._plan.sessions):
            due = self._started + number / self._plan.rate_per_second
            if await self._stopped_within(due - time.monotonic()):
                break
            scenario = Scenario(self._target, back_end, http, self._plan, f"{self._name}-{number}")
            tasks.append(asyncio.create_task(self._hold(scenario)))
            self._begun += 1
        return tasks

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                return await self._stop.wait()
        except TimeoutError:
            return False

    async def _hold(self, scenario: Scenario) -> None:
        try:
            failure = await _failure(scenario)
        except asyncio.CancelledError:
            # The run is being stopped: what the session has shown so far still counts.
            failure = "interrupted"
        await scenario.close()
        self._outcomes.append(scenario.outcome(failure))

    def progress(self) -> str:
        """One line on where the run stands."""
        return progress(self._plan, self._begun, self._outcomes, time.monotonic() - self._started)

    def report(self) -> Report:
        """The report on what there is."""
        return summarize(self._plan, self._outcomes, time.monotonic() - self._started)


async def _failure(scenario: Scenario) -> str | None:
    """The name of what went wrong in a session; none when it held."""
    try:
        await scenario.hold()
    except LoadTestError as error:
        return error.name
    except Exception as error:  # noqa: BLE001 - told and counted: a fault here must not end the other sessions
        _log.exception("a session ended with a fault of the load tester")
        return f"fault_{type(error).__name__}"
    return None

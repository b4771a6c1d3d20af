"""The deadlines of all connections of a node behind a single timer of the event loop.

Every connection waits for something at any time (its ``hello``, the next ping, a pong, the end of its token),
and a timer of the loop for each would cost more memory and time than one entry in a heap. A deadline that has
moved later is noticed when its entry comes up.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import Protocol

NEVER = float("inf")


class Timed(Protocol):
    """Something with a deadline."""

    @property
    def deadline(self) -> float:
        """When :meth:`on_time` wants to be called next, in the loop's time; infinite for never."""

    def on_time(self, now: float) -> None:
        """The deadline has come; afterwards it lies later than ``now``."""


class Timers:
    """Calls :meth:`Timed.on_time` at the deadlines, in the running event loop."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._watched: dict[int, tuple[Timed, float]] = {}  # by number, with the one entry that is good
        self._count = 0
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, timed: Timed) -> int:
        """Wait for the deadlines of ``timed`` until :meth:`forget` is called with the number returned."""
        self._count += 1
        self._enter(timed, self._count)
        self._arm()
        return self._count

    def sooner(self, number: int) -> None:
        """The deadline of what is watched under ``number`` may have moved earlier."""
        timed, entered = self._watched[number]
        if timed.deadline < entered:
            self._enter(timed, number)
            self._arm()

    def forget(self, number: int) -> None:
        """Wait no longer; what was watched is let go at once."""
        self._watched.pop(number, None)

    def stop(self) -> None:
        """Forget everything."""
        self._watched.clear()
        self._heap.clear()
        self._arm()

    def _enter(self, timed: Timed, number: int) -> None:
        due = timed.deadline
        if due == NEVER:
            self._watched.pop(number, None)
            return
        self._watched[number] = timed, due
        heapq.heappush(self._heap, (due, number))

    def _arm(self) -> None:
        due = self._heap[0][0] if self._heap else NEVER
        if self._handle is not None:
            if self._handle.when() == due:
                return
            self._handle.cancel()
            self._handle = None
        if due != NEVER:
            self._handle = asyncio.get_running_loop().call_at(due, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            due, number = heapq.heappop(self._heap)
            timed, entered = self._watched.get(number, (None, NEVER))
            if timed is None or entered != due:
                continue  # forgotten, or entered anew
            if timed.deadline <= now:
                timed.on_time(now)
            if number in self._watched:
                self._enter(timed, number)
        self._arm()

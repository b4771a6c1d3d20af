"""One timer for many deadlines. The event loop's clock is scripted."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.door.timers import NEVER, Timers


class ScriptedLoop:
    """As much of an event loop as timers need, with a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, asyncio.TimerHandle, Callable[[], None]]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None], *_: Any) -> asyncio.TimerHandle:
        self._count += 1
        handle = asyncio.TimerHandle(when, callback, (), self)  # type: ignore[arg-type]
        heapq.heappush(self._calls, (when, self._count, handle, callback))
        return handle

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by handles."""

    @property
    def armed(self) -> int:
        """Timers of the loop that will fire."""
        return sum(not handle.cancelled() for _, _, handle, _ in self._calls)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            when, _, handle, callback = heapq.heappop(self._calls)
            if not handle.cancelled():
                self.now = max(self.now, when)
                callback()
        self.now = end


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> ScriptedLoop:
    scripted = ScriptedLoop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: scripted)
    return scripted


class Alarm:
    """Goes off at its deadline, and then every ``again`` seconds."""

    def __init__(self, deadline: float, again: float = NEVER) -> None:
        self.deadline = deadline
        self._again = again
        self.rang: list[float] = []

    def on_time(self, now: float) -> None:
        self.rang.append(now)
        self.deadline = now + self._again


def test_each_goes_off_at_its_time_behind_one_timer(loop: ScriptedLoop) -> None:
    timers = Timers()
    alarms = [Alarm(3.0), Alarm(1.0), Alarm(2.0, again=2.0)]
    for alarm in alarms:
        timers.watch(alarm)
    assert loop.armed == 1
    loop.advance(7.0)
    assert [alarm.rang for alarm in alarms] == [[3.0], [1.0], [2.0, 4.0, 6.0]]
    assert loop.armed == 1


def test_a_deadline_that_moved_later_is_kept(loop: ScriptedLoop) -> None:
    timers, alarm = Timers(), Alarm(1.0)
    timers.watch(alarm)
    alarm.deadline = 5.0
    loop.advance(10.0)
    assert alarm.rang == [5.0]


def test_a_deadline_that_moved_earlier_is_kept_and_rings_once(loop: ScriptedLoop) -> None:
    timers, alarm = Timers(), Alarm(9.0, again=9.0)
    number = timers.watch(alarm)
    alarm.deadline = 2.0
    timers.sooner(number)
    loop.advance(12.0)
    assert alarm.rang == [2.0, 11.0]


def test_what_is_forgotten_is_let_go_and_never_rings(loop: ScriptedLoop) -> None:
    timers, alarm, other = Timers(), Alarm(1.0), Alarm(2.0)
    number = timers.watch(alarm)
    timers.watch(other)
    timers.forget(number)
    timers.forget(number)
    loop.advance(5.0)
    assert (alarm.rang, other.rang) == ([], [2.0])
    timers.stop()
    assert loop.armed == 0


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.5, 20)), max_size=20), st.integers(0, 19))
def test_nobody_is_early_late_or_left_out(deadlines: list[tuple[float, float]], forgotten: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        loop = ScriptedLoop()
        patch.setattr(asyncio, "get_running_loop", lambda: loop)
        timers = Timers()
        alarms = [Alarm(first, again) for first, again in deadlines]
        numbers = [timers.watch(alarm) for alarm in alarms]
        if forgotten < len(numbers):
            timers.forget(numbers[forgotten])
        loop.advance(60.0)
        for place, (alarm, (first, again)) in enumerate(zip(alarms, deadlines, strict=True)):
            if place == forgotten:
                assert alarm.rang == []
                continue
            expected, due = [], first
            while due <= 60.0:
                expected.append(due)
                due += again
            assert alarm.rang == expected

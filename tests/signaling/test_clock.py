"""The clock's shell on a real store, in real time: it wakes by itself, never early, and survives failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.errors import StoreError
from relay.rows import Deadline, Session
from relay.sqlite import SqliteStore
from relay.writes import ClearDeadline, CreateRoom, PutSession, SetDeadline
from signaling.sessions import clock as clock_module
from signaling.sessions.clock import Clock
from signaling.timebase import Timebase, boot_ns
from tests.signaling.sessions_kit import Duty

TIMEBASE = Timebase()


class Recorder:
    """Carries deadlines out by clearing them, and notes when."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.fired: list[tuple[Deadline, int]] = []
        self.batches: list[int] = []
        self.lateness: list[int] = []
        self.failures: list[BaseException] = []
        self._more = asyncio.Event()

    async def __call__(self, batch: Sequence[Deadline]) -> tuple[BaseException | None, ...]:
        self.batches.append(len(batch))
        if self.failures:
            return (self.failures.pop(), *[None] * (len(batch) - 1))
        now_ms = TIMEBASE.now_ms()
        for deadline in batch:
            await self._store.commit(ClearDeadline(deadline.session, deadline.kind))
            self.fired.append((deadline, now_ms))
        self._more.set()
        return (None,) * len(batch)

    async def until(self, count: int) -> None:
        while len(self.fired) < count:
            self._more.clear()
            await self._more.wait()


async def add(store: SqliteStore, session: str, due_ms: int, kind: str = "cap") -> Deadline:
    """A session with one deadline."""
    row = Session(session, "r", 0, 0, "open", 1, b"")
    if await store.session(session) is None:
        await store.commit(PutSession(row, None))
    await store.commit(SetDeadline(session, kind, due_ms, 1))
    return Deadline(session, kind, due_ms, 1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    await store.commit(CreateRoom("r", b"", 0))
    yield store
    await store.close()


@asynccontextmanager
async def running(store: Any, duty: Duty | None = None) -> AsyncIterator[tuple[Clock, Recorder]]:
    recorder = Recorder(store)
    clock = Clock(store, TIMEBASE, recorder.lateness.append, duty or Duty())
    task = asyncio.create_task(clock.run(recorder))
    try:
        yield clock, recorder
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_is_overdue_is_carried_out_in_order(store: SqliteStore) -> None:
    now_ms = TIMEBASE.now_ms()
    due = [await add(store, f"s{n}", now_ms - 1000 * n) for n in range(5)]
    async with running(store) as (_, recorder):
        await recorder.until(5)
    assert [deadline for deadline, _ in recorder.fired] == due[::-1]
    assert recorder.lateness == sorted(recorder.lateness, reverse=True)


async def test_a_deadline_to_come_is_carried_out_by_itself_and_not_before_it_is_due(
    store: SqliteStore,
) -> None:
    now_ms = TIMEBASE.now_ms()
    for n in range(20):
        await add(store, f"s{n}", now_ms + 50 + 7 * n)
    async with running(store) as (_, recorder):
        await recorder.until(20)
    assert all(at_ms >= deadline.due_ms for deadline, at_ms in recorder.fired)
    assert min(recorder.lateness) >= 0


async def test_one_that_is_set_while_the_clock_sleeps_wakes_it(store: SqliteStore) -> None:
    async with running(store) as (clock, recorder):
        await asyncio.sleep(0)
        clock.put(await add(store, "s", TIMEBASE.now_ms() + 30))
        await recorder.until(1)
    assert recorder.fired[0][1] >= recorder.fired[0][0].due_ms


async def test_thousands_due_in_the_same_second_are_handled_in_bounded_batches(store: SqliteStore) -> None:
    now_ms = TIMEBASE.now_ms()
    rows = [Session(f"s{n}", "r", 0, 0, "open", 1, b"") for n in range(2000)]
    await store.commit(*(PutSession(row, None) for row in rows))
    await store.commit(*(SetDeadline(row.id, "cap", now_ms - 5, 1) for row in rows))

    async def at_once(batch: Sequence[Deadline]) -> tuple[None, ...]:
        batches.append(len(batch))
        await store.commit(*(ClearDeadline(one.session, one.kind) for one in batch))
        return (None,) * len(batch)

    batches: list[int] = []
    await Clock(store, TIMEBASE, lambda _: None, Duty()).catch_up(at_once)
    assert sum(batches) == 2000
    assert max(batches) <= clock_module.BATCH


async def test_what_fails_is_tried_again_and_holds_up_nobody(store: SqliteStore) -> None:
    now_ms = TIMEBASE.now_ms()
    await add(store, "first", now_ms - 2)
    await add(store, "second", now_ms - 1)
    async with running(store) as (_, recorder):
        recorder.failures.append(RuntimeError("broken"))
        await recorder.until(2)
    assert [deadline.session for deadline, _ in recorder.fired].count("first") == 1


async def test_a_store_that_does_not_answer_is_asked_again(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_module, "STORE_PAUSE_SECONDS", 0.0)

    class Failing:
        def __init__(self) -> None:
            self.failures = 3

        async def deadlines(self, **asked: Any) -> Any:
            if self.failures:
                self.failures -= 1
                raise StoreError
            return await store.deadlines(**asked)

        async def commit(self, *writes: Any) -> Any:
            return await store.commit(*writes)

    await add(store, "s", TIMEBASE.now_ms())
    async with running(Failing()) as (_, recorder):
        await recorder.until(1)


def test_time_goes_on_while_the_machine_is_suspended() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before <= boot_ns() <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    ran_and_slept = [0]
    timebase = Timebase(lambda: 0, lambda: ran_and_slept[0])
    ran_and_slept[0] += 8 * 3600 * 10**9
    assert timebase.now_ms() == 8 * 3600 * 1000


def test_steps_of_the_wall_clock_do_not_move_a_running_process() -> None:
    wall, monotonic = [1_800_000_000_000_000_000], [5_000_000_000]
    timebase = Timebase(lambda: wall[0], lambda: monotonic[0])
    assert timebase.now_ms() == 1_800_000_000_000
    for hour in (3600, -3600):
        wall[0] += hour * 1_000_000_000
        monotonic[0] += 1_999_999
        assert timebase.now_ms() in {1_800_000_000_001, 1_800_000_000_003}
    assert timebase.seconds_until(1_800_000_000_010) == pytest.approx(0.006, abs=1e-3)
    assert timebase.seconds_until(0) == 0


async def test_what_falls_to_another_node_is_left_to_it_and_taken_over_with_it(store: SqliteStore) -> None:
    duty = Duty("other")
    now_ms = TIMEBASE.now_ms()
    await add(store, "other", now_ms - 1000)
    await add(store, "mine", now_ms - 500)
    async with running(store, duty) as (clock, recorder):
        await recorder.until(1)
        assert [deadline.session for deadline, _ in recorder.fired] == ["mine"]
        duty.others.clear()
        clock.look_again()
        await recorder.until(2)
    assert recorder.fired[1][0].session == "other"


async def test_what_others_do_not_carry_out_holds_up_nothing(store: SqliteStore) -> None:
    """A node whose hundreds of deadlines nobody carries out, because it is gone, and not dead yet."""
    now_ms = TIMEBASE.now_ms()
    others = [f"other{number}" for number in range(3 * clock_module.BATCH)]
    rows = [Session(session, "r", 0, 0, "open", 1, b"") for session in others]
    await store.commit(*(PutSession(row, None) for row in rows))
    await store.commit(*(SetDeadline(row.id, "cap", now_ms - 5000, 1) for row in rows))
    await add(store, "mine", now_ms - 1)
    async with running(store, Duty(*others)) as (_, recorder):
        await recorder.until(1)
    assert [deadline.session for deadline, _ in recorder.fired] == ["mine"]


async def test_what_was_set_here_shortly_before_it_is_due_is_carried_out_here(store: SqliteStore) -> None:
    """Whoever it falls to has loaded what is due so soon before it was set."""
    async with running(store, Duty("near", "far")) as (clock, recorder):
        clock.put(await add(store, "far", TIMEBASE.now_ms() + clock_module.HORIZON_MS + 1000))
        clock.put(await add(store, "near", TIMEBASE.now_ms() + 30))
        await recorder.until(1)
    assert [deadline.session for deadline, _ in recorder.fired] == ["near"]


async def test_a_node_that_does_not_act_carries_nothing_out_until_it_does(store: SqliteStore) -> None:
    duty, recorder = Duty(), Recorder(store)
    duty.acting = False
    clock = Clock(store, TIMEBASE, recorder.lateness.append, duty)
    await clock.catch_up(recorder)
    clock.put(await add(store, "set here", TIMEBASE.now_ms()))
    await add(store, "found", TIMEBASE.now_ms())
    await clock.catch_up(recorder)
    assert recorder.fired == []
    duty.acting = True
    clock.look_again()
    await clock.catch_up(recorder)
    assert {deadline.session for deadline, _ in recorder.fired} == {"set here", "found"}

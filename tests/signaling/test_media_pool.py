"""Workers are started, replaced when they die, with a pause when they die again and again, and stopped."""

from __future__ import annotations

import asyncio

import pytest

from rtc.errors import WorkerGone
from signaling.media import pool as pool_module
from signaling.media.pool import Pool
from tests.signaling.media_kit import FakeWorkers
from tests.signaling.waiting import until


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(pool_module, "LONGEST_PAUSE_SECONDS", 0.004)


async def test_starts_one_worker_for_each_slot_and_stops_them() -> None:
    workers = FakeWorkers()
    pool, up = Pool(3, workers), list[int]()
    pool.on_up = up.append
    await pool.start()
    assert up == [0, 1, 2]
    assert pool.pids() == (1000, 1001, 1002)
    assert list(await pool.stats()) == [0, 1, 2]
    await pool.stop()
    assert not any(worker.running for worker in workers.spawned)


async def test_a_worker_that_does_not_start_fails_the_start_and_leaves_none_behind() -> None:
    workers = FakeWorkers()
    pool = Pool(2, workers)
    workers.faulty = []
    spawn = pool._spawn

    def second_is_faulty(slot, on_event, on_exit):  # type: ignore[no-untyped-def]
        workers.faulty = [WorkerGone("port in use")] if slot == 1 else []
        return spawn(slot, on_event, on_exit)

    pool._spawn = second_is_faulty
    with pytest.raises(WorkerGone):
        await pool.start()
    assert not any(worker.running for worker in workers.spawned)


async def test_a_dead_worker_is_replaced_and_the_others_are_left_alone() -> None:
    workers = FakeWorkers()
    pool, told = Pool(2, workers), list[tuple[str, int]]()
    pool.on_up = lambda slot: told.append(("up", slot))
    pool.on_down = lambda slot: told.append(("down", slot))
    await pool.start()
    workers.spawned[0].die()
    await workers.until_spawned(3, pool)
    await until(lambda: len(told) == 4)
    assert told == [("up", 0), ("up", 1), ("down", 0), ("up", 0)]
    assert pool.worker(0) is workers.spawned[2]
    assert pool.worker(1) is workers.spawned[1]
    assert pool.restarts == 1
    await pool.stop()


async def test_a_replacement_that_does_not_start_is_tried_again() -> None:
    workers = FakeWorkers()
    pool = Pool(1, workers)
    await pool.start()
    workers.faulty = [WorkerGone(), WorkerGone(), WorkerGone()]
    workers.spawned[0].die()
    await workers.until_spawned(5, pool)
    await until(lambda: pool.worker(0) is workers.spawned[4])
    await pool.stop()


async def test_pauses_grow_up_to_a_bound() -> None:
    pause, pauses = 0.0, []
    for _ in range(5):
        pause = pool_module._longer(pause)
        pauses.append(pause)
    assert pauses == [0.001, 0.002, 0.004, 0.004, 0.004]


async def test_stopping_while_a_worker_is_replaced_leaves_none_behind() -> None:
    workers = FakeWorkers()
    pool = Pool(1, workers)
    await pool.start()
    workers.faulty = [WorkerGone()] * 1000
    workers.spawned[0].die()
    await until(lambda: len(workers.spawned) >= 3)
    await pool.stop()
    spawned = len(workers.spawned)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(workers.spawned) == spawned
    assert not any(worker.running for worker in workers.spawned)

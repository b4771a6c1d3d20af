"""What one node of all does runs where it falls to, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from signaling.cluster import duties as duties_module
from signaling.cluster.duties import Duties
from tests.signaling.waiting import until


class Stage:
    """Two duties, and which of them fall to this node."""

    def __init__(self) -> None:
        self.owned: set[str] = set()
        self.duties = Duties(self.owned.__contains__)
        self.begun: list[str] = []
        self.ended: list[str] = []

    def add(self, name: str) -> None:
        async def work() -> None:
            self.begun.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)  # it ends in its own time
                self.ended.append(name)

        self.duties.add(name, work)

    async def own(self, *names: str) -> None:
        self.owned.clear()
        self.owned.update(f"duty:{name}" for name in names)
        self.duties.see()
        await asyncio.sleep(0)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    for name in ("a", "b"):
        stage.add(name)
    yield stage
    for name in ("a", "b"):
        await stage.duties.end(name)


async def test_a_duty_runs_while_it_is_owned(stage: Stage) -> None:
    assert stage.duties.own == set()
    await stage.own("a")
    assert stage.begun == ["a"]
    assert stage.duties.own == {"a"}
    await stage.own("a", "b")
    assert stage.begun == ["a", "b"]
    await stage.own("b")
    await until(lambda: stage.ended == ["a"])
    assert stage.duties.own == {"b"}


async def test_one_that_ends_slowly_is_begun_again_only_when_it_has_ended(stage: Stage) -> None:
    await stage.own("a")
    await stage.own()
    await stage.own("a")
    assert stage.begun == ["a"]
    await until(lambda: stage.ended == ["a"])
    await until(lambda: stage.duties.own == set())
    stage.duties.see()
    await asyncio.sleep(0)
    assert stage.begun == ["a", "a"]


async def test_what_is_added_where_it_is_owned_begins_at_once(stage: Stage) -> None:
    await stage.own("c")
    stage.add("c")
    await asyncio.sleep(0)
    assert stage.begun == ["c"]
    await stage.duties.end("c")
    assert stage.ended == ["c"]
    stage.duties.see()
    assert stage.duties.own == set()


async def test_it_is_looked_again_and_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties_module, "BEAT_SECONDS", 0.0)
    stage.owned.add("duty:a")
    await stage.duties.run()
    await until(lambda: stage.begun == ["a"])

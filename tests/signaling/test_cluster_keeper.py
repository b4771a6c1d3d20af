"""Nodes on one store, with clocks of the tests: who beats, who is taken for dead, what follows from that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.cluster import BeatNode, BuryNode, DrainNode, Grave, NodeRow, SettleNode
from relay.errors import StoreError, StoreFull
from relay.sqlite import SqliteStore
from relay.writes import Outcome, Write
from signaling.cluster.keeper import Keeper
from signaling.cluster.members import BEAT_SECONDS, LEASE_SECONDS
from signaling.cluster.undertaker import Undertaker
from signaling.timebase import Timebase

TIMEBASE = Timebase()
SILENCE = LEASE_SECONDS + BEAT_SECONDS
"""Others see the last beat with their next look."""


class Shared(SqliteStore):
    """A store that the nodes of one process share, as if it were of several."""

    full = False

    @property
    def shared(self) -> bool:
        return True

    async def commit(self, *writes: Write) -> tuple[Outcome, ...]:  # type: ignore[override]  # no overloads
        if self.full:
            raise StoreFull("no space left")
        return await super().commit(*writes)


class Time:
    """The clock of all nodes."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """Some nodes on a store."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.time = Time()
        self.settled: list[tuple[str, str]] = []
        self.refuses = False

    def keeper(self, name: str) -> Keeper:
        def introduced(beat: int) -> NodeRow:
            return NodeRow(name, beat, 1_000 * beat, "1.0", "eu", "", 0, 0, draining=False)

        return Keeper(self.store, name, TIMEBASE, introduced, self.time)

    def undertaker(self, keeper: Keeper) -> Undertaker:
        async def step(grave: Grave) -> None:
            if self.refuses:
                raise StoreError("the store is away")
            self.settled.append((keeper.name, grave.name))

        return Undertaker(self.store, keeper, TIMEBASE, [step])

    async def pass_time(self, seconds: float, *keepers: Keeper) -> None:
        """Let so much time go by, in which these nodes live."""
        for _ in range(round(seconds / BEAT_SECONDS)):
            self.time.now += BEAT_SECONDS
            for keeper in keepers:
                await keeper.turn()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Shared]:
    store = Shared(tmp_path / "store.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def stage(store: Shared) -> Stage:
    return Stage(store)


async def started(stage: Stage, *names: str) -> list[Keeper]:
    keepers = [stage.keeper(name) for name in names]
    for keeper in keepers:
        await keeper.start()
    for keeper in keepers:
        await keeper.turn()
    return keepers


def alive(keeper: Keeper) -> list[str]:
    return [one.name for one in keeper.alive()]


async def test_nodes_see_each_other(stage: Stage) -> None:
    ann, ben = await started(stage, "ann", "ben")
    assert alive(ann) == alive(ben) == ["ann", "ben"]
    assert ann.acting
    assert [ann.owns(key) for key in "abcdef"] == [not ben.owns(key) for key in "abcdef"]


async def test_whoever_falls_silent_is_buried_and_settled_once(stage: Stage) -> None:
    ann, ben, cat = await started(stage, "ann", "ben", "cat")
    gone: list[str] = []
    ann.on_gone = gone.append
    await stage.pass_time(SILENCE, ann, ben)
    assert not cat.acting
    assert (alive(ann), alive(ben), gone) == (["ann", "ben"], ["ann", "ben"], ["cat"])
    for keeper in (ann, ben):
        for _ in range(2):
            await stage.undertaker(keeper).turn()
            await keeper.turn()
    assert stage.settled == [(ann.owner("node:cat"), "cat")]
    nodes = await stage.store.nodes()
    assert ([one.name for one in nodes.living], nodes.buried) == (["ann", "ben"], ())
    await cat.turn()
    assert (cat.end, cat.acting) == ("buried", False)
    assert cat.ending.is_set()
    await cat.turn()
    assert alive(ann) == ["ann", "ben"], "and stays dead"


async def test_who_beats_in_the_last_moment_is_not_buried(stage: Stage) -> None:
    ann, ben = await started(stage, "ann", "ben")
    await stage.pass_time(SILENCE, ann)
    assert [one.name for one in ann.dead()] == ["ben"]
    await ben.turn()
    await stage.undertaker(ann).turn()
    assert (stage.settled, (await stage.store.nodes()).buried) == ([], ())
    await ann.turn()
    assert alive(ann) == ["ann", "ben"]


async def test_what_could_not_be_done_about_a_death_is_done_later(stage: Stage) -> None:
    (ann, _) = await started(stage, "ann", "ben")
    await stage.pass_time(SILENCE, ann)
    stage.refuses = True
    undertaker = stage.undertaker(ann)
    with pytest.raises(StoreError):
        await undertaker.turn()
    await ann.turn()
    assert [one.name for one in ann.graves] == ["ben"]
    stage.refuses = False
    await undertaker.turn()
    await undertaker.turn()
    assert stage.settled == [("ann", "ben")]


async def test_a_store_that_is_away_takes_nobody_s_life(stage: Stage, store: Shared) -> None:
    ann, ben = await started(stage, "ann", "ben")
    changed: list[bool] = []
    ann.on_changed = lambda: changed.append(ann.acting)
    store.full = True
    await stage.pass_time(SILENCE, ann, ben)
    assert (ann.acting, ben.acting, ann.end) == (False, False, None)
    store.full = False
    await stage.pass_time(BEAT_SECONDS, ann, ben)
    assert (alive(ann), ann.dead(), changed) == (["ann", "ben"], (), [True])
    await stage.pass_time(SILENCE, ann, ben)
    assert (alive(ann), ann.acting) == (["ann", "ben"], True)


async def test_who_is_alone_for_sure_finds_the_others_dead_at_once(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "alone.db")
    await store.open()
    try:
        for name in ("old", "older"):
            await store.commit(BeatNode(NodeRow(name, 1, 5, "1.0", "", "", 0, 0, draining=False)))
        await store.commit(BuryNode("older", 1))
        stage = Stage(store)
        (ann,) = await started(stage, "ann")
        await stage.undertaker(ann).turn()
        assert stage.settled == [("ann", "old"), ("ann", "older")]
        stage.time.now += 1e6
        assert ann.acting
    finally:
        await store.close()


async def test_a_node_that_leaves_is_gone_at_once(stage: Stage) -> None:
    ann, ben, cat = await started(stage, "ann", "ben", "cat")
    await ben.leave(settled=True)
    await cat.leave(settled=False)
    await ann.turn()
    assert alive(ann) == ["ann"]
    assert [one.name for one in ann.graves] == ["cat"]


async def test_a_node_that_was_buried_leaves_its_grave_to_others(stage: Stage) -> None:
    ann, ben = await started(stage, "ann", "ben")
    await stage.pass_time(SILENCE, ann)
    await stage.store.commit(BuryNode("ben", 2))
    await ben.leave(settled=True)
    await ann.turn()
    await stage.undertaker(ann).turn()
    assert stage.settled == [("ann", "ben")]


async def test_a_node_is_told_to_drain(stage: Stage) -> None:
    ann, ben = await started(stage, "ann", "ben")
    await stage.store.commit(DrainNode("ann"))
    await ann.turn()
    await ben.turn()
    assert (ann.end, ben.end) == ("drained", None)


async def test_what_is_settled_by_another_is_no_harm(stage: Stage) -> None:
    (ann, _) = await started(stage, "ann", "ben")
    await stage.pass_time(SILENCE, ann)
    await stage.store.commit(BuryNode("ben", 2), SettleNode("ben", 5))
    await stage.undertaker(ann).turn()
    assert (await stage.store.nodes()).buried == ()

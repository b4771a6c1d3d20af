"""What every Store knows of the nodes that share it: who beats, who is buried, what that fences."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from relay.cluster import (
    BeatNode,
    BuryNode,
    DrainNode,
    Fence,
    ForgetNodes,
    Grave,
    NodeRow,
    Nodes,
    SettleNode,
)
from relay.errors import Conflict, NodeBuried, NotFound, StoreError
from relay.store import Store
from relay.writes import Applied, CreateRoom
from tests.conformance.places import Place

DONE, NOTHING = (Applied(),), (Applied(changed=False),)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    yield store
    await store.close()


def row(name: str, beat: int = 1, at_ms: int = 1_000) -> NodeRow:
    return NodeRow(name, beat, at_ms, "1.0", "eu", "https://" + name, 3, 5, draining=False)


async def test_a_node_is_as_it_last_said(store: Store) -> None:
    assert await store.nodes() == Nodes((), ())
    assert await store.commit(BeatNode(row("b"))) == DONE
    assert await store.commit(BeatNode(row("a"))) == DONE
    later = NodeRow("b", 2, 1_500, "1.1", "us", "https://c", 4, 6, draining=True)
    assert await store.commit(BeatNode(later)) == DONE
    assert await store.nodes() == Nodes((row("a"), later), ())


async def test_a_first_beat_is_repeated_safely(store: Store) -> None:
    await store.commit(BeatNode(row("a")))
    assert await store.commit(BeatNode(row("a"))) == DONE
    assert (await store.nodes()).living == (row("a"),)


async def test_a_node_that_nobody_knows_does_not_beat_on(store: Store) -> None:
    with pytest.raises(NodeBuried):
        await store.commit(BeatNode(row("a", 2)))
    assert (await store.nodes()).living == ()


async def test_what_operators_want_outlasts_beats(store: Store) -> None:
    await store.commit(BeatNode(row("a")))
    assert await store.commit(DrainNode("a")) == DONE
    assert await store.commit(DrainNode("a")) == NOTHING
    await store.commit(BeatNode(row("a", 2)))
    assert (await store.nodes()).living == (replace(row("a", 2), drain=True),)
    with pytest.raises(NotFound):
        await store.commit(DrainNode("b"))


async def test_who_has_beaten_meanwhile_is_not_buried(store: Store) -> None:
    await store.commit(BeatNode(row("a")))
    await store.commit(BeatNode(row("a", 2)))
    with pytest.raises(Conflict):
        await store.commit(BuryNode("a", 1))
    assert (await store.nodes()).buried == ()
    assert await store.commit(BuryNode("a", 2)) == DONE
    assert await store.commit(BuryNode("a", 2)) == NOTHING
    assert await store.nodes() == Nodes((), (Grave("a", 1_000, "eu"),))


@pytest.mark.parametrize("beat", [1, 2])
async def test_who_was_buried_stays_so(store: Store, beat: int) -> None:
    await store.commit(BeatNode(row("a")))
    await store.commit(BuryNode("a", 1))
    with pytest.raises(NodeBuried):
        await store.commit(BeatNode(row("a", beat)))
    with pytest.raises(NotFound):
        await store.commit(DrainNode("a"))
    await store.commit(SettleNode("a", 2_000))
    with pytest.raises(NodeBuried):
        await store.commit(BeatNode(row("a", beat)))


async def test_a_grave_is_there_until_it_is_settled(store: Store) -> None:
    for name in ("a", "b"):
        await store.commit(BeatNode(row(name)))
        await store.commit(BuryNode(name, 1))
    assert await store.commit(SettleNode("a", 2_000)) == DONE
    assert await store.commit(SettleNode("a", 3_000)) == NOTHING
    assert await store.commit(SettleNode("never heard of", 3_000)) == NOTHING
    assert (await store.nodes()).buried == (Grave("b", 1_000, "eu"),)


async def test_only_what_is_settled_is_forgotten(store: Store) -> None:
    for name in ("a", "b"):
        await store.commit(BeatNode(row(name)))
        await store.commit(BuryNode(name, 1))
    await store.commit(SettleNode("a", 2_000))
    assert await store.commit(ForgetNodes(2_000)) == NOTHING
    assert await store.commit(ForgetNodes(9_000)) == DONE
    assert (await store.nodes()).buried == (Grave("b", 1_000, "eu"),)
    with pytest.raises(NodeBuried):
        await store.commit(BeatNode(row("a", 2)))


async def test_nothing_is_written_behind_a_fence(store: Store) -> None:
    await store.commit(BeatNode(row("a")))
    assert await store.commit(Fence("a"), CreateRoom("r", b"", 1)) == (Applied(), Applied())
    await store.commit(BuryNode("a", 1))
    for name in ("a", "never heard of"):
        with pytest.raises(NodeBuried):
            await store.commit(CreateRoom("s", b"", 1), Fence(name))
    assert await store.room("s") is None


async def test_a_fence_and_a_burial_at_once_come_one_after_the_other(store: Store) -> None:
    """Whatever is seen as buried has written all that it ever will."""
    for number in range(10):
        name = f"n{number}"
        await store.commit(BeatNode(row(name)))
        writes = [store.commit(Fence(name), CreateRoom(f"{name}.{each}", b"", 1)) for each in range(8)]
        burial = store.commit(BuryNode(name, 1))
        *outcomes, buried = await asyncio.gather(*writes[:4], burial, *writes[4:], return_exceptions=True)
        assert not isinstance(buried, StoreError) or isinstance(buried, NodeBuried)
        for each in range(8):
            if await store.room(f"{name}.{each}") is None:
                with pytest.raises(NodeBuried):
                    await store.commit(Fence(name), CreateRoom(f"{name}.{each}", b"", 1))
        assert all(not isinstance(one, BaseException) or isinstance(one, NodeBuried) for one in outcomes)

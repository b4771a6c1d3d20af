"""Cursors are written together, the newest of each, and none is lost while the store is in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.errors import StoreFull
from relay.rows import Cursor
from relay.sqlite import SqliteStore
from relay.writes import Ack, AddMember, CreateRoom, RemoveMember, Write
from signaling.door import acks as module
from signaling.door.acks import Acks
from tests.conformance.test_store import sent
from tests.signaling.waiting import until


class Watched(SqliteStore):
    """Notes the commits of cursors; refuses them while ``full``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.acks: list[tuple[Write, ...]] = []
        self.full = False
        self.refused = asyncio.Event()

    async def commit(self, *writes: Write) -> Any:
        if isinstance(writes[0], Ack):
            if self.full:
                self.refused.set()
                raise StoreFull("no space")
            self.acks.append(writes)
        return await super().commit(*writes)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Watched]:
    store = Watched(tmp_path / "s.db")
    await store.open()
    for room in ("r", "s"):
        await store.commit(CreateRoom(room, b"", 1), AddMember(room, "ann", "client", 1))
        await store.commit(*[sent(number, room=room, device=f"d-{room}") for number in range(5)])
    yield store
    await store.close()


async def offsets(store: Watched) -> dict[str, int]:
    """How far ann's device has each room."""
    return {room: cursor.offset for room, cursor in (await store.cursors("ann", "d")).items()}


async def test_the_newest_of_each_room_is_written_in_one_commit(store: Watched) -> None:
    acks = Acks(store, lambda written: None)
    for offset in (1, 2, 3):
        acks.put("ann", "d", "r", store.epoch, offset)
    acks.put("ann", "d", "s", store.epoch, 1)
    acks.put("ann", "e", "r", store.epoch, 2)
    await acks.flush()
    assert len(store.acks) == 1
    assert await offsets(store) == {
        "r": 3,
        "s": 1,
    }
    assert (await store.cursors("ann", "e"))["r"].offset == 2


async def test_what_is_not_written_yet_is_known(store: Watched) -> None:
    acks = Acks(store, lambda written: None)
    acks.put("ann", "d", "r", store.epoch, 2)
    assert acks.latest("ann", "d") == {"r": Cursor(store.epoch, 2)}
    assert acks.latest("ann", "e") == {}
    flushing = asyncio.create_task(acks.flush())
    await asyncio.sleep(0)
    acks.put("ann", "d", "r", store.epoch, 3)
    assert acks.latest("ann", "d") == {"r": Cursor(store.epoch, 3)}
    await flushing
    await acks.flush()
    assert (await store.cursors("ann", "d"))["r"].offset == 3
    assert acks.latest("ann", "d") == {}


async def test_they_are_written_by_themselves(store: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.001)
    acks = Acks(store, lambda written: None)
    acks.put("ann", "d", "r", store.epoch, 2)
    await until(lambda: not acks.latest("ann", "d"))
    assert (await store.cursors("ann", "d"))["r"].offset == 2


async def test_one_whose_membership_has_ended_does_not_hold_up_the_others(store: Watched) -> None:
    acks = Acks(store, lambda written: None)
    acks.put("ann", "d", "r", store.epoch, 2)
    acks.put("ann", "d", "s", store.epoch, 1)
    await store.commit(RemoveMember("r", "ann"))
    await acks.flush()
    assert await offsets(store) == {"s": 1}
    assert acks.latest("ann", "d") == {}


async def test_a_full_disk_delays_them_and_loses_none(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.001)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    acks = Acks(store, lambda written: None)
    store.full = True
    acks.put("ann", "d", "r", store.epoch, 2)
    acks.put("ann", "d", "s", store.epoch, 1)
    await store.refused.wait()
    acks.put("ann", "d", "r", store.epoch, 3)
    store.full = False
    await until(lambda: not acks.latest("ann", "d"))
    assert await offsets(store) == {
        "r": 3,
        "s": 1,
    }

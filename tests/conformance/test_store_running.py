"""What every Store does with running sessions and the settings of rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from relay.errors import NotFound
from relay.rows import Session
from relay.store import Store
from relay.writes import Applied, CreateRoom, PutSession, SetRoomBody
from tests.conformance.places import Place


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    await store.commit(CreateRoom("r", b"", 1))
    yield store
    await store.close()


async def test_sessions_in_a_state_are_paged_by_id(store: Store) -> None:
    await store.commit(CreateRoom("q", b"", 1))
    states = {"d": "open", "a": "open", "c": "over", "b": "open"}
    for id_, state in states.items():
        session = Session(id_, "q" if id_ == "b" else "r", 5, 9, state, 1, b"")
        await store.commit(PutSession(session, None))
    first = await store.sessions_in("open", limit=2)
    assert [(one.id, one.room) for one in first] == [("a", "r"), ("b", "q")]
    assert [one.id for one in await store.sessions_in("open", after="b", limit=9)] == ["d"]
    await store.commit(PutSession(Session("a", "r", 5, 9, "over", 2, b""), 1))
    assert [one.id for one in await store.sessions_in("over", limit=9)] == ["a", "c"]
    assert await store.sessions_in("unheard of", limit=9) == ()


async def test_a_room_takes_other_settings(store: Store) -> None:
    await store.commit(CreateRoom("q", b"old", 7))
    assert await store.commit(SetRoomBody("q", b"new")) == (Applied(),)
    room = await store.room("q")
    assert room is not None
    assert (room.body, room.created_ms) == (b"new", 7)
    with pytest.raises(NotFound):
        await store.commit(SetRoomBody("x", b""))

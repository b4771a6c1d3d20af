"""What every Store does with series, the sessions of an account, and calendar feeds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from relay.errors import Conflict, NotFound
from relay.rows import SessionCursor
from relay.scheduling import CalendarFeed, DropCalendar, PutCalendar, PutSeries, SeriesRow, SetGuests
from relay.store import Store
from relay.writes import Applied, CreateRoom, PutSession, RemoveMember
from tests.conformance.places import Place
from tests.conformance.test_store import a_session, new_room

FAR_MS = 1 << 50


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    await store.commit(*new_room("r"))
    yield store
    await store.close()


def a_series(name: str, *, version: int = 1, due_ms: int | None = 5, room: str = "r") -> SeriesRow:
    return SeriesRow(name, room, due_ms, version, b"body of " + name.encode())


async def listed(
    store: Store, account: str, after: SessionCursor, before_ms: int = FAR_MS, limit: int = 9
) -> list[str]:
    found = await store.sessions_of_account(account, after=after, before_ms=before_ms, limit=limit)
    return [session.id for session in found]


async def test_series_change_by_compare_and_set(store: Store) -> None:
    await store.commit(PutSeries(a_series("a"), None))
    assert await store.series("a") == a_series("a")
    await store.commit(PutSeries(a_series("a", version=2, due_ms=None), 1))
    assert await store.series("a") == a_series("a", version=2, due_ms=None)
    await store.commit(CreateRoom("q", b"", 1))
    for refused in (
        PutSeries(a_series("a"), None),
        PutSeries(a_series("a", version=3), 1),
        PutSeries(a_series("b", version=2), 1),
        PutSeries(a_series("a", version=3, room="q"), 2),
    ):
        with pytest.raises(Conflict):
            await store.commit(refused)
    with pytest.raises(NotFound):
        await store.commit(PutSeries(a_series("b", room="x"), None))
    assert await store.series("b") is None


async def test_the_series_of_a_room_are_paged_by_id(store: Store) -> None:
    await store.commit(*new_room("q"))
    await store.commit(*[PutSeries(a_series(name), None) for name in ("b", "a", "c")])
    await store.commit(PutSeries(a_series("d", room="q"), None))
    assert [one.id for one in await store.series_of("r", limit=2)] == ["a", "b"]
    assert [one.id for one in await store.series_of("r", after="b", limit=2)] == ["c"]
    assert await store.series_of("x", limit=2) == ()


async def test_series_are_due_in_order_and_some_never(store: Store) -> None:
    dues: dict[str, int | None] = {"a": 30, "b": 10, "c": None, "d": 20, "e": 10}
    await store.commit(*[PutSeries(a_series(name, due_ms=at), None) for name, at in dues.items()])
    assert [one.id for one in await store.series_due(until_ms=20, limit=9)] == ["b", "e", "d"]
    assert [one.id for one in await store.series_due(until_ms=99, limit=1)] == ["b"]
    assert await store.series_due(until_ms=9, limit=9) == ()


async def test_an_accounts_sessions_come_from_all_its_rooms_by_start(store: Store) -> None:
    await store.commit(*new_room("q"))
    await store.commit(CreateRoom("foreign", b"", 1))
    places = {1: (20, "r"), 2: (10, "q"), 3: (20, "q"), 4: (15, "foreign"), 5: (30, "r")}
    await store.commit(
        *[PutSession(a_session(n, starts_ms=at, room=room), None) for n, (at, room) in places.items()]
    )
    assert await listed(store, "ann", SessionCursor(0, "")) == ["s2", "s1", "s3", "s5"]
    assert await listed(store, "ann", SessionCursor(0, ""), limit=2) == ["s2", "s1"]
    assert await listed(store, "ann", SessionCursor(20, "s1")) == ["s3", "s5"]
    assert await listed(store, "ann", SessionCursor(20, ""), before_ms=30) == ["s1", "s3"]
    assert await listed(store, "nobody", SessionCursor(0, "")) == []
    await store.commit(RemoveMember("q", "ann"))
    assert await listed(store, "ann", SessionCursor(0, "")) == ["s1", "s5"]


async def test_a_guests_sessions_are_its_own_and_those_of_its_rooms_come_once(store: Store) -> None:
    await store.commit(CreateRoom("foreign", b"", 1))
    await store.commit(
        *[PutSession(a_session(n, starts_ms=10 * n, room="foreign"), None) for n in (1, 3, 4)],
        PutSession(a_session(2, starts_ms=20), None),
        SetGuests("s1", ("ann", "cleo", "ann")),
        SetGuests("s2", ("ann",)),
        SetGuests("s3", ("ann", "cleo")),
    )
    assert await listed(store, "ann", SessionCursor(0, "")) == ["s1", "s2", "s3"]
    assert await listed(store, "cleo", SessionCursor(0, "")) == ["s1", "s3"]
    assert await listed(store, "ann", SessionCursor(0, ""), limit=2) == ["s1", "s2"]
    assert await listed(store, "ann", SessionCursor(10, "s1"), before_ms=30) == ["s2"]
    await store.commit(SetGuests("s3", ("dora",)))
    assert await listed(store, "cleo", SessionCursor(0, "")) == ["s1"]
    assert await listed(store, "dora", SessionCursor(0, "")) == ["s3"]
    with pytest.raises(NotFound):
        await store.commit(SetGuests("s9", ("ann",)))


async def test_an_account_has_one_feed_and_an_address_one_account(store: Store) -> None:
    first, second = CalendarFeed("ann", b"1" * 32, 1), CalendarFeed("ann", b"2" * 32, 2)
    await store.commit(PutCalendar(first))
    assert await store.calendar(first.digest) == first
    await store.commit(PutCalendar(second))
    assert await store.calendar(first.digest) is None
    assert await store.calendar(second.digest) == second
    await store.commit(PutCalendar(CalendarFeed("ben", b"3" * 32, 3)))
    for account in ("ben", "cleo"):
        with pytest.raises(Conflict):
            await store.commit(PutCalendar(CalendarFeed(account, second.digest, 4)))
    assert await store.calendar(second.digest) == second


async def test_a_feed_is_taken_away(store: Store) -> None:
    await store.commit(PutCalendar(CalendarFeed("ann", b"1" * 32, 1)))
    assert await store.commit(DropCalendar("ann")) == (Applied(),)
    assert await store.calendar(b"1" * 32) is None
    assert await store.commit(DropCalendar("ann")) == (Applied(changed=False),)

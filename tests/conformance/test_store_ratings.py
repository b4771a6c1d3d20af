"""What every Store does with ratings, and with sessions listed by when they start."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from relay.errors import Conflict, NotFound
from relay.ratings import PutRating, Rating, RatingCursor
from relay.rows import Session, SessionCursor
from relay.store import Store
from relay.writes import Applied, CreateRoom, PutSession
from tests.conformance.places import Place

STARTS = {"s1": ("r", 10), "s2": ("q", 10), "s3": ("r", 20), "s4": ("q", 30), "s5": ("r", 40)}


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    await store.commit(CreateRoom("r", b"", 1), CreateRoom("q", b"", 1))
    for id_, (room, starts_ms) in STARTS.items():
        await store.commit(PutSession(Session(id_, room, starts_ms, 99, "over", 1, b""), None))
    yield store
    await store.close()


def a_rating(session: str, account: str, at_ms: int, kind: str = "k") -> Rating:
    return Rating(session, account, kind, f"{account} of {session}".encode(), at_ms)


async def ids(store: Store, from_ms: int, until_ms: int, *, room: str | None = None) -> list[str]:
    """What the pages hold together, read two by two."""
    found: list[str] = []
    after = None
    while page := await store.sessions_between(from_ms, until_ms, room=room, after=after, limit=2):
        found += [one.id for one in page]
        after = SessionCursor(page[-1].starts_ms, page[-1].id)
    return found


async def test_sessions_of_all_rooms_are_listed_by_start(store: Store) -> None:
    assert await ids(store, 0, 100) == ["s1", "s2", "s3", "s4", "s5"]
    assert await ids(store, 10, 40) == ["s1", "s2", "s3", "s4"]
    assert await ids(store, 11, 31) == ["s3", "s4"]
    assert await ids(store, 41, 100) == await ids(store, 20, 20) == []


async def test_sessions_of_a_room_within_a_time(store: Store) -> None:
    assert await ids(store, 10, 40, room="r") == ["s1", "s3"]
    assert await ids(store, 0, 100, room="q") == ["s2", "s4"]
    assert await ids(store, 0, 100, room="x") == []


async def test_a_place_before_the_time_asked_for_adds_nothing(store: Store) -> None:
    early = SessionCursor(5, "")
    page = await store.sessions_between(20, 40, after=early, limit=9)
    assert [one.id for one in page] == ["s3", "s4"]


async def test_a_session_that_is_moved_is_listed_by_its_new_start(store: Store) -> None:
    await store.commit(PutSession(Session("s1", "r", 35, 99, "over", 2, b"moved"), 1))
    assert await ids(store, 0, 100) == ["s2", "s3", "s4", "s1", "s5"]
    assert await ids(store, 10, 11) == ["s2"]


async def test_an_account_rates_a_session_once(store: Store) -> None:
    assert await store.commit(PutRating(a_rating("s1", "ann", 50))) == (Applied(),)
    with pytest.raises(Conflict):
        await store.commit(PutRating(a_rating("s1", "ann", 51, kind="other")))
    await store.commit(PutRating(a_rating("s1", "ben", 52)), PutRating(a_rating("s2", "ann", 53)))
    listed = await store.ratings("k", from_ms=0, until_ms=99, limit=9)
    assert listed == (a_rating("s1", "ann", 50), a_rating("s1", "ben", 52), a_rating("s2", "ann", 53))
    assert await store.ratings("other", from_ms=0, until_ms=99, limit=9) == ()


async def test_what_is_committed_with_a_second_rating_does_not_happen(store: Store) -> None:
    await store.commit(PutRating(a_rating("s1", "ann", 50)))
    with pytest.raises(Conflict):
        await store.commit(CreateRoom("z", b"", 1), PutRating(a_rating("s1", "ann", 50)))
    assert await store.room("z") is None


async def test_a_session_that_is_not_there_is_not_rated(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.commit(PutRating(a_rating("x", "ann", 50)))


async def test_ratings_of_a_kind_are_paged_by_time(store: Store) -> None:
    made = [
        a_rating("s2", "ann", 10),
        a_rating("s1", "ann", 20),
        a_rating("s1", "ben", 20),
        a_rating("s2", "ben", 20),
        a_rating("s3", "ann", 30),
    ]
    await store.commit(*map(PutRating, reversed(made)), PutRating(a_rating("s4", "ann", 20, kind="other")))
    found: list[Rating] = []
    after = None
    while page := await store.ratings("k", from_ms=0, until_ms=99, after=after, limit=2):
        found += page
        after = RatingCursor(page[-1].at_ms, page[-1].session, page[-1].account)
    assert found == made
    assert await store.ratings("k", from_ms=20, until_ms=30, limit=9) == tuple(made[1:4])


async def test_ratings_are_kept(place: Place) -> None:
    before = place.store()
    await before.open()
    await before.commit(CreateRoom("r", b"", 1))
    await before.commit(PutSession(Session("s", "r", 1, 9, "over", 1, b""), None))
    await before.commit(PutRating(a_rating("s", "ann", 5)))
    await before.close()
    after = place.store()
    await after.open()
    assert await after.ratings("k", from_ms=0, until_ms=9, limit=9) == (a_rating("s", "ann", 5),)
    await after.close()

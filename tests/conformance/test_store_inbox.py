"""What every Store knows of an inbox, and what it does with flags and documents."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from relay.documents import Document, PutDocument
from relay.errors import Conflict, NotFound
from relay.inbox import (
    ANSWER,
    COUNTED,
    FLAGS,
    MESSAGE,
    NOTE,
    QUESTION,
    UPCOMING,
    Asked,
    ClearFlag,
    EventKind,
    Flagged,
    InboxRoom,
    Waiting,
)
from relay.rows import Member, RoomHead, Session
from relay.store import Store
from relay.writes import Append, MarkRead, PutSession, Trim
from tests.conformance.places import Place
from tests.conformance.test_store import mid, new_room


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    await store.commit(*new_room("r"))
    yield store
    await store.close()


def said(
    number: int, kind: EventKind, sender: str = "ben", room: str = "r", *, flagged: bool = False
) -> Append:
    return Append(room, sender, "d", mid(number), b"%d" % number, 1_000 * number, kind, flagged)


def noted(room: str = "r") -> Append:
    return Append(room, None, None, None, b"note", 5)


async def inbox(store: Store, account: str = "ann", **asked: object) -> tuple[InboxRoom, ...]:
    given: dict[str, object] = {"starts_after_ms": 0, "over": ("ended",), "limit": 99} | asked
    return await store.inbox(account, **given)  # type: ignore[arg-type]  # as given


async def the_room(store: Store, account: str = "ann") -> InboxRoom:
    (room,) = await inbox(store, account)
    return room


def booked(name: str, starts_ms: int, state: str = "scheduled") -> PutSession:
    return PutSession(Session(name, "r", starts_ms, starts_ms + 1, state, 1, b"body"), None)


# --- Unread


async def test_an_empty_room(store: Store) -> None:
    members = (Member("ann", "therapist", 1_001), Member("ben", "client", 1_002))
    log = RoomHead("r", store.epoch, 0, 1)
    assert await the_room(store) == InboxRoom("r", "therapist", log, 0, 0, None, (), members, ())


async def test_messages_of_others_beyond_the_mark_are_unread(store: Store) -> None:
    await store.commit(said(1, MESSAGE), said(2, QUESTION), said(3, ANSWER, "ann"), noted(), said(4, MESSAGE))
    assert (await the_room(store)).unread == 3
    assert (await the_room(store, "ben")).unread == 1
    await store.commit(MarkRead("ann", "r", store.epoch, 2))
    assert ((await the_room(store)).unread, (await the_room(store)).read) == (1, 2)
    await store.commit(MarkRead("ann", "r", store.epoch, 5))
    assert (await the_room(store)).unread == 0
    assert (await the_room(store, "ben")).unread == 1


async def test_notes_are_never_unread(store: Store) -> None:
    await store.commit(said(1, NOTE), noted())
    assert (await the_room(store)).unread == 0


async def test_unread_is_counted_among_the_newest_events_only(store: Store) -> None:
    await store.commit(*[said(number, MESSAGE) for number in range(1, COUNTED + 10)])
    assert (await the_room(store)).unread == COUNTED


# --- What waits for an answer


async def test_the_oldest_question_waits_until_an_answer(store: Store) -> None:
    await store.commit(said(1, MESSAGE), said(2, QUESTION), noted(), said(3, QUESTION))
    assert (await the_room(store)).unanswered == Waiting(2, 2_000)
    await store.commit(said(4, ANSWER, "ann"))
    assert (await the_room(store)).unanswered is None
    await store.commit(said(5, QUESTION))
    assert (await the_room(store)).unanswered == Waiting(6, 5_000)


async def test_a_repeated_question_waits_no_second_time(store: Store) -> None:
    await store.commit(said(1, QUESTION))
    await store.commit(said(2, ANSWER, "ann"))
    await store.commit(said(1, QUESTION))
    assert (await the_room(store)).unanswered is None


async def test_a_failed_call_changes_nothing_of_what_waits(store: Store) -> None:
    await store.commit(said(1, QUESTION))
    with pytest.raises(NotFound):
        await store.commit(said(2, ANSWER, "ann"), said(3, MESSAGE, room="x"))
    await store.commit(noted())
    assert (await the_room(store)).unanswered == Waiting(1, 1_000)


async def test_what_waits_outlives_the_process(store: Store, place: Place) -> None:
    await store.commit(said(1, QUESTION))
    await store.close()
    again = place.store()
    await again.open()
    try:
        await again.commit(said(2, QUESTION))
        assert (await the_room(again)).unanswered == Waiting(1, 1_000)
        await again.commit(said(3, ANSWER, "ann"))
        assert (await the_room(again)).unanswered is None
    finally:
        await again.close()


async def test_a_trimmed_question_gives_way_to_the_next(store: Store) -> None:
    await store.commit(said(1, QUESTION), noted(), said(2, QUESTION))
    await store.commit(Trim("r", 2))
    assert (await the_room(store)).unanswered == Waiting(3, 2_000)
    await store.commit(Trim("r", 3))
    assert (await the_room(store)).unanswered is None
    await store.commit(said(3, QUESTION))
    assert (await the_room(store)).unanswered == Waiting(4, 3_000)


async def test_rooms_in_which_something_waits(store: Store) -> None:
    for name in ("p", "q", "s"):
        await store.commit(*new_room(name))
    await store.commit(said(1, QUESTION), said(2, QUESTION), said(3, MESSAGE))
    await store.commit(said(4, QUESTION, room="p"), said(5, ANSWER, "ann", room="p"))
    await store.commit(said(6, QUESTION, room="s"))
    assert await store.asked(limit=9) == (Asked("r", 2_000), Asked("s", 6_000))
    assert await store.asked(limit=1) == (Asked("r", 2_000),)
    assert await store.asked(after="r", limit=9) == (Asked("s", 6_000),)


# --- Flags


async def test_a_flag_stands_until_it_is_cleared(store: Store) -> None:
    await store.commit(said(1, QUESTION, flagged=True), said(2, QUESTION), said(3, QUESTION, flagged=True))
    assert (await the_room(store)).flagged == (Flagged(1, "ben", 1_000), Flagged(3, "ben", 3_000))
    await store.commit(ClearFlag("r", 1, "ann", 9_000))
    assert (await the_room(store)).flagged == (Flagged(3, "ben", 3_000),)


async def test_a_flag_is_cleared_once(store: Store) -> None:
    await store.commit(said(1, QUESTION, flagged=True), said(2, QUESTION))
    await store.commit(ClearFlag("r", 1, "ann", 9_000))
    with pytest.raises(Conflict):
        await store.commit(ClearFlag("r", 1, "ann", 9_001), noted())
    for offset in (2, 3):
        with pytest.raises(NotFound):
            await store.commit(ClearFlag("r", offset, "ann", 9_000))
    with pytest.raises(NotFound):
        await store.commit(ClearFlag("x", 1, "ann", 9_000))
    assert (await the_room(store)).log.head == 2


async def test_a_flag_of_a_failed_call_does_not_stand(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.commit(said(1, QUESTION, flagged=True), said(2, MESSAGE, room="x"))
    await store.commit(said(3, QUESTION))
    assert (await the_room(store)).flagged == ()


async def test_the_oldest_flags_are_told(store: Store) -> None:
    await store.commit(*[said(number, QUESTION, flagged=True) for number in range(1, FLAGS + 5)])
    assert [one.offset for one in (await the_room(store)).flagged] == list(range(1, FLAGS + 1))


# --- Sessions and rooms


async def test_upcoming_sessions(store: Store) -> None:
    await store.commit(booked("b", 20), booked("a", 10), booked("past", 3), booked("over", 15, "ended"))
    await store.commit(*[booked(f"later{number}", 30 + number) for number in range(UPCOMING)])
    (room,) = await inbox(store, starts_after_ms=5)
    assert [session.id for session in room.upcoming] == ["a", "b", "later0", "later1"]
    assert room.upcoming[0] == Session("a", "r", 10, 11, "scheduled", 1, b"body")


async def test_rooms_are_those_of_the_account(store: Store) -> None:
    await store.commit(*new_room("q"))
    await store.commit(said(1, QUESTION, room="q", flagged=True))
    assert [(room.room, room.unread) for room in await inbox(store)] == [("q", 1), ("r", 0)]
    assert [room.room for room in await inbox(store, limit=1)] == ["q"]
    assert [room.room for room in await inbox(store, rooms=("r", "x"))] == ["r"]
    assert await inbox(store, rooms=()) == ()
    assert await inbox(store, "nobody") == ()


# --- Documents


async def test_a_document_is_put_and_found(store: Store) -> None:
    await store.commit(PutDocument("hours", "ann", b"one"), PutDocument("other", "ann", b"two"))
    assert await store.documents("hours", ["ann", "ben"]) == {"ann": Document(1, b"one")}
    await store.commit(PutDocument("hours", "ann", b"three"))
    assert await store.documents("hours", ["ann"]) == {"ann": Document(2, b"three")}


async def test_a_document_at_another_version_stays(store: Store) -> None:
    await store.commit(PutDocument("hours", "ann", b"one", 0))
    for version in (0, 2):
        with pytest.raises(Conflict):
            await store.commit(PutDocument("hours", "ann", b"two", version), noted())
    with pytest.raises(Conflict):
        await store.commit(PutDocument("hours", "ben", b"two", 1))
    await store.commit(PutDocument("hours", "ann", b"two", 1))
    assert await store.documents("hours", ["ann", "ben"]) == {"ann": Document(2, b"two")}
    assert (await the_room(store)).log.head == 0

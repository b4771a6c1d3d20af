"""What every Store does with deliveries to webhooks, and with the search for what nobody has received."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.errors import Conflict
from relay.inbox import MESSAGE, ClearFlag
from relay.store import Store
from relay.webhooks import (
    Backlog,
    BuryDeliveries,
    DelayDelivery,
    Delivery,
    DeliveryCursor,
    DropDelivery,
    EndDelivery,
    Examined,
    ForgetDeliveries,
    HastenDeliveries,
    Held,
    NoteExamined,
    PutDelivery,
    ReplayDelivery,
    SettleHeld,
    Unreceived,
)
from relay.writes import Ack, AddMember, Append, Applied, CreateRoom, RemoveMember, Trim
from tests.conformance.places import Place
from tests.conformance.test_store import mid

UNCHANGED = (Applied(changed=False),)
CHANGED = (Applied(),)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    yield store
    await store.close()


def put(name: str, *, lane: str = "r", endpoint: str = "e", at_ms: int = 100) -> PutDelivery:
    return PutDelivery(name, endpoint, lane, "session.ended", b"body of " + name.encode(), at_ms)


async def due(store: Store, endpoint: str = "e") -> list[tuple[str, int | None]]:
    return [(one.id, one.due_ms) for one in await store.due_deliveries(endpoint, limit=99)]


async def names(store: Store, state: str, **asked: object) -> list[str]:
    return [one.id for one in await store.deliveries(state, limit=99, **asked)]  # type: ignore[arg-type]  # as given


# --- Lanes


async def test_a_delivery_waits_as_it_was_put(store: Store) -> None:
    assert await store.commit(put("a")) == CHANGED
    body = b"body of a"
    waiting = Delivery("a", "e", "r", "session.ended", body, 100, "waiting", 100, 0, 100, "", position=1)
    assert await store.delivery("a") == waiting
    assert await store.delivery("b") is None


async def test_an_id_is_used_once(store: Store) -> None:
    await store.commit(put("a"))
    with pytest.raises(Conflict):
        await store.commit(CreateRoom("x", b"", 1), put("a", lane="other"))
    assert await store.room("x") is None


async def test_only_the_first_of_a_lane_is_due(store: Store) -> None:
    await store.commit(put("a", at_ms=300), put("b", at_ms=200), put("c", lane="s", at_ms=250))
    await store.commit(put("d", endpoint="other", at_ms=100))
    assert await due(store) == [("c", 250), ("a", 300)]
    assert await due(store, "other") == [("d", 100)]
    assert [one.id for one in await store.due_deliveries("e", limit=1)] == ["c"]


async def test_the_next_of_a_lane_is_due_when_one_has_ended(store: Store) -> None:
    await store.commit(put("a"), put("b"), put("c"))
    assert await store.commit(EndDelivery("a", 1, "delivered", 500)) == CHANGED
    assert await due(store) == [("b", 500)]
    assert await store.commit(EndDelivery("b", 1, "dead", 600, "gone")) == CHANGED
    assert await due(store) == [("c", 600)]
    ended = await store.delivery("b")
    assert ended is not None
    assert (ended.state, ended.since_ms, ended.attempts, ended.failure) == ("dead", 600, 1, "gone")


async def test_a_failed_attempt_delays_its_lane_and_no_other(store: Store) -> None:
    await store.commit(put("a"), put("b"), put("c", lane="s"))
    assert await store.commit(DelayDelivery("a", 1, 900, "timeout")) == CHANGED
    assert await due(store) == [("c", 100), ("a", 900)]
    delayed = await store.delivery("a")
    assert delayed is not None
    assert (delayed.attempts, delayed.failure, delayed.since_ms) == (1, "timeout", 100)


async def test_an_attempt_counts_once(store: Store) -> None:
    await store.commit(put("a"), put("b"))
    await store.commit(DelayDelivery("a", 1, 900, "timeout"))
    for stale in (DelayDelivery("a", 1, 950, "again"), EndDelivery("a", 1, "delivered", 950)):
        assert await store.commit(stale) == UNCHANGED
    assert await due(store) == [("a", 900)]
    assert await store.commit(EndDelivery("a", 2, "delivered", 950)) == CHANGED
    for over in (DelayDelivery("a", 3, 999, "late"), EndDelivery("a", 3, "dead", 999)):
        assert await store.commit(over) == UNCHANGED
    for not_due in (DelayDelivery("c", 1, 999, "none"), EndDelivery("c", 1, "dead", 999)):
        assert await store.commit(not_due) == UNCHANGED
    assert await due(store) == [("b", 950)]


async def test_what_stands_behind_another_cannot_be_attempted(store: Store) -> None:
    await store.commit(put("a"), put("b"))
    assert await store.commit(EndDelivery("b", 1, "delivered", 500)) == UNCHANGED
    assert await due(store) == [("a", 100)]


async def test_a_delivery_is_written_with_its_change_or_not_at_all(store: Store) -> None:
    with pytest.raises(Conflict):
        await store.commit(put("a"), CreateRoom("r", b"", 1), CreateRoom("r", b"", 1))
    assert await store.delivery("a") is None


# --- What has ended


async def test_a_replay_waits_behind_its_lane(store: Store) -> None:
    await store.commit(put("a"), put("b"), put("c"))
    await store.commit(EndDelivery("a", 1, "dead", 500, "status_500"))
    assert await store.commit(ReplayDelivery("a", 700)) == CHANGED
    assert await store.commit(ReplayDelivery("a", 701)) == UNCHANGED
    assert await store.commit(ReplayDelivery("z", 701)) == UNCHANGED
    replayed = await store.delivery("a")
    assert replayed is not None
    assert (replayed.state, replayed.attempts, replayed.failure) == ("waiting", 0, "")
    assert (replayed.at_ms, replayed.since_ms, replayed.due_ms) == (100, 700, None)
    for name in ("b", "c", "a"):
        assert [one for one, _ in await due(store)] == [name]
        await store.commit(EndDelivery(name, 1, "delivered", 800))
    assert await due(store) == []


async def test_a_replay_in_an_empty_lane_is_due_at_once(store: Store) -> None:
    await store.commit(put("a"))
    await store.commit(EndDelivery("a", 1, "delivered", 500))
    await store.commit(ReplayDelivery("a", 700))
    assert await due(store) == [("a", 700)]


async def test_dropping_lets_the_lane_go_on(store: Store) -> None:
    await store.commit(put("a"), put("b"), put("c"))
    await store.commit(DelayDelivery("a", 1, 900, "timeout"))
    assert await store.commit(DropDelivery("b", 400)) == CHANGED
    assert await due(store) == [("a", 900)]
    assert await store.commit(DropDelivery("a", 500)) == CHANGED
    assert await store.commit(DropDelivery("a", 500)) == UNCHANGED
    assert await due(store) == [("c", 500)]


async def test_hastening_touches_what_is_due_later_only(store: Store) -> None:
    await store.commit(put("a"), put("b", lane="s"), put("c", endpoint="other", at_ms=900))
    await store.commit(DelayDelivery("a", 1, 900, "timeout"))
    assert await store.commit(HastenDeliveries("e", 300)) == CHANGED
    assert await due(store) == [("b", 100), ("a", 300)]
    assert await due(store, "other") == [("c", 900)]
    assert await store.commit(HastenDeliveries("e", 300)) == UNCHANGED


async def test_what_waits_for_no_known_endpoint_is_buried(store: Store) -> None:
    await store.commit(put("a"), put("b"), put("c", endpoint="other"))
    assert await store.commit(BuryDeliveries(("e", "f"), 700, "endpoint_removed")) == CHANGED
    assert await store.commit(BuryDeliveries(("e", "f"), 700, "endpoint_removed")) == UNCHANGED
    assert await names(store, "waiting") == ["a", "b"]
    (dead,) = await store.deliveries("dead", limit=9)
    assert (dead.id, dead.since_ms, dead.failure, dead.due_ms) == ("c", 700, "endpoint_removed", None)
    await store.commit(BuryDeliveries((), 800, "endpoint_removed"))
    assert await names(store, "waiting") == []


async def test_what_has_ended_is_forgotten_a_part_at_a_time(store: Store) -> None:
    for number in range(5):
        await store.commit(put(f"d{number}", at_ms=number), put(f"w{number}", lane="waiting", at_ms=number))
        await store.commit(EndDelivery(f"d{number}", 1, "dead" if number % 2 else "delivered", 10 + number))
    assert await store.commit(ForgetDeliveries(14, 3)) == CHANGED
    assert await store.commit(ForgetDeliveries(14, 3)) == CHANGED
    assert await store.commit(ForgetDeliveries(14, 3)) == UNCHANGED
    assert await names(store, "delivered") == ["d4"]
    assert await names(store, "dead") == []
    assert len(await names(store, "waiting")) == 5


async def test_lists_are_paged_in_the_order_of_their_states(store: Store) -> None:
    for number, at_ms in enumerate((500, 300, 300, 700)):
        await store.commit(put(f"d{number}", lane=f"l{number}", endpoint="other" if number == 1 else "e"))
        await store.commit(EndDelivery(f"d{number}", 1, "dead", at_ms))
    first = await store.deliveries("dead", limit=2)
    assert [one.id for one in first] == ["d1", "d2"]
    after = DeliveryCursor(first[-1].since_ms, first[-1].position)
    assert await names(store, "dead", after=after) == ["d0", "d3"]
    assert await names(store, "dead", endpoint="other") == ["d1"]
    assert await names(store, "dead", since_ms=500, until_ms=700) == ["d0"]
    assert await names(store, "delivered") == []


async def test_backlogs_tell_what_has_not_reached_whom(store: Store) -> None:
    await store.commit(put("a", at_ms=300), put("b", at_ms=200), put("c", endpoint="other", at_ms=50))
    await store.commit(put("d", endpoint="done"))
    await store.commit(EndDelivery("c", 1, "dead", 400), EndDelivery("d", 1, "delivered", 400))
    assert await store.backlogs() == (Backlog("e", 2, 0, 200), Backlog("other", 0, 1, None))


# --- What nobody has received


async def room(store: Store, name: str = "r", *, since_ms: int = 0) -> None:
    people = {"ann": "therapist", "ben": "client", "cleo": "guest"}
    members = [AddMember(name, who, role, since_ms) for who, role in people.items()]
    await store.commit(CreateRoom(name, b"", 0), *members)


async def say(
    store: Store, number: int, at_ms: int, *, sender: str = "ann", name: str = "r", flagged: bool = False
) -> None:
    body = b"%d" % number
    await store.commit(Append(name, sender, "d", mid(number), body, at_ms, MESSAGE, flagged))


async def found(store: Store, before_ms: int = 1_000, limit: int = 99) -> list[tuple[str, str, int]]:
    """Who has not received what; dealt with."""
    examined = await store.unreceived(appended_before_ms=before_ms, limit=limit)
    if examined.through > examined.after:
        await store.commit(NoteExamined(examined))
    return [(one.room, one.account, one.offset) for one in examined.unreceived]


async def test_everyone_but_the_sender_is_named_once_per_room(store: Store) -> None:
    await room(store)
    await room(store, "q")
    await say(store, 1, 10)
    await say(store, 2, 20)
    await say(store, 3, 30, sender="ben", name="q")
    examined = await store.unreceived(appended_before_ms=1_000, limit=99)
    assert examined.unreceived == (
        Unreceived("r", "ben", 1, 10),
        Unreceived("r", "cleo", 1, 10),
        Unreceived("q", "ann", 1, 30),
        Unreceived("q", "cleo", 1, 30),
    )
    await store.commit(NoteExamined(examined))
    assert await found(store) == []


async def test_only_what_is_old_enough_is_examined(store: Store) -> None:
    await room(store)
    await say(store, 1, 100)
    assert await found(store, before_ms=100) == []
    assert await found(store, before_ms=101) == [("r", "ben", 1), ("r", "cleo", 1)]


async def test_one_device_of_the_account_is_enough(store: Store) -> None:
    await room(store)
    await say(store, 1, 10)
    await store.commit(Ack("ben", "phone", "r", store.epoch, 1), Ack("ben", "laptop", "r", store.epoch, 0))
    assert await found(store) == [("r", "cleo", 1)]


async def test_nobody_is_named_again_before_they_have_received_the_first(store: Store) -> None:
    await room(store)
    await say(store, 1, 10)
    assert await found(store) == [("r", "ben", 1), ("r", "cleo", 1)]
    await say(store, 2, 20)
    assert await found(store) == []
    await store.commit(Ack("ben", "phone", "r", store.epoch, 2))
    await say(store, 3, 30)
    assert await found(store) == [("r", "ben", 3)]


async def test_what_the_server_wrote_does_not_count(store: Store) -> None:
    await room(store)
    await store.commit(Append("r", None, None, None, b"system", 10))
    assert await found(store) == []


async def test_who_came_or_went_since_is_not_named(store: Store) -> None:
    await room(store)
    await say(store, 1, 10)
    await store.commit(AddMember("r", "dan", "guest", 11), RemoveMember("r", "cleo"))
    assert await found(store) == [("r", "ben", 1)]


async def test_a_part_at_a_time(store: Store) -> None:
    await room(store)
    for number in range(1, 5):
        await say(store, number, number, sender="ann" if number % 2 else "ben")
    assert await found(store, limit=1) == [("r", "ben", 1), ("r", "cleo", 1)]
    assert await found(store, limit=2) == [("r", "ann", 2)]
    assert await found(store, limit=2) == []
    assert await store.unreceived(appended_before_ms=1_000, limit=2) == Examined(4, 4, ())


async def test_of_two_at_once_one_goes_on(store: Store) -> None:
    await room(store)
    await say(store, 1, 10)
    examined = await store.unreceived(appended_before_ms=1_000, limit=9)
    calls = [store.commit(NoteExamined(examined), put(name)) for name in ("a", "b")]
    first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert first == (Applied(), Applied())
    assert isinstance(second, Conflict)
    assert await store.delivery("b") is None


async def test_events_after_a_trim_are_examined_too(store: Store) -> None:
    await room(store)
    for number in (1, 2):
        await say(store, number, 10)
    await found(store)
    await store.commit(Ack("ben", "d", "r", store.epoch, 2), Trim("r", 2))
    await say(store, 3, 30)
    assert await found(store) == [("r", "ben", 3)]


async def test_what_is_flagged_goes_before_what_is_not(store: Store) -> None:
    await room(store)
    await say(store, 1, 10)
    await say(store, 2, 20, flagged=True)
    await say(store, 3, 30, flagged=True)
    examined = await store.unreceived(appended_before_ms=1_000, limit=99)
    assert examined.unreceived == (
        Unreceived("r", "ben", 2, 20, flagged=True),
        Unreceived("r", "cleo", 2, 20, flagged=True),
    )


async def test_what_is_flagged_is_named_although_another_was(store: Store) -> None:
    await room(store)
    await say(store, 1, 10)
    assert len(await found(store)) == 2
    await say(store, 2, 20, flagged=True)
    assert await found(store) == [("r", "ben", 2), ("r", "cleo", 2)]
    await say(store, 3, 30, flagged=True)
    await say(store, 4, 30)
    assert await found(store) == [], "and then neither"
    await store.commit(ClearFlag("r", 2, "cleo", 40), ClearFlag("r", 3, "cleo", 40))
    await say(store, 5, 50, flagged=True)
    assert await found(store) == [("r", "ben", 5), ("r", "cleo", 5)], "somebody has taken care of the others"


async def test_who_is_held_back_is_found_again_until_settled(store: Store) -> None:
    await room(store)
    await say(store, 1, 10)
    examined = await store.unreceived(appended_before_ms=1_000, limit=99)
    ben, cleo = examined.unreceived
    await store.commit(NoteExamined(examined, ((ben, 500), (cleo, 400))))
    assert await found(store) == []
    assert await store.held(until_ms=399, limit=9) == ()
    first = Held("r", "cleo", 1, 10, 400, received=False)
    second = Held("r", "ben", 1, 10, 500, received=False)
    assert await store.held(until_ms=500, limit=9) == (first, second)
    assert await store.held(until_ms=500, limit=1) == (first,)
    await store.commit(Ack("ben", "phone", "r", store.epoch, 1), SettleHeld(first, 600))
    received = Held("r", "ben", 1, 10, 500, received=True)
    assert await store.held(until_ms=599, limit=9) == (received,)
    with pytest.raises(Conflict):
        await store.commit(SettleHeld(first, None))
    await store.commit(SettleHeld(received, None))
    await store.commit(Trim("r", 1))
    (gone,) = await store.held(until_ms=600, limit=9)
    assert (gone.account, gone.received) == ("cleo", True)


async def test_nothing_to_examine(store: Store) -> None:
    assert await store.unreceived(appended_before_ms=1_000, limit=9) == Examined(0, 0, ())

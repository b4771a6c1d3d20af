"""What every Store does, whatever it is made of."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.errors import BeyondHead, Conflict, NotFound, StaleEpoch, StoreClosed, StoreError, Unstorable
from relay.rows import (
    Deadline,
    IdempotencyRecord,
    Member,
    Revocation,
    RoomHead,
    SentEvent,
    Session,
    SessionCursor,
    reset_reason,
)
from relay.store import Store
from relay.writes import (
    Ack,
    AddMember,
    Append,
    Appended,
    Applied,
    ClearDeadline,
    CreateRoom,
    ForgetIdempotency,
    MarkRead,
    Outcome,
    PutIdempotency,
    PutSession,
    Reinstate,
    RemoveMember,
    Revoke,
    SetDeadline,
    Trim,
    Write,
)
from tests.conformance.places import Place

BOTH = frozenset({"ann", "ben"})


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    await store.commit(*new_room("r"))
    yield store
    await store.close()


def new_room(room: str) -> tuple[Write, ...]:
    return (
        CreateRoom(room, b"settings of " + room.encode(), 1_000),
        AddMember(room, "ann", "therapist", 1_001),
        AddMember(room, "ben", "client", 1_002),
    )


def mid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def sent(
    number: int, *, room: str = "r", sender: str = "ann", device: str = "d", body: bytes = b""
) -> Append:
    return Append(room, sender, device, mid(number), body or b"body %d" % number, 2_000 + number)


async def append(store: Store, write: Append) -> Appended:
    (outcome,) = await store.commit(write)
    return outcome


# --- Rooms and members


async def test_room_has_an_empty_log(store: Store) -> None:
    room = await store.room("r")
    assert room is not None
    assert (room.room, room.body, room.created_ms) == ("r", b"settings of r", 1_000)
    assert room.log == RoomHead("r", store.epoch, head=0, lowest=1)
    assert await store.room("x") is None


async def test_room_can_be_created_once(store: Store) -> None:
    with pytest.raises(Conflict):
        await store.commit(CreateRoom("r", b"other", 9))
    room = await store.room("r")
    assert room is not None
    assert room.body == b"settings of r"


async def test_rooms_are_paged_by_id(store: Store) -> None:
    for name in ("q", "s", "t"):
        await store.commit(CreateRoom(name, b"", 1))
    first = await store.rooms(limit=3)
    assert [room.room for room in first] == ["q", "r", "s"]
    assert [room.room for room in await store.rooms(after="s", limit=3)] == ["t"]


async def test_members_and_their_rooms(store: Store) -> None:
    await store.commit(*new_room("q"))
    assert await store.members("r") == (Member("ann", "therapist", 1_001), Member("ben", "client", 1_002))
    assert await store.members("x") == ()
    assert [membership.room for membership in await store.rooms_of("ann", limit=9)] == ["q", "r"]
    assert [membership.room for membership in await store.rooms_of("ann", limit=1)] == ["q"]
    (membership,) = await store.rooms_of("ann", after="q", limit=9)
    assert (membership.role, membership.log, membership.read) == (
        "therapist",
        RoomHead("r", store.epoch, 0, 1),
        0,
    )
    assert await store.rooms_of("nobody", limit=9) == ()


async def test_adding_a_member_again_changes_the_role_only(store: Store) -> None:
    assert await store.commit(AddMember("r", "ben", "client", 5)) == (Applied(changed=False),)
    assert await store.commit(AddMember("r", "ben", "guest", 5)) == (Applied(),)
    assert (await store.members("r"))[1] == Member("ben", "guest", 1_002)


async def test_a_removed_member_is_gone_with_everything_of_theirs(store: Store) -> None:
    await store.commit(sent(1))
    await store.commit(Ack("ben", "d", "r", store.epoch, 1), MarkRead("ben", "r", store.epoch, 1))
    assert await store.commit(RemoveMember("r", "ben")) == (Applied(),)
    assert await store.commit(RemoveMember("r", "ben")) == (Applied(changed=False),)
    assert await store.cursors("ben", "d") == {}
    with pytest.raises(NotFound):
        await store.commit(sent(2, sender="ben"))
    assert (await append(store, sent(2))).audience == {"ann"}
    await store.commit(AddMember("r", "ben", "client", 9))
    (membership,) = await store.rooms_of("ben", limit=9)
    assert membership.read == 0


async def test_membership_of_an_unknown_room(store: Store) -> None:
    for write in (AddMember("x", "ann", "client", 1), RemoveMember("x", "ann")):
        with pytest.raises(NotFound):
            await store.commit(write)


# --- Appending


async def test_a_sent_event_is_found_by_who_sent_it(store: Store) -> None:
    await append(store, sent(1))
    await append(store, sent(2))
    assert await store.sent("ann", "d", mid(2)) == SentEvent("r", 2, b"body 2", 2_002)
    assert await store.sent("ann", "other", mid(2)) is None
    assert await store.sent("ben", "d", mid(2)) is None
    assert await store.sent("ann", "d", mid(3)) is None


async def test_offsets_are_gapless_per_room(store: Store) -> None:
    await store.commit(*new_room("q"))
    for number in range(1, 4):
        outcome = await append(store, sent(number))
        assert outcome == Appended(number, store.epoch, 2_000 + number, BOTH)
    assert (await append(store, sent(4, room="q"))).offset == 1
    assert await store.heads(["q", "r", "x"]) == {
        "q": RoomHead("q", store.epoch, 1, 1),
        "r": RoomHead("r", store.epoch, 3, 1),
    }


async def test_calls_at_the_same_time_are_applied_in_their_order(store: Store) -> None:
    outcomes = await asyncio.gather(*[append(store, sent(number)) for number in range(1, 301)])
    assert [outcome.offset for outcome in outcomes] == list(range(1, 301))
    page = await store.events("r", after=0, limit=1_000, max_bytes=1 << 20)
    assert [event.mid for event in page.events] == [mid(number) for number in range(1, 301)]


async def test_a_repeat_gives_the_first_result(store: Store) -> None:
    first = await append(store, sent(1))
    again = await append(store, sent(1))
    assert again == Appended(1, store.epoch, first.at_ms, BOTH, duplicate=True)
    assert (await store.heads(["r"]))["r"].head == 1


async def test_a_repeat_at_the_same_time_gives_the_first_result(store: Store) -> None:
    first, again, other = await asyncio.gather(
        append(store, sent(1)), append(store, sent(1)), append(store, sent(1, body=b"other"))
    )
    assert (first.offset, first.duplicate) == (1, False)
    assert (again.offset, again.duplicate, again.differs) == (1, True, False)
    assert (other.offset, other.duplicate, other.differs) == (1, True, True)


async def test_a_mid_belongs_to_its_device(store: Store) -> None:
    writes = [sent(1), sent(1, device="e"), sent(1, sender="ben")]
    assert [(await append(store, write)).offset for write in writes] == [1, 2, 3]


async def test_a_repeat_that_differs_writes_nothing(store: Store) -> None:
    await store.commit(*new_room("q"))
    await store.commit(sent(1))
    for write in (sent(1, body=b"other"), sent(1, room="q")):
        outcome = await append(store, write)
        assert (outcome.offset, outcome.duplicate, outcome.differs) == (1, True, True)
    assert {name: log.head for name, log in (await store.heads(["q", "r"])).items()} == {"q": 0, "r": 1}


async def test_a_repeat_into_a_room_one_is_not_in_tells_nothing(store: Store) -> None:
    await store.commit(CreateRoom("q", b"", 1))
    await store.commit(sent(1))
    for room in ("q", "x"):
        with pytest.raises(NotFound):
            await store.commit(sent(1, room=room))


async def test_a_repeat_after_leaving_the_room_is_still_answered(store: Store) -> None:
    await store.commit(sent(1, sender="ben"))
    await store.commit(RemoveMember("r", "ben"))
    assert (await append(store, sent(1, sender="ben"))).duplicate


async def test_not_a_member_and_no_such_room_are_one_answer(store: Store) -> None:
    answers = set()
    for write in (sent(1, sender="eve"), sent(1, room="x")):
        with pytest.raises(NotFound) as caught:
            await store.commit(write)
        answers.add((caught.value.name, str(caught.value)))
    assert len(answers) == 1


async def test_the_server_appends_without_being_a_member(store: Store) -> None:
    writes = [Append("r", None, None, None, b"system", 7)] * 2
    assert [(await append(store, write)).offset for write in writes] == [1, 2]
    page = await store.events("r", after=0, limit=9, max_bytes=99)
    assert [(event.sender, event.device, event.mid) for event in page.events] == [(None, None, None)] * 2
    with pytest.raises(NotFound):
        await store.commit(Append("x", None, None, None, b"system", 7))


def test_sender_device_and_mid_belong_together() -> None:
    for sender, device, number in (("ann", None, None), ("ann", "d", None), (None, None, mid(1))):
        with pytest.raises(ValueError, match="belong together"):
            Append("r", sender, device, number, b"", 0)
    with pytest.raises(ValueError, match="16 bytes"):
        Append("r", "ann", "d", b"short", b"", 0)


# --- Calls


async def test_a_call_is_applied_whole_or_not_at_all(store: Store) -> None:
    with pytest.raises(Conflict):
        await store.commit(*new_room("q"), sent(1, room="q"), sent(2), CreateRoom("r", b"", 1))
    assert await store.room("q") is None
    assert (await store.heads(["r"]))["r"].head == 0
    assert not (await append(store, sent(2))).duplicate


async def test_later_writes_of_a_call_see_earlier_ones(store: Store) -> None:
    outcomes = await store.commit(
        *new_room("q"),
        sent(1, room="q"),
        sent(1, room="q"),
        Ack("ann", "d", "q", store.epoch, 1),
        RemoveMember("q", "ben"),
        sent(2, room="q"),
    )
    assert [outcome.offset for outcome in outcomes if isinstance(outcome, Appended)] == [1, 1, 2]
    assert isinstance(outcomes[-1], Appended)
    assert outcomes[-1].audience == {"ann"}


async def test_a_call_that_fails_does_not_touch_the_others_of_its_time(store: Store) -> None:
    good = [store.commit(sent(number)) for number in range(1, 11)]
    bad = [
        store.commit(sent(99, sender="eve")),
        store.commit(sent(98), CreateRoom("r", b"", 1)),
        store.commit(Ack("ben", "d", "r", store.epoch, 999)),
        store.commit(AddMember("r", "lone \ud800", "client", 1)),
        store.commit(sent(97, room="lone \ud800")),
        store.commit(SetDeadline("x", "end", 1, 1)),
    ]
    mixed = [call for pair in zip(good, bad, strict=False) for call in pair] + good[len(bad) :]
    answers = await asyncio.gather(*mixed, return_exceptions=True)
    failed = [type(answer) for answer in answers if isinstance(answer, BaseException)]
    assert failed == [NotFound, Conflict, BeyondHead, Unstorable, Unstorable, NotFound]
    offsets = [answer[0].offset for answer in answers if isinstance(answer, tuple)]  # type: ignore[union-attr]  # appends only
    assert offsets == list(range(1, 11))
    page = await store.events("r", after=0, limit=99, max_bytes=1 << 20)
    assert [event.mid for event in page.events] == [mid(number) for number in range(1, 11)]


async def test_a_cancelled_caller_disturbs_nobody(store: Store) -> None:
    task = asyncio.create_task(append(store, sent(1)))
    other = asyncio.create_task(append(store, sent(2)))
    await asyncio.sleep(0)
    task.cancel()
    assert (await other).offset == 2
    assert (await append(store, sent(1))).duplicate


async def test_a_call_without_writes_does_nothing(store: Store) -> None:
    assert await store.commit() == ()


# --- Reading logs


async def test_events_come_back_as_they_were_written(store: Store) -> None:
    body = bytes(range(256)) * 400
    await store.commit(sent(1, body=body))
    page = await store.events("r", after=0, limit=9, max_bytes=1)
    (event,) = page.events
    assert (event.offset, event.sender, event.device, event.mid) == (1, "ann", "d", mid(1))
    assert (event.body, event.at_ms) == (body, 2_001)


async def test_pages_are_bounded_by_count_and_by_bytes(store: Store) -> None:
    await store.commit(*[sent(number, body=bytes(100)) for number in range(1, 11)])
    by_count = await store.events("r", after=2, limit=3, max_bytes=1 << 20)
    assert [event.offset for event in by_count.events] == [3, 4, 5]
    assert by_count.more
    by_bytes = await store.events("r", after=2, limit=99, max_bytes=250)
    assert [event.offset for event in by_bytes.events] == [3, 4]
    at_least_one = await store.events("r", after=8, limit=99, max_bytes=1)
    assert [event.offset for event in at_least_one.events] == [9]
    last = await store.events("r", after=8, limit=99, max_bytes=1 << 20)
    assert not last.more
    assert (await store.events("r", after=10, limit=99, max_bytes=1)).events == ()


async def test_reading_a_room_that_does_not_exist(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.events("x", after=0, limit=9, max_bytes=9)


async def test_trimming_keeps_offsets_and_frees_mids(store: Store) -> None:
    await store.commit(*[sent(number) for number in range(1, 6)])
    assert await store.commit(Trim("r", 3)) == (Applied(),)
    assert await store.commit(Trim("r", 2)) == (Applied(changed=False),)
    assert (await store.heads(["r"]))["r"] == RoomHead("r", store.epoch, head=5, lowest=4)
    page = await store.events("r", after=1, limit=9, max_bytes=99)
    assert page.events == ()
    assert reset_reason(page.log, store.epoch, 1) == "purged"
    assert (await store.events("r", after=3, limit=9, max_bytes=99)).events[0].offset == 4
    await store.commit(Trim("r", 5))
    assert (await append(store, sent(1))).offset == 6
    for room, through, error in (("r", 7, BeyondHead), ("x", 1, NotFound)):
        with pytest.raises(error):
            await store.commit(Trim(room, through))


async def test_trimming_among_other_calls(store: Store) -> None:
    await store.commit(sent(1))
    outcomes = await asyncio.gather(
        append(store, sent(2)), store.commit(Trim("r", 2)), append(store, sent(2)), append(store, sent(3))
    )
    assert [outcomes[0].offset, outcomes[2].offset, outcomes[3].offset] == [1 + 1, 3, 4]
    assert not outcomes[2].duplicate


# --- Cursors


async def test_a_cursor_moves_forward_only(store: Store) -> None:
    await store.commit(*[sent(number) for number in range(1, 6)])
    for offset in (3, 2, 3):
        await store.commit(Ack("ben", "d", "r", store.epoch, offset))
    await asyncio.gather(*[store.commit(Ack("ben", "e", "r", store.epoch, offset)) for offset in (1, 5, 4)])
    cursors = [await store.cursors("ben", device) for device in ("d", "e", "f")]
    assert [{room: cursor.offset for room, cursor in of.items()} for of in cursors] == [
        {"r": 3},
        {"r": 5},
        {},
    ]


async def test_read_marks_move_forward_only(store: Store) -> None:
    await store.commit(*[sent(number) for number in range(1, 6)])
    assert await store.commit(MarkRead("ben", "r", store.epoch, 3)) == (Applied(),)
    assert await store.commit(MarkRead("ben", "r", store.epoch, 2)) == (Applied(changed=False),)
    assert [membership.read for membership in await store.rooms_of("ben", limit=9)] == [3]
    assert [membership.read for membership in await store.rooms_of("ann", limit=9)] == [0]


async def test_cursors_stay_within_the_log(store: Store) -> None:
    await store.commit(sent(1))
    for room, epoch, offset, error in (
        ("r", store.epoch, 2, BeyondHead),
        ("r", store.epoch - 1, 1, StaleEpoch),
        ("x", store.epoch, 1, NotFound),
    ):
        for write in (Ack("ben", "d", room, epoch, offset), MarkRead("ben", room, epoch, offset)):
            with pytest.raises(error):
                await store.commit(write)
    with pytest.raises(NotFound):
        await store.commit(Ack("eve", "d", "r", store.epoch, 1))


# --- Sessions, deadlines, the rest


def a_session(number: int, *, version: int = 1, starts_ms: int = 0, room: str = "r") -> Session:
    return Session(
        f"s{number}", room, starts_ms, starts_ms + 60_000, "scheduled", version, b"body %d" % version
    )


async def test_sessions_change_by_compare_and_set(store: Store) -> None:
    await store.commit(PutSession(a_session(1), None))
    assert await store.session("s1") == a_session(1)
    await store.commit(PutSession(a_session(1, version=2), 1))
    assert await store.session("s1") == a_session(1, version=2)
    await store.commit(*new_room("q"))
    for write in (
        PutSession(a_session(1), None),
        PutSession(a_session(1, version=3), 1),
        PutSession(a_session(2, version=2), 1),
        PutSession(a_session(1, version=3, room="q"), 2),
    ):
        with pytest.raises(Conflict):
            await store.commit(write)
    with pytest.raises(NotFound):
        await store.commit(PutSession(a_session(2, room="x"), None))
    assert await store.session("s2") is None


async def test_of_two_changes_at_once_one_wins(store: Store) -> None:
    await store.commit(PutSession(a_session(1), None))
    calls = [
        store.commit(PutSession(a_session(1, version=2), 1), Append("r", None, None, None, b"fired", 1))
        for _ in range(5)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(answer, Conflict) for answer in answers] == [False, True, True, True, True]
    assert (await store.heads(["r"]))["r"].head == 1


async def test_sessions_of_a_room_are_paged_by_start(store: Store) -> None:
    await store.commit(*new_room("q"))
    starts = {1: 500, 2: 300, 3: 300, 4: -10}
    await store.commit(*[PutSession(a_session(number, starts_ms=at), None) for number, at in starts.items()])
    await store.commit(PutSession(a_session(5, room="q"), None))
    first = await store.sessions_of("r", limit=2)
    assert [session.id for session in first] == ["s4", "s2"]
    rest = await store.sessions_of("r", after=SessionCursor(first[-1].starts_ms, first[-1].id), limit=9)
    assert [session.id for session in rest] == ["s3", "s1"]
    assert await store.sessions_of("x", limit=9) == ()


async def test_deadlines_are_ordered_by_when_they_are_due(store: Store) -> None:
    await store.commit(PutSession(a_session(1), None), PutSession(a_session(2), None))
    await store.commit(SetDeadline("s1", "end", 900, 1), SetDeadline("s2", "end", 300, 1))
    await store.commit(SetDeadline("s1", "cue", 300, 1))
    due = [Deadline("s1", "cue", 300, 1), Deadline("s2", "end", 300, 1), Deadline("s1", "end", 900, 1)]
    assert list(await store.deadlines(due_before_ms=901, limit=9)) == due
    assert list(await store.deadlines(due_before_ms=900, limit=9)) == due[:2]
    assert list(await store.deadlines(due_before_ms=901, limit=1)) == due[:1]
    await store.commit(SetDeadline("s2", "end", 1_000, 2), ClearDeadline("s1", "cue"))
    assert await store.commit(ClearDeadline("s1", "cue")) == (Applied(changed=False),)
    moved = (due[2], Deadline("s2", "end", 1_000, 2))
    assert await store.deadlines(due_before_ms=1 << 60, limit=9) == moved
    with pytest.raises(NotFound):
        await store.commit(SetDeadline("x", "end", 1, 1))


async def test_an_answer_is_kept_once_per_key(store: Store) -> None:
    record = IdempotencyRecord("key", b"hash", b"response", 50)
    await store.commit(PutIdempotency(record))
    assert await store.idempotency("key") == record
    with pytest.raises(Conflict):
        await store.commit(CreateRoom("q", b"", 1), PutIdempotency(record))
    assert await store.room("q") is None
    assert await store.commit(ForgetIdempotency(before_ms=50)) == (Applied(changed=False),)
    assert await store.commit(ForgetIdempotency(before_ms=51)) == (Applied(),)
    assert await store.idempotency("key") is None


async def test_revocations_of_accounts_and_devices(store: Store) -> None:
    assert await store.revocation("ann", "d") is None
    assert await store.commit(Revoke("ann", "d", 5)) == (Applied(),)
    assert await store.commit(Revoke("ann", "d", 6)) == (Applied(changed=False),)
    assert await store.revocation("ann", "d") == Revocation("ann", "d", 5)
    assert await store.revocation("ann", "e") is None
    await store.commit(Revoke("ann", None, 7))
    assert await store.revocation("ann", "e") == Revocation("ann", None, 7)
    assert await store.commit(Reinstate("ann", None), Reinstate("ann", "d")) == (Applied(), Applied())
    assert await store.commit(Reinstate("ann", None)) == (Applied(changed=False),)
    assert await store.revocation("ann", "d") is None


async def test_statistics_count_what_was_done(store: Store) -> None:
    before = await store.statistics()
    await asyncio.gather(*[append(store, sent(number)) for number in (1, 2, 3, 3)])
    after = await store.statistics()
    assert after.appends - before.appends == 3
    assert after.commits - before.commits == 4
    assert after.batches - before.batches == 1
    assert after.waiting == 0
    assert after.size_bytes > 0


async def test_what_cannot_be_looked_up_is_an_error_of_ours(store: Store) -> None:
    for read in (store.room("lone \ud800"), store.heads(["lone \ud800"]), store.session("lone \ud800")):
        with pytest.raises(StoreError):
            await read


async def test_commits_without_a_task_are_answered_in_their_order(store: Store) -> None:
    answers: list[tuple[Outcome, ...] | StoreError] = []
    answered = asyncio.Event()

    def done(answer: tuple[Outcome, ...] | StoreError) -> None:
        answers.append(answer)
        if len(answers) == 4:
            answered.set()
        if len(answers) == 1:
            raise RuntimeError("what one caller runs into is not the trouble of the others")

    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    store.commit_soon(done, sent(1))
    store.commit_soon(done, sent(2, room="elsewhere"))
    store.commit_soon(done, sent(3), sent(4))
    store.commit_soon(done, sent(1))
    assert answers == []
    await answered.wait()
    first, missing, both, again = answers
    assert isinstance(missing, NotFound)
    assert [one.offset for answer in (first, both, again) for one in answer] == [1, 2, 3, 1]  # type: ignore[union-attr]
    assert len(complaints) == 1


# --- Opening and closing


async def test_everything_is_there_after_opening_again(place: Place) -> None:
    store = place.store()
    await store.open()
    epoch = store.epoch
    await store.commit(*new_room("r"))
    await store.commit(*[sent(number) for number in range(1, 4)])
    await store.commit(Ack("ben", "d", "r", epoch, 2))
    await store.close()

    store = place.store()
    await store.open()
    assert store.epoch == epoch
    assert (await append(store, sent(3))).duplicate
    assert (await append(store, sent(4))).offset == 4
    assert (await store.cursors("ben", "d"))["r"].offset == 2
    await store.close()


async def test_closing_finishes_what_was_taken(place: Place) -> None:
    store = place.store()
    await store.open()
    await store.commit(*new_room("r"))
    calls = [asyncio.create_task(append(store, sent(number))) for number in range(1, 101)]
    await asyncio.sleep(0)
    await store.close()
    assert [call.result().offset for call in calls] == list(range(1, 101))


async def test_a_store_that_is_not_open_says_so(place: Place) -> None:
    store = place.store()
    for _ in range(2):
        for call in (store.commit(sent(1)), store.room("r"), store.statistics()):
            with pytest.raises(StoreClosed):
                await call
        await store.open()
        await store.close()
        await store.close()

"""Sessions on a real store: each change with its event and its deadlines, whoever else is at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from protocol.fields import Role
from protocol.sessions import SessionUrgent
from relay.cluster import Grave
from relay.errors import StoreFull
from relay.rows import IdempotencyRecord
from relay.writes import Outcome, PutIdempotency, PutSession, Write
from signaling.caller import Caller
from signaling.sessions.commands import Agreed
from tests.signaling.sessions_kit import MINUTE, HandClock, Kit, person

ANNA, BEN, CLEO = person("anna", "therapist"), person("ben", "client"), person("cleo", "guest")


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with Kit(tmp_path / "store.db") as kit:
        await kit.room()
        yield kit


async def refused(asked: object) -> ErrorKind:
    with pytest.raises(ProtocolError) as refusal:
        await asked  # type: ignore[misc]
    return refusal.value.kind


async def due(kit: Kit) -> dict[str, int]:
    rows = await kit.store.deadlines(due_before_ms=1 << 52, limit=100)
    return {row.kind: row.due_ms - kit.clock.ms for row in rows}


async def test_a_session_from_its_schedule_to_its_end(kit: Kit) -> None:
    await kit.scheduled(in_ms=20 * MINUTE)
    assert await due(kit) == {"window_opened": 10 * MINUTE}
    assert await refused(kit.sessions.join(ANNA, "s")) is errors.SESSION_NOT_OPEN

    kit.clock.wait_ms(10 * MINUTE)
    assert await kit.fire_due() == [None]
    assert await due(kit) == {"agreed_end": 55 * MINUTE}

    joined = await kit.sessions.join(ANNA, "s")
    assert (joined.state, joined.present) == ("open", ("anna",))
    assert (await kit.sessions.join(BEN, "s")).state == "live"
    assert await due(kit) == {"cap": 55 * MINUTE}

    kit.clock.wait_ms(55 * MINUTE + 250)
    assert await kit.fire_due() == [None]
    assert await due(kit) == {}
    assert await kit.changes() == ["scheduled", "opened", "live", "ended"]
    end = (await kit.log())[-1]
    assert (end.reason, end.due_ms) == ("completed", kit.clock.ms - 250)
    assert (await kit.sessions.get(ANNA, "s")).ended_ms == kit.clock.ms - 250
    assert kit.told.media_cut == ["s"]
    assert await refused(kit.sessions.join(ANNA, "s")) is errors.SESSION_OVER


async def test_those_inside_are_told_of_changes_and_of_the_time(kit: Kit) -> None:
    await kit.scheduled(invited=("anna", "ben"))
    await kit.sessions.join(ANNA, "s")
    await kit.sessions.join(ANNA, "s")
    assert [told for told in kit.told.countdowns() if told[0]] == [(["anna"], "open")] * 2
    kit.told.signals.clear()
    kit.clock.wait_ms(MINUTE - 1)
    await kit.sessions.tick()
    assert kit.told.signals == []
    kit.clock.wait_ms(1)
    await kit.sessions.tick()
    await kit.sessions.tick()
    assert kit.told.countdowns() == [(["anna"], "open")]
    await kit.sessions.stop("s")
    kit.told.signals.clear()
    kit.clock.wait_ms(10 * MINUTE)
    await kit.sessions.tick()
    assert kit.told.signals == []


@pytest.mark.parametrize(
    "caller",
    [
        person("zoe", "therapist"),
        person("cleo", "guest"),
        person("anna", "therapist", room="another"),
    ],
    ids=["no member", "not invited", "token for another room"],
)
async def test_to_those_who_are_not_invited_it_does_not_exist(kit: Kit, caller: Caller) -> None:
    await kit.scheduled(invited=() if caller.account == "zoe" else ("anna", "ben"))
    for ask in (kit.sessions.get, kit.sessions.join, kit.sessions.leave, kit.end, kit.sessions.joined):
        with pytest.raises(ProtocolError) as real:
            await ask(caller, "s")
        with pytest.raises(ProtocolError) as none:
            await ask(caller, "no-such")
        assert (real.value.kind, real.value.detail) == (none.value.kind, none.value.detail)
        assert real.value.kind is errors.NO_SUCH_SESSION


async def test_a_token_for_one_session_does_not_reach_another(kit: Kit) -> None:
    await kit.scheduled()
    await kit.scheduled("t")
    caller = person("anna", "therapist", session="t")
    assert await refused(kit.sessions.join(caller, "s")) is errors.TOKEN_SCOPE
    assert (await kit.sessions.join(caller, "t")).present == ("anna",)


async def test_only_a_therapist_of_the_room_ends_a_session(kit: Kit) -> None:
    await kit.scheduled()
    await kit.live()
    assert await refused(kit.end(BEN, "s")) is errors.FORBIDDEN
    assert await refused(kit.end(person("ben", "therapist"), "s")) is errors.FORBIDDEN
    assert await refused(kit.end(person("anna", "guest"), "s")) is errors.FORBIDDEN
    ended = await kit.end(ANNA, "s")
    assert (ended.state, ended.reason) == ("ended", "left")
    assert await refused(kit.end(ANNA, "s")) is errors.SESSION_OVER


async def test_without_a_connection_nobody_joins(kit: Kit) -> None:
    await kit.scheduled()
    assert await refused(kit.sessions.join(person("anna", "therapist", None), "s")) is errors.FORBIDDEN


async def test_a_closed_connection_is_an_absence_and_leaving_after_the_grace(kit: Kit) -> None:
    await kit.scheduled()
    await kit.live()
    await kit.sessions.connection_closed(BEN)
    assert await due(kit) == {"absence": 90_000, "cap": 45 * MINUTE}
    assert (await kit.sessions.get(ANNA, "s")).present == ("anna", "ben")
    assert await refused(kit.sessions.joined(BEN, "s")) is errors.NOT_JOINED
    await kit.sessions.join(person("ben", "client", "ben-2"), "s")
    assert await due(kit) == {"cap": 45 * MINUTE}
    await kit.sessions.connection_closed(person("ben", "client", "ben-2"))
    assert kit.told.media_cut == []
    kit.clock.wait_ms(90_000)
    await kit.fire_due()
    assert kit.told.media_cut == ["s"]
    assert (await kit.sessions.find("s")).present == ("anna",)


async def test_a_connection_closed_for_good_leaves_at_once(kit: Kit) -> None:
    await kit.scheduled()
    await kit.live()
    await kit.sessions.connection_closed(BEN, for_good=True)
    assert (await kit.sessions.get(ANNA, "s")).present == ("anna",)
    assert kit.told.media_cut == ["s"]


class Held:
    """A ledger that waits before it commits."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.committing, self.go_on = asyncio.Event(), asyncio.Event()
        kit.changes_made._ledger = self

    async def commit(self, *writes: Write) -> tuple[Outcome, ...]:
        self.committing.set()
        await self.go_on.wait()
        return await self._kit.rooms.commit(*writes)


async def test_a_connection_that_closes_while_it_joins_does_not_stay(kit: Kit) -> None:
    await kit.scheduled()
    held = Held(kit)
    joining = asyncio.create_task(kit.sessions.join(BEN, "s"))
    await held.committing.wait()
    await kit.sessions.connection_closed(BEN)
    held.go_on.set()
    await joining
    assert "absence" in await due(kit)


async def test_who_is_removed_from_the_room_while_joining_does_not_stay(kit: Kit) -> None:
    await kit.scheduled()
    held = Held(kit)
    joining = asyncio.create_task(kit.sessions.join(BEN, "s"))
    await held.committing.wait()
    await kit.rooms.remove_member("r", "ben")
    await kit.sessions.evict("ben", "r")
    held.go_on.set()
    assert await refused(joining) is errors.NO_SUCH_SESSION
    assert (await kit.sessions.find("s")).present == ()


async def test_those_who_never_joined_are_untouched_when_a_connection_closes(kit: Kit) -> None:
    await kit.scheduled()
    await kit.live()
    before = await kit.store.session("s")
    await kit.sessions.connection_closed(CLEO)
    await kit.sessions.leave(CLEO, "s")
    assert await kit.store.session("s") == before


async def test_many_at_once_are_decided_one_after_another(kit: Kit) -> None:
    await kit.scheduled()
    roles: dict[str, Role] = {"anna": "therapist", "ben": "client", "cleo": "guest"}
    everyone = [person(who, role, f"{who}-{n}") for who, role in roles.items() for n in range(3)]
    await asyncio.gather(*(kit.sessions.join(one, "s") for one in everyone))
    assert (await kit.changes()).count("live") == 1
    assert sorted((await kit.sessions.find("s")).present) == ["anna", "ben", "cleo"]
    await asyncio.gather(*(kit.sessions.leave(one, "s") for one in everyone))
    assert (await kit.sessions.find("s")).present == ()


async def test_a_deadline_fires_once_however_often_it_is_tried(kit: Kit) -> None:
    await kit.scheduled(length_ms=MINUTE)
    await kit.live()
    kit.clock.wait_ms(MINUTE)
    (deadline,) = await kit.store.deadlines(due_before_ms=kit.clock.ms + 1, limit=10)
    await asyncio.gather(*(kit.sessions.fire([deadline]) for _ in range(10)))
    assert (await kit.changes()).count("ended") == 1
    assert len(kit.told.media_cut) == 1


async def test_a_stale_deadline_changes_nothing(kit: Kit) -> None:
    await kit.scheduled(in_ms=20 * MINUTE)
    (deadline,) = await kit.store.deadlines(due_before_ms=1 << 52, limit=10)
    await kit.sessions.stop("s")
    kit.clock.wait_ms(30 * MINUTE)
    assert await kit.sessions.fire([deadline]) == (None,)
    assert await kit.changes() == ["scheduled", "cancelled"]


async def test_deadlines_of_many_sessions_are_committed_in_their_order(kit: Kit) -> None:
    for n in range(20):
        await kit.scheduled(f"s{n:02}", in_ms=-n, length_ms=MINUTE)
    kit.clock.wait_ms(2 * MINUTE)
    due = await kit.store.deadlines(due_before_ms=kit.clock.ms, limit=100)
    assert await kit.sessions.fire(due) == (None,) * 20
    ends = [body for body in await kit.log() if body.change == "no_show"]
    assert [body.due_ms for body in ends] == [deadline.due_ms for deadline in due]


async def test_one_broken_session_does_not_hold_up_the_others(kit: Kit) -> None:
    await kit.scheduled("broken", length_ms=MINUTE)
    await kit.scheduled("good", length_ms=MINUTE)
    row = await kit.store.session("broken")
    assert row is not None
    await kit.store.commit(PutSession(msgspec.structs.replace(row, body=b"\xc1"), row.version))
    kit.clock.wait_ms(MINUTE)
    due = await kit.store.deadlines(due_before_ms=kit.clock.ms + 1, limit=10)
    failures = await kit.sessions.fire(due)
    assert [failure is None for failure in failures] == [False, True]
    await kit.scheduled("running")
    await kit.live("running")
    kit.clock.wait_ms(1)
    await kit.sessions.node_died(Grave("dead", kit.clock.ms, ""))
    assert "absence" in {row.kind for row in await kit.store.deadlines(due_before_ms=1 << 52, limit=10)}


async def test_after_a_restart_everyone_has_been_absent_since_the_process_was_last_alive(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    async with Kit(tmp_path / "store.db", clock) as kit:
        await kit.room()
        await kit.scheduled("short", length_ms=3 * MINUTE)
        await kit.scheduled("long")
        await kit.scheduled("later", in_ms=60 * MINUTE)
        await kit.live("short")
        await kit.live("long")
        clock.wait_ms(2 * MINUTE)
        died_ms = clock.ms
    clock.wait_ms(MINUTE + 1)
    async with Kit(tmp_path / "store.db", clock) as kit:
        await kit.sessions.node_died(Grave("dead", died_ms, ""))
        await kit.fire_due()
        end = (await kit.log())[-1]
        assert (end.session, end.change, end.due_ms) == ("short", "ended", clock.ms - 1)
        assert (await kit.sessions.find("short")).segments[-1].ends_ms == died_ms
        assert (await kit.sessions.find("long")).present == ("anna", "ben")
        assert {one.absent_ms for one in (await kit.sessions.find("long")).participants} == {died_ms}
        await kit.sessions.join(ANNA, "long")
        clock.wait_ms(90_000)
        await kit.fire_due()
        long = await kit.sessions.find("long")
        assert long.present == ("anna",)
        assert [(one.ends_ms, one.present) for one in long.segments[-2:]] == [
            (died_ms, ("anna", "ben")),
            (None, ("anna",)),
        ]


async def test_a_clock_that_was_set_back_between_processes_keeps_nobody_in(tmp_path: Path) -> None:
    clock = HandClock()
    async with Kit(tmp_path / "store.db", clock) as kit:
        await kit.room()
        await kit.scheduled()
        await kit.live()
        joined_ms = clock.ms
        clock.wait_ms(30 * MINUTE)
        died_ms = clock.ms
    clock.wait_ms(-20 * MINUTE)
    async with Kit(tmp_path / "store.db", clock) as kit:
        await kit.sessions.node_died(Grave("dead", died_ms, ""))
        assert {one.absent_ms for one in (await kit.sessions.find("s")).participants} == {clock.ms}
        clock.wait_ms(90_000)
        await kit.fire_due()
        session = await kit.sessions.find("s")
        assert session.present == ()
        assert [(one.starts_ms, one.ends_ms) for one in session.segments] == [
            (joined_ms, joined_ms + 10 * MINUTE)
        ]


async def test_an_urgent_session_without_deadlines_is_found_after_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    async with Kit(tmp_path / "store.db", clock) as kit:
        await kit.room()
        await kit.scheduled(length_ms=MINUTE)
        await kit.live()
        await kit.sessions.perform(BEN, SessionUrgent(1, "s", True))
        clock.wait_ms(2 * MINUTE)
        assert await due(kit) == {}
    async with Kit(tmp_path / "store.db", clock) as kit:
        await kit.sessions.node_died(Grave("dead", 0, ""))
        assert "absence" in await due(kit)


async def test_an_account_is_evicted_from_the_sessions_of_a_room_only(kit: Kit) -> None:
    await kit.room("other")
    await kit.scheduled()
    await kit.scheduled("elsewhere", room="other")
    await kit.live()
    await kit.live("elsewhere")
    await kit.sessions.evict("ben", "r")
    assert (await kit.sessions.find("s")).present == ("anna",)
    assert (await kit.sessions.find("elsewhere")).present == ("anna", "ben")
    assert kit.told.media_cut == ["s"]


async def test_creating_is_one_step_with_what_goes_with_it(kit: Kit) -> None:
    now_ms = kit.clock.ms
    record = IdempotencyRecord("key", b"", b"", now_ms)
    agreed = Agreed("s", "r", now_ms, MINUTE, "chat")
    await kit.sessions.create(agreed, lambda _: (PutIdempotency(record),))
    assert await kit.store.idempotency("key") == record
    again = Agreed("t", "r", now_ms, MINUTE, "chat")
    kind = await refused(kit.sessions.create(again, lambda _: (PutIdempotency(record),)))
    assert kind is errors.ALREADY_EXISTS
    assert await kit.store.session("t") is None


async def test_what_cannot_be_created(kit: Kit) -> None:
    await kit.scheduled()
    assert await refused(kit.scheduled()) is errors.ALREADY_EXISTS
    assert await refused(kit.scheduled("t", room="no")) is errors.NO_SUCH_ROOM
    assert await refused(kit.scheduled("t", invited=("anna", "zoe"))) is errors.NO_SUCH_MEMBER


async def test_a_full_disk_is_told_and_leaves_the_session_as_it_was(kit: Kit) -> None:
    await kit.scheduled()

    class Full:
        async def commit(self, *writes: Write) -> tuple[Outcome, ...]:
            raise StoreFull

    ledger, kit.changes_made._ledger = kit.changes_made._ledger, Full()
    with pytest.raises(StoreFull):
        await kit.sessions.join(ANNA, "s")
    kit.changes_made._ledger = ledger
    assert (await kit.sessions.join(ANNA, "s")).present == ("anna",)


async def test_an_absence_that_the_store_does_not_take_is_noted_later(kit: Kit) -> None:
    await kit.scheduled()
    await kit.live()

    class Full:
        async def commit(self, *writes: Write) -> tuple[Outcome, ...]:
            raise StoreFull

    ledger, kit.changes_made._ledger = kit.changes_made._ledger, Full()
    await kit.sessions.connection_closed(BEN)
    await kit.sessions.tick()
    kit.changes_made._ledger = ledger
    assert "absence" not in await due(kit)
    await kit.sessions.tick()
    assert "absence" in await due(kit)

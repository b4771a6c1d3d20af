"""What commands and the clock do to a session: examples, then random histories."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol import errors
from protocol.errors import ProtocolError
from protocol.events import SessionBody
from protocol.fields import Role
from signaling.sessions.commands import (
    Agreed,
    Announce,
    CloseMedia,
    Command,
    Decision,
    Drop,
    End,
    Join,
    Leave,
    Policy,
    Rehost,
    RemoveMedia,
    Stop,
)
from signaling.sessions.core import advance, deadlines, decide, schedule
from signaling.sessions.session import Session, countdown, from_row, to_row, view

MINUTE = 60_000
START = 1_800_000_000_000
POLICY = Policy(
    join_window_ms=10 * MINUTE,
    grace_ms=90_000,
    overrun_ms=0,
    capacity=3,
    min_length_ms=MINUTE,
    max_length_ms=240 * MINUTE,
    max_ahead_ms=400 * 1440 * MINUTE,
    late_start_ms=MINUTE,
)
AGREED = Agreed("s1", "r1", START, 45 * MINUTE, "video")
OPENS, END = START - 10 * MINUTE, START + 45 * MINUTE

THERAPIST = Join("anna", "therapist", "c1")
CLIENT = Join("ben", "client", "c2")


def scheduled(policy: Policy = POLICY, now_ms: int = OPENS - MINUTE) -> Session:
    return schedule(AGREED, policy, now_ms).session


def after(session: Session, *commands: tuple[Command, int]) -> Session:
    for command, now_ms in commands:
        session = decide(session, command, now_ms).session
    return session


def live(policy: Policy = POLICY) -> Session:
    return after(scheduled(policy), (THERAPIST, OPENS), (CLIENT, START))


def changes(decision: Decision) -> list[str]:
    return [event.change for event in decision.events]


def refused(session: Session, command: Command, now_ms: int) -> ProtocolError:
    with pytest.raises(ProtocolError) as refusal:
        decide(session, command, now_ms)
    return refusal.value


class TestScheduling:
    """A new session."""

    def test_begins_scheduled_and_is_told(self) -> None:
        decision = schedule(AGREED, POLICY, OPENS - MINUTE)
        assert changes(decision) == ["scheduled"]
        assert decision.session.state == "scheduled"
        assert (decision.session.opens_ms, decision.session.agreed_end_ms) == (OPENS, END)
        assert decision.session.cap_ms == END
        assert deadlines(decision.session) == {"window_opened": OPENS}

    def test_is_open_at_once_within_its_window(self) -> None:
        decision = schedule(AGREED, POLICY, START)
        assert changes(decision) == ["scheduled", "opened"]
        assert decision.events[1].due_ms == OPENS

    @pytest.mark.parametrize(
        ("starts_ms", "length_ms", "problem"),
        [
            (START, 0, "1 to 240 minutes"),
            (START, 59_999, "1 to 240 minutes"),
            (START, 7 * 1440 * MINUTE, "1 to 240 minutes"),
            (START - MINUTE - 1, 45 * MINUTE, "past"),
            (START + 401 * 1440 * MINUTE, 45 * MINUTE, "400 days"),
        ],
    )
    def test_refuses_impossible_times(self, starts_ms: int, length_ms: int, problem: str) -> None:
        agreed = dataclasses.replace(AGREED, starts_ms=starts_ms, length_ms=length_ms)
        with pytest.raises(ProtocolError) as refusal:
            schedule(agreed, POLICY, START)
        assert refusal.value.kind is errors.SESSION_TIMES
        assert problem in refusal.value.detail


class TestJoining:
    """Coming in."""

    def test_is_refused_before_the_window_with_the_opening_time(self) -> None:
        refusal = refused(scheduled(), THERAPIST, OPENS - 1)
        assert refusal.kind is errors.SESSION_NOT_OPEN
        assert refusal.retry_after_ms == 1
        assert "2027-01-15T07:50:00+00:00" in refusal.detail

    def test_works_from_the_first_millisecond_of_the_window(self) -> None:
        decision = decide(scheduled(), THERAPIST, OPENS)
        assert changes(decision) == ["opened", "joined"]
        assert decision.session.present == ("anna",)

    def test_is_refused_from_the_agreed_end(self) -> None:
        assert decide(live(), Join("cleo", "guest", "c3"), END - 1).session.state == "live"
        assert refused(live(), Join("cleo", "guest", "c3"), END).kind is errors.SESSION_OVER

    def test_makes_it_live_when_a_therapist_and_a_client_are_there(self) -> None:
        waiting = after(scheduled(), (CLIENT, START))
        assert waiting.state == "open"
        decision = decide(waiting, THERAPIST, START + 5)
        assert changes(decision) == ["joined", "live"]
        assert decision.session.live_ms == START + 5

    def test_two_of_the_same_role_do_not(self) -> None:
        assert after(scheduled(), (CLIENT, START), (Join("b2", "client", "c9"), START)).state == "open"

    def test_one_who_is_only_bridged_does_not(self) -> None:
        gone = after(scheduled(), (THERAPIST, START), (Drop(frozenset({"c1"})), START))
        assert after(gone, (CLIENT, START + 1)).state == "open"
        assert after(gone, (CLIENT, START + 1), (Join("anna", "therapist", "c3"), START + 2)).state == "live"

    def test_again_with_the_same_connection_changes_nothing_but_answers(self) -> None:
        session = live()
        decision = decide(session, CLIENT, START + 1)
        assert decision == Decision(session, (), (Announce(),))

    def test_with_a_second_device_is_no_event(self) -> None:
        decision = decide(live(), Join("ben", "client", "c7"), START + 1)
        assert changes(decision) == []
        assert decision.session.present == ("anna", "ben")

    def test_is_refused_when_it_is_full_except_for_those_in_it(self) -> None:
        full = after(live(), (Join("cleo", "guest", "c3"), START))
        assert refused(full, Join("dan", "guest", "c4"), START).kind is errors.SESSION_FULL
        assert decide(full, Join("cleo", "guest", "c5"), START).session.present == full.present


class TestLeavingAndAbsence:
    """Going out, and being gone without a word."""

    def test_leaving_is_at_once(self) -> None:
        decision = decide(live(), Leave("ben", "c2"), START + 1)
        assert changes(decision) == ["left"]
        assert decision.effects == (RemoveMedia("ben"), Announce())
        assert decision.session.state == "live"

    def test_leaving_with_one_of_two_devices_is_not(self) -> None:
        both = after(live(), (Join("ben", "client", "c7"), START))
        decision = decide(both, Leave("ben", "c2"), START)
        assert (changes(decision), decision.effects) == ([], ())
        assert changes(decide(decision.session, Leave("ben", "c7"), START)) == ["left"]

    def test_leaving_altogether_takes_every_device(self) -> None:
        both = after(live(), (Join("ben", "client", "c7"), START))
        assert decide(both, Leave("ben", None), START).session.present == ("anna",)

    def test_leaving_what_one_is_not_in_changes_nothing(self) -> None:
        assert decide(live(), Leave("zoe", "c2"), START).session == live()
        assert decide(live(), Leave("ben", "c1"), START).session == live()

    def test_a_dropped_connection_is_bridged(self) -> None:
        dropped = decide(live(), Drop(frozenset({"c2"})), START + 10)
        assert (changes(dropped), dropped.effects) == ([], ())
        assert dropped.session.present == ("anna", "ben")
        assert deadlines(dropped.session)["absence"] == START + 10 + 90_000
        back = decide(dropped.session, Join("ben", "client", "c9"), START + 10 + 89_999)
        assert changes(back) == []
        assert "absence" not in deadlines(back.session)

    def test_an_absence_as_long_as_the_grace_is_leaving(self) -> None:
        dropped = decide(live(), Drop(frozenset({"c2"})), START + 10).session
        decision = advance(dropped, START + 10 + 90_000)
        assert changes(decision) == ["left"]
        assert decision.events[0].due_ms == START + 10 + 90_000
        assert decision.effects == (RemoveMedia("ben"), Announce())

    def test_each_absence_has_its_own_grace(self) -> None:
        first = after(live(), (Drop(frozenset({"c2"})), START))
        both = after(first, (Drop(frozenset({"c1"})), START + 30_000))
        decision = advance(both, START + 90_000)
        assert decision.session.present == ("anna",)
        assert deadlines(decision.session)["absence"] == START + 30_000 + 90_000
        assert advance(both, END - 1).session.present == ()

    def test_the_other_device_keeps_one_in(self) -> None:
        both = after(live(), (Join("ben", "client", "c7"), START), (Drop(frozenset({"c2"})), START))
        assert "absence" not in deadlines(both)

    def test_the_state_goes_on_when_everyone_is_gone(self) -> None:
        empty = after(live(), (Leave("ben", None), START), (Leave("anna", None), START))
        assert empty.state == "live"
        assert changes(advance(empty, END)) == ["ended"]


class TestEnding:
    """The end, by the clock and by people."""

    def test_at_the_agreed_end_it_is_completed(self) -> None:
        assert advance(live(), END - 1) == Decision(live())
        decision = advance(live(), END + 5_000)
        assert changes(decision) == ["ended"]
        assert (decision.session.reason, decision.session.ended_ms) == ("completed", END)
        assert decision.events[0].due_ms == END
        assert decision.effects == (CloseMedia(), Announce())
        assert decision.session.present == ()

    def test_what_was_never_live_is_a_no_show(self) -> None:
        decision = advance(after(scheduled(), (THERAPIST, START)), END)
        assert changes(decision) == ["no_show"]
        assert (decision.session.state, decision.session.reason) == ("no_show", "no_show")

    def test_with_an_overrun_it_goes_on_up_to_the_cap(self) -> None:
        session = live(dataclasses.replace(POLICY, overrun_ms=15 * MINUTE))
        over = advance(session, END).session
        assert (over.state, over.present) == ("overrun", ("anna", "ben"))
        assert advance(over, END + 15 * MINUTE - 1).session == over
        capped = advance(over, END + 15 * MINUTE).session
        assert (capped.state, capped.reason) == ("ended", "cap")
        assert decide(over, End("anna"), END + 1).session.reason == "completed"

    def test_by_the_therapist(self) -> None:
        decision = decide(live(), End("anna"), START + 7)
        assert (decision.session.reason, decision.session.ended_ms) == ("left", START + 7)
        assert decision.events[0].account == "anna"
        assert decide(scheduled(), End("anna"), START).session.state == "cancelled"
        assert refused(scheduled(), End("anna"), OPENS - 1).kind is errors.SESSION_NOT_OPEN
        assert refused(live(), End("anna"), END).kind is errors.SESSION_OVER

    def test_by_a_back_end(self) -> None:
        assert decide(live(), Stop(), START).session.reason == "operator"
        cancelled = decide(scheduled(), Stop(), OPENS - MINUTE).session
        assert (cancelled.state, cancelled.reason) == ("cancelled", "cancelled")
        assert decide(cancelled, Stop(), START) == Decision(cancelled)

    def test_overdue_deadlines_come_first_and_in_order(self) -> None:
        decision = decide(scheduled(), Stop(), END + 1)
        assert changes(decision) == ["opened", "no_show"]
        assert [event.due_ms for event in decision.events] == [OPENS, END]


def test_media_moves_only_while_the_session_can_be_joined() -> None:
    assert decide(live(), Rehost(), START).session.generation == 1
    assert refused(live(), Rehost(), END).kind is errors.SESSION_OVER
    assert refused(scheduled(), Rehost(), OPENS - 1).kind is errors.SESSION_NOT_OPEN


def test_what_people_are_shown() -> None:
    session = live()
    shown, told = view(session, START + 1), countdown(session, START + 1)
    assert (shown.state, shown.present, shown.live_ms) == ("live", ("anna", "ben"), START)
    assert (told.agreed_end_ms, told.cap_ms, told.server_now_ms) == (END, END, START + 1)


ROLES: dict[str, Role] = {"anna": "therapist", "ben": "client", "cleo": "guest", "dan": "client"}
accounts = st.sampled_from(sorted(ROLES))
devices = st.integers(0, 1)


class Histories(RuleBasedStateMachine):
    """Whatever happens in whatever order: one end, nothing early, nothing stuck, nothing lost in storage."""

    @initialize(
        length=st.integers(MINUTE, 5 * MINUTE),
        overrun=st.sampled_from([0, MINUTE]),
        grace=st.sampled_from([0, 1, 90_000]),
    )
    def begin(self, length: int, overrun: int, grace: int) -> None:
        policy = dataclasses.replace(POLICY, overrun_ms=overrun, grace_ms=grace)
        self.now = OPENS - 30_000
        decision = schedule(dataclasses.replace(AGREED, length_ms=length), policy, self.now)
        self.session = decision.session
        self.events: list[SessionBody] = list(decision.events)

    def take(self, decision: Decision, until: int) -> None:
        assert all(event.due_ms is None or event.due_ms <= until for event in decision.events)
        self.session = decision.session
        self.events += decision.events

    def command(self, command: Command) -> None:
        try:
            self.take(decide(self.session, command, self.now), self.now)
        except ProtocolError:
            self.take(advance(self.session, self.now), self.now)

    @rule(milliseconds=st.one_of(st.integers(0, 1000), st.integers(0, 3 * MINUTE)))
    def wait(self, milliseconds: int) -> None:
        """The clock fires what is due, perhaps late, perhaps in two turns."""
        before, self.now = self.session, self.now + milliseconds
        halfway = advance(before, self.now - milliseconds // 2)
        whole = advance(before, self.now)
        assert halfway.then(advance(halfway.session, self.now)) == whole
        self.take(whole, self.now)

    @rule(milliseconds=st.integers(0, 20 * MINUTE))
    def sleep_through(self, milliseconds: int) -> None:
        """Time passes and nobody fires anything: the server is down."""
        self.now += milliseconds

    @rule(account=accounts, device=devices)
    def join(self, account: str, device: int) -> None:
        self.command(Join(account, ROLES[account], f"{account}{device}"))

    @rule(account=accounts, device=st.one_of(st.none(), devices))
    def leave(self, account: str, device: int | None) -> None:
        self.command(Leave(account, None if device is None else f"{account}{device}"))

    @rule(gone=st.frozensets(st.builds(lambda account, device: f"{account}{device}", accounts, devices)))
    def drop(self, gone: frozenset[str]) -> None:
        self.command(Drop(gone))

    @rule()
    def rehost(self) -> None:
        self.command(Rehost())

    @precondition(lambda self: self.now > OPENS)
    @rule(command=st.sampled_from([End("anna"), Stop()]))
    def end(self, command: Command) -> None:
        self.command(command)

    @invariant()
    def one_end(self) -> None:
        ends = [event for event in self.events if event.change in {"ended", "cancelled", "no_show"}]
        assert len(ends) == (1 if self.session.over else 0)
        if ends:
            assert self.events[-1] is ends[0]
            assert self.session.reason == ends[0].reason
            assert self.session.present == ()
            assert self.session.ended_ms is not None
            assert self.session.ended_ms <= min(self.now, self.session.cap_ms)

    @invariant()
    def there_is_always_a_next_deadline_until_the_end(self) -> None:
        assert (deadlines(self.session) == {}) == self.session.over

    @invariant()
    def events_tell_who_is_there(self) -> None:
        there: list[str] = []
        for event in self.events:
            if event.change == "joined":
                there.append(str(event.account))
            elif event.change == "left":
                there.remove(str(event.account))
            elif event.change in {"ended", "cancelled", "no_show"}:
                there.clear()
        assert sorted(there) == sorted(self.session.present)
        assert len(there) <= POLICY.capacity

    @invariant()
    def live_once_and_only_with_both(self) -> None:
        moments = [event for event in self.events if event.change == "live"]
        assert len(moments) == (0 if self.session.live_ms is None else 1)
        dues = [event.due_ms for event in self.events if event.due_ms is not None]
        assert dues == sorted(dues)

    @invariant()
    def storage_keeps_everything(self) -> None:
        assert from_row(to_row(self.session, 7)) == self.session


TestHistories = Histories.TestCase


@given(st.integers(0, 60 * MINUTE), st.integers(0, 60 * MINUTE))
def test_the_clock_does_the_same_in_one_turn_as_in_two(first: int, second: int) -> None:
    session = after(live(), (Drop(frozenset({"c1", "c2"})), START))
    half, whole = min(first, second), max(first, second)
    one = advance(session, START + half)
    assert one.then(advance(one.session, START + whole)) == advance(session, START + whole)

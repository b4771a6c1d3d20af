"""What commands and the clock do to a session without a waiting room: scheduling, presence, ends."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.errors import ProtocolError
from signaling.sessions.commands import (
    Announce,
    CutMedia,
    Decision,
    Drop,
    End,
    Join,
    Leave,
    Rehost,
    Stop,
    Tell,
)
from signaling.sessions.core import advance, decide, lost, schedule
from signaling.sessions.hours import deadlines
from signaling.sessions.segments import Segment
from signaling.sessions.session import from_row, to_row
from signaling.sessions.views import countdown, view
from tests.signaling.sessions_core_kit import (
    AGREED,
    CLIENT,
    END,
    GUEST,
    MINUTE,
    OPENS,
    START,
    THERAPIST,
    after,
    changes,
    live,
    policy,
    refused,
    scheduled,
)

BACK = Join("ben", "client", "c7")


class TestScheduling:
    """What is agreed on."""

    def test_begins_scheduled_and_is_told(self) -> None:
        decision = schedule(AGREED, policy(), OPENS - MINUTE)
        assert changes(decision) == ["scheduled"]
        assert decision.session.state == "scheduled"
        assert (decision.session.opens_ms, decision.session.agreed_end_ms) == (OPENS, END)
        assert decision.session.cap_ms == END
        assert deadlines(decision.session) == {"window_opened": OPENS}

    def test_is_open_at_once_within_its_window(self) -> None:
        decision = schedule(AGREED, policy(), START)
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
            schedule(agreed, policy(), START)
        assert refusal.value.kind is errors.SESSION_TIMES
        assert problem in refusal.value.detail


class TestJoining:
    """When one can come in, and what follows."""

    def test_is_refused_before_the_window_with_the_opening_time(self) -> None:
        refusal = refused(scheduled(), THERAPIST, OPENS - 1)
        assert refusal.kind is errors.SESSION_NOT_OPEN
        assert refusal.retry_after_ms == 1
        assert "2027-01-15T07:50:00+00:00" in refusal.detail

    def test_works_from_the_first_millisecond_of_the_window(self) -> None:
        decision = decide(scheduled(), THERAPIST, OPENS)
        assert changes(decision) == ["opened", "joined"]
        assert decision.session.present == ("anna",)

    def test_is_refused_from_the_end(self) -> None:
        assert decide(live(), GUEST, END - 1).session.state == "live"
        assert refused(live(), GUEST, END).kind is errors.SESSION_OVER

    def test_makes_it_live_when_a_therapist_and_a_client_are_there(self) -> None:
        alone = after(scheduled(), (CLIENT, START))
        assert alone.state == "open"
        decision = decide(alone, THERAPIST, START + 5)
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
        assert decision == Decision(session, (), (Announce(), Tell("ben", "inside", ("c2",))))

    def test_with_a_second_device_is_no_event(self) -> None:
        decision = decide(live(), BACK, START + 1)
        assert changes(decision) == []
        assert decision.session.present == ("anna", "ben")

    def test_is_refused_when_it_is_full(self) -> None:
        full = after(live(), (GUEST, START))
        assert refused(full, Join("dan", "guest", "c4"), START).kind is errors.SESSION_FULL
        assert decide(full, Join("cleo", "guest", "c5"), START).session.present == full.present


class TestLeavingAndAbsence:
    """Going, with and without a word."""

    def test_leaving_is_at_once(self) -> None:
        decision = decide(live(), Leave("ben", "c2"), START + 1)
        assert changes(decision) == ["left"]
        out = Tell("ben", "outside", ("c2",), "out")
        assert decision.effects == (CutMedia(), Announce(), out)
        assert decision.session.state == "live"

    def test_leaving_with_one_of_two_devices_is_not(self) -> None:
        both = after(live(), (BACK, START))
        decision = decide(both, Leave("ben", "c2"), START)
        assert (changes(decision), decision.effects) == ([], (Tell("ben", "outside", ("c2",)),))
        assert changes(decide(decision.session, Leave("ben", "c7"), START)) == ["left"]

    def test_leaving_altogether_takes_every_device(self) -> None:
        both = after(live(), (BACK, START))
        assert decide(both, Leave("ben", None), START).session.present == ("anna",)

    def test_leaving_what_one_is_not_in_changes_nothing(self) -> None:
        assert decide(live(), Leave("zoe", "c2"), START).session == live()
        assert decide(live(), Leave("ben", "c1"), START).session == live()

    def test_a_dropped_connection_is_bridged(self) -> None:
        dropped = decide(live(), Drop(frozenset({"c2"})), START + 10)
        assert (changes(dropped), dropped.effects) == ([], ())
        assert dropped.session.present == ("anna", "ben")
        assert deadlines(dropped.session)["absence"] == START + 10 + 90_000
        back = decide(dropped.session, BACK, START + 10 + 89_999)
        assert changes(back) == []
        assert "absence" not in deadlines(back.session)
        assert back.session.segments == live().segments

    def test_an_absence_as_long_as_the_grace_is_leaving_when_it_began(self) -> None:
        dropped = decide(live(), Drop(frozenset({"c2"})), START + 10).session
        decision = advance(dropped, START + 10 + 90_000)
        assert changes(decision) == ["left"]
        assert decision.events[0].due_ms == START + 10 + 90_000
        assert CutMedia() in decision.effects
        assert decision.session.segments[-2:] == (
            Segment(START, START + 10, "video", ("anna", "ben")),
            Segment(START + 10, None, "video", ("anna",)),
        )

    def test_each_absence_has_its_own_grace(self) -> None:
        first = after(live(), (Drop(frozenset({"c2"})), START))
        both = after(first, (Drop(frozenset({"c1"})), START + 30_000))
        decision = advance(both, START + 90_000)
        assert decision.session.present == ("anna",)
        assert deadlines(decision.session)["absence"] == START + 30_000 + 90_000
        assert advance(both, END - 1).session.present == ()

    def test_the_other_device_keeps_one_in(self) -> None:
        both = after(live(), (BACK, START), (Drop(frozenset({"c2"})), START))
        assert "absence" not in deadlines(both)

    def test_after_a_restart_one_has_been_absent_since_the_server_was(self) -> None:
        gone = lost(live(), live().connections, START + MINUTE).session
        assert [one.absent_ms for one in gone.participants] == [START + MINUTE] * 2
        later = advance(gone, END)
        assert changes(later) == ["left", "left", "ended"]
        assert later.session.segments[-1] == Segment(START, START + MINUTE, "video", ("anna", "ben"))

    def test_what_was_due_while_the_server_was_alive_comes_before_the_loss(self) -> None:
        ended = lost(live(), live().connections, END + 5)
        assert [(one.change, one.due_ms) for one in ended.events] == [("ended", END)]
        assert (ended.session.ended_ms, ended.session.segments[-1].ends_ms) == (END, END)
        assert lost(live(), live().connections, END - 1).session.segments[-1].ends_ms is None

    def test_an_absence_that_was_not_bridged_before_the_end_is_not_counted(self) -> None:
        dropped = decide(live(), Drop(frozenset({"c2"})), END - 10).session
        ended = advance(dropped, END).session
        assert ended.segments[-2:] == (
            Segment(START, END - 10, "video", ("anna", "ben")),
            Segment(END - 10, END, "video", ("anna",)),
        )


class TestEnding:
    """Every way to the end."""

    def test_at_the_agreed_end_it_is_completed(self) -> None:
        assert advance(live(), END - 1) == Decision(live())
        decision = advance(live(), END + 5_000)
        assert changes(decision) == ["ended"]
        assert (decision.session.reason, decision.session.ended_ms) == ("completed", END)
        assert decision.events[0].due_ms == END
        assert decision.effects[:2] == (CutMedia(), Announce())
        assert {effect.status for effect in decision.effects if isinstance(effect, Tell)} == {"over"}
        assert decision.session.present == ()

    def test_what_was_never_live_is_a_no_show(self) -> None:
        decision = advance(after(scheduled(), (THERAPIST, START)), END)
        assert changes(decision) == ["no_show"]
        assert (decision.session.state, decision.session.reason) == ("no_show", "no_show")

    def test_who_has_left_early_has_left(self) -> None:
        empty = after(live(), (Leave("ben", None), START), (Leave("anna", None), START))
        assert empty.state == "live"
        ended = advance(empty, END).session
        assert (ended.state, ended.reason, ended.ended_ms) == ("ended", "left", END)

    def test_with_an_overrun_it_goes_on_up_to_the_cap(self) -> None:
        over = advance(live(overrun_ms=15 * MINUTE), END).session
        assert (over.state, over.present) == ("overrun", ("anna", "ben"))
        assert advance(over, END + 15 * MINUTE - 1).session == over
        capped = advance(over, END + 15 * MINUTE).session
        assert (capped.state, capped.reason) == ("ended", "cap")
        assert decide(over, End("anna"), END + 1).session.reason == "completed"

    def test_an_overrun_ends_when_the_last_one_leaves(self) -> None:
        over = advance(live(overrun_ms=15 * MINUTE), END).session
        one = after(over, (Leave("ben", None), END + 1))
        assert one.state == "overrun"
        decision = decide(one, Leave("anna", None), END + 2)
        assert changes(decision) == ["left", "ended"]
        assert (decision.session.reason, decision.session.ended_ms) == ("completed", END + 2)

    def test_by_the_therapist(self) -> None:
        decision = decide(live(), End("anna"), START + 7)
        assert (decision.session.reason, decision.session.ended_ms) == ("left", START + 7)
        assert decision.events[0].by == "anna"
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
    assert refused(live(), Rehost("here", 0), END).kind is errors.SESSION_OVER
    assert refused(scheduled(), Rehost("here", 0), OPENS - 1).kind is errors.SESSION_NOT_OPEN


def test_of_those_who_give_media_a_host_at_once_only_the_first_does() -> None:
    first = decide(live(), Rehost("here", 0), START).session
    assert (first.host, first.generation) == ("here", 1)
    assert decide(first, Rehost("there", 0), START) == Decision(first)
    after = decide(first, Rehost("there", 1), START).session
    assert (after.host, after.generation) == ("there", 2)


def test_what_those_inside_are_shown() -> None:
    session = live()
    shown, told = view(session, "ben", "client", START + 1), countdown(session, START + 1)
    assert (shown.state, shown.present, shown.live_ms, shown.place) == (
        "live",
        ("anna", "ben"),
        START,
        "inside",
    )
    assert (told.agreed_end_ms, told.cap_ms, told.server_now_ms) == (END, END, START + 1)
    assert shown.roles == told.roles == {"anna": "therapist", "ben": "client"}
    assert shown.both_ms == told.both_ms == 1


def test_a_clock_that_was_set_back_takes_nothing_back() -> None:
    """A step of the machine's clock moves a new process; what has happened in the session stays before it."""
    session = after(live(), (Leave("ben", None), START + 10 * MINUTE))
    back = after(session, (CLIENT, START - 50 * MINUTE))
    assert back.changed_ms == START + 10 * MINUTE
    assert [one.starts_ms for one in back.segments] == sorted(one.starts_ms for one in back.segments)
    assert all(one.ends_ms is None or one.starts_ms < one.ends_ms for one in back.segments)
    assert advance(back, START).session == back
    assert advance(back, END).session.ended_ms == END


@given(st.integers(0, 60 * MINUTE), st.integers(0, 60 * MINUTE))
def test_the_clock_does_the_same_in_one_turn_as_in_two(first: int, second: int) -> None:
    session = after(live(overrun_ms=10 * MINUTE, cues_to="everyone"), (Drop(frozenset({"c1", "c2"})), START))
    half, whole = min(first, second), max(first, second)
    one = advance(session, START + half)
    assert one.then(advance(one.session, START + whole)) == advance(session, START + whole)


def test_storage_keeps_everything() -> None:
    session = after(live(overrun_ms=1), (Drop(frozenset({"c1"})), START + 3))
    assert from_row(to_row(session, 7)) == session

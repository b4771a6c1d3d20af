"""Cues, extension, urgent hold, lateness, moving: what moves the ends of a session, and what does not."""

from __future__ import annotations

from uuid import UUID

import pytest

from protocol import errors
from signaling.sessions.commands import (
    Announce,
    Cancel,
    Decision,
    End,
    Extend,
    GiveCue,
    Leave,
    Mark,
    Move,
    SayLate,
    Stop,
    TellLate,
)
from signaling.sessions.core import advance, decide
from signaling.sessions.hours import deadlines
from signaling.sessions.session import GivenCue, Session
from signaling.sessions.views import view
from tests.signaling.sessions_core_kit import (
    CAP,
    CLIENT,
    END,
    GUEST,
    LIMITS,
    MINUTE,
    OPENS,
    START,
    THERAPIST,
    after,
    changes,
    live,
    refused,
    scheduled,
)

HOLD = Mark("ben", "client", urgent=True)
CLEAR = Mark("anna", "therapist", urgent=False)


def extend(minutes: int, key: int = 1, by: str = "anna") -> Extend:
    return Extend(by, UUID(int=key), minutes * MINUTE, 60 * MINUTE)


def cued(**terms: object) -> Session:
    return live(overrun_ms=15 * MINUTE, cues_to="therapists", **terms)


def cues(decision: Decision) -> list[tuple[str, int, int]]:
    """Until what, minutes left, minutes from the start at which it was due."""
    given = [effect.cue for effect in decision.effects if isinstance(effect, GiveCue)]
    return [(cue.until, cue.left_ms // MINUTE, (cue.due_ms - START) // MINUTE) for cue in given]


class TestCues:
    """So much is left."""

    def test_come_before_the_agreed_end_and_before_the_cap(self) -> None:
        assert cues(advance(cued(), CAP)) == [
            ("agreed_end", 10, 35),
            ("agreed_end", 5, 40),
            ("agreed_end", 0, 45),
            ("cap", 5, 55),
            ("cap", 1, 59),
        ]

    def test_come_once_each(self) -> None:
        first = advance(cued(), START + 37 * MINUTE)
        assert cues(first) == [("agreed_end", 10, 35)]
        assert first.session.cues == (GivenCue("agreed_end", 10 * MINUTE, START + 35 * MINUTE),)
        assert cues(advance(first.session, START + 37 * MINUTE)) == []
        assert cues(advance(first.session, START + 41 * MINUTE)) == [("agreed_end", 5, 40)]

    def test_the_last_comes_before_the_end_it_is_about(self) -> None:
        hard = advance(live(cues_to="everyone"), END)
        assert cues(hard)[-1] == ("agreed_end", 0, 45)
        assert hard.session.state == "ended"

    def test_what_was_due_before_it_was_live_is_not_told(self) -> None:
        late = after(
            scheduled(overrun_ms=15 * MINUTE, cues_to="everyone"),
            (THERAPIST, START),
            (CLIENT, START + 38 * MINUTE),
        )
        assert cues(advance(late, END)) == [("agreed_end", 5, 40), ("agreed_end", 0, 45)]

    def test_go_with_the_end_when_it_is_moved(self) -> None:
        session = after(cued(), (extend(10), START + 41 * MINUTE))
        assert cues(advance(session, END + 10 * MINUTE)) == [
            ("agreed_end", 10, 45),
            ("agreed_end", 5, 50),
            ("agreed_end", 0, 55),
        ]

    def test_are_for_whom_the_terms_say(self) -> None:
        assert cues(advance(live(overrun_ms=1, cues_to="nobody"), END)) == []

    def test_after_a_long_sleep_come_in_order_with_their_true_time(self) -> None:
        everything = advance(cued(), CAP + MINUTE)
        dues = [due for _, _, due in cues(everything)]
        assert dues == sorted(dues)
        assert everything.session.ended_ms == CAP


class TestExtension:
    """By the therapist."""

    def test_moves_the_agreed_end_and_the_cap(self) -> None:
        decision = decide(cued(), extend(10), START + MINUTE)
        assert changes(decision) == ["extended"]
        assert (decision.events[0].by, decision.events[0].minutes) == ("anna", 10)
        assert Announce() in decision.effects
        session = decision.session
        assert (session.agreed_end_ms, session.cap_ms) == (END + 10 * MINUTE, CAP + 10 * MINUTE)
        assert deadlines(session)["agreed_end"] == END + 10 * MINUTE

    def test_twice_is_once(self) -> None:
        once = after(cued(), (extend(10), START))
        assert decide(once, extend(10), START + 1) == Decision(once)
        over = after(once, (End("anna"), START + 2))
        assert decide(over, extend(10), START + 3) == Decision(over)
        assert after(once, (extend(5, key=2), START)).agreed_end_ms == END + 15 * MINUTE

    def test_the_same_key_for_something_else_is_refused(self) -> None:
        once = after(cued(), (extend(10), START))
        assert refused(once, extend(5), START).kind is errors.MID_DIFFERS
        assert refused(once, extend(10, by="eve"), START).kind is errors.MID_DIFFERS

    def test_has_a_limit(self) -> None:
        fourth = after(cued(), (extend(15), START))
        refusal = refused(fourth, extend(5, key=2), START)
        assert refusal.kind is errors.SESSION_TIMES
        assert "60 minutes" in refusal.detail

    def test_in_the_overrun_leads_back(self) -> None:
        session = after(cued(), (extend(10), END + 4 * MINUTE))
        assert session.state == "live"
        assert changes(advance(session, END + 10 * MINUTE)) == ["overrun"]

    def test_in_the_overrun_to_an_end_that_has_passed_stays_in_it(self) -> None:
        decision = decide(cued(), extend(5), END + 7 * MINUTE)
        assert changes(decision) == ["overrun", "extended", "overrun"]
        assert decision.events[-1].due_ms == END + 5 * MINUTE
        assert decision.session.cap_ms == CAP + 5 * MINUTE
        assert [one.ends_ms for one in decision.session.segments[:-1]] == [START]

    def test_of_what_is_not_running_is_refused(self) -> None:
        assert refused(scheduled(), extend(5), OPENS - 1).kind is errors.SESSION_NOT_OPEN
        assert refused(live(), extend(5), END).kind is errors.SESSION_OVER


class TestUrgent:
    """It does not end by itself."""

    def test_blocks_the_cap_until_it_is_cleared(self) -> None:
        held = after(cued(), (HOLD, START + MINUTE))
        assert view(held, "anna", "therapist", START).urgent
        overdue = advance(held, CAP + 20 * MINUTE)
        assert overdue.session.state == "overrun"
        assert "cap" not in deadlines(overdue.session)
        decision = decide(overdue.session, CLEAR, CAP + 20 * MINUTE)
        assert changes(decision) == ["urgent_cleared", "ended"]
        assert decision.events[1].due_ms == CAP
        assert (decision.session.reason, decision.session.ended_ms) == ("cap", CAP + 20 * MINUTE)
        assert decision.session.segments[-1].ends_ms == CAP + 20 * MINUTE

    def test_blocks_a_hard_end(self) -> None:
        held = advance(after(live(), (HOLD, START)), END + MINUTE).session
        assert held.state == "live"
        assert after(held, (CLEAR, END + MINUTE)).reason == "completed"

    def test_blocks_a_no_show(self) -> None:
        held = after(scheduled(), (CLIENT, START), (HOLD, START + 1))
        assert advance(held, CAP).session.state == "open"
        cleared = decide(held, CLEAR, CAP)
        assert changes(cleared) == ["urgent_cleared", "no_show"]
        assert cleared.events[1].due_ms == END

    def test_blocks_the_end_of_what_is_empty(self) -> None:
        held = after(cued(), (HOLD, START), (Leave("ben", None), START), (Leave("anna", None), START))
        assert advance(held, END).session.state == "overrun"
        assert after(held, (CLEAR, END + MINUTE)).reason == "completed"
        assert after(held, (CLEAR, CAP + MINUTE)).reason == "cap"

    def test_does_not_block_people(self) -> None:
        held = after(cued(), (HOLD, START))
        assert after(held, (End("anna"), START)).reason == "left"
        assert after(held, (Stop(), START)).reason == "operator"

    def test_cleared_in_time_changes_nothing(self) -> None:
        session = after(cued(), (HOLD, START), (CLEAR, START + 1))
        assert advance(session, CAP).session.ended_ms == CAP
        assert cues(advance(session, CAP))[-1] == ("cap", 1, 59)

    def test_only_a_therapist_clears_it(self) -> None:
        held = after(cued(), (HOLD, START))
        assert refused(held, Mark("ben", "client", urgent=False), START).kind is errors.FORBIDDEN
        assert refused(live(), Mark("zoe", "client", urgent=True), START).kind is errors.NOT_JOINED
        assert decide(held, Mark("anna", "therapist", urgent=True), START) == Decision(held)


class TestLateness:
    """With minutes."""

    def test_is_told_with_its_minutes(self) -> None:
        decision = decide(scheduled(), SayLate("anna", "therapist", 10), OPENS - MINUTE)
        assert changes(decision) == ["late"]
        assert decision.events[0].minutes == 10
        assert decision.effects == (TellLate("anna", "therapist", 10),)
        shown = view(decision.session, "ben", "client", OPENS).late
        assert [(one.role, one.minutes) for one in shown] == [("therapist", 10)]

    def test_can_be_changed_and_repeated(self) -> None:
        said = after(scheduled(), (SayLate("ben", "client", 10), OPENS))
        assert decide(said, SayLate("ben", "client", 10), OPENS + 1) == Decision(said)
        assert changes(decide(said, SayLate("ben", "client", 0), OPENS + 1)) == ["late"]
        assert decide(scheduled(), SayLate("ben", "client", 0), OPENS - 1) == Decision(scheduled())

    def test_is_for_what_is_near(self) -> None:
        early = OPENS - 61 * MINUTE
        refusal = refused(scheduled(now_ms=early), SayLate("ben", "client", 5), early)
        assert refusal.kind is errors.SESSION_NOT_OPEN
        assert refused(live(), SayLate("ben", "client", 5), END).kind is errors.SESSION_OVER


class TestMoving:
    """To another time."""

    def move(self, starts_ms: int, length_ms: int = 30 * MINUTE) -> Move:
        return Move(starts_ms, length_ms, LIMITS, by="anna")

    def test_changes_what_is_due(self) -> None:
        decision = decide(scheduled(), self.move(START + 60 * MINUTE), OPENS - 2)
        assert changes(decision) == ["moved"]
        assert (decision.events[0].starts_ms, decision.events[0].by) == (START + 60 * MINUTE, "anna")
        assert deadlines(decision.session) == {"window_opened": OPENS + 60 * MINUTE}
        assert decision.session.agreed_end_ms == START + 90 * MINUTE

    def test_the_old_deadline_still_fires_and_does_nothing(self) -> None:
        moved = after(scheduled(), (self.move(START + 60 * MINUTE), OPENS - 2))
        assert advance(moved, OPENS) == Decision(moved)
        early = START - 60 * MINUTE
        sooner = after(scheduled(now_ms=early), (self.move(early + 5, MINUTE), early))
        assert sooner.state == "open"
        assert advance(sooner, END).session.ended_ms == START - 59 * MINUTE + 5

    def test_takes_those_out_who_came_for_the_old_time(self) -> None:
        session = after(scheduled(waiting_room="everyone"), (THERAPIST, START), (CLIENT, START))
        decision = decide(session, self.move(START + 60 * MINUTE), START + 1)
        assert changes(decision) == ["left", "gave_up", "moved"]
        assert (decision.session.state, decision.session.present) == ("scheduled", ())
        assert decision.session.segments[-1].ends_ms == START + 1

    def test_into_its_window_opens_it_again(self) -> None:
        assert changes(decide(scheduled(), self.move(START + 5), START)) == ["opened", "moved", "opened"]

    def test_to_where_it_is_changes_nothing(self) -> None:
        assert decide(scheduled(), self.move(START, 45 * MINUTE), OPENS - 1) == Decision(scheduled())

    def test_of_what_has_begun_or_is_over_is_refused(self) -> None:
        assert refused(live(), self.move(START + MINUTE), START).kind is errors.SESSION_BEGUN
        assert refused(live(), self.move(START + MINUTE), END).kind is errors.SESSION_OVER

    @pytest.mark.parametrize(
        ("starts_ms", "length_ms"), [(0, 30 * MINUTE), (START, 0), (START, 7 * 86_400_000)]
    )
    def test_to_where_it_cannot_be_is_refused(self, starts_ms: int, length_ms: int) -> None:
        assert refused(scheduled(), self.move(starts_ms, length_ms), OPENS).kind is errors.SESSION_TIMES

    def test_a_session_that_was_moved_is_held_like_any_other(self) -> None:
        moved = after(scheduled(), (self.move(START + MINUTE), OPENS), (THERAPIST, START), (CLIENT, START))
        assert moved.state == "live"
        assert after(moved, (GUEST, START)).present == ("anna", "ben", "cleo")


class TestCancelling:
    """By a therapist."""

    def test_is_done_before_it_begins_and_told_once(self) -> None:
        for now_ms in (OPENS - 1, START):
            decision = decide(scheduled(), Cancel("anna"), now_ms)
            assert changes(decision)[-1] == "cancelled"
            assert (decision.events[-1].by, decision.session.reason) == ("anna", "cancelled")
            assert deadlines(decision.session) == {}
            assert decide(decision.session, Cancel("cleo"), now_ms) == Decision(decision.session)

    def test_is_refused_afterwards(self) -> None:
        assert refused(live(), Cancel("anna"), START).kind is errors.SESSION_BEGUN
        assert refused(live(), Cancel("anna"), END).kind is errors.SESSION_OVER


class TestRevisions:
    """What calendars are told by the revision of a session: that it is at another time, or is not held."""

    def test_a_new_session_is_its_own_first_revision(self) -> None:
        session = scheduled(now_ms=OPENS - MINUTE)
        assert (session.revision, session.revised_ms) == (0, OPENS - MINUTE)

    def test_each_move_extension_and_cancelling_is_one(self) -> None:
        moved = after(scheduled(), (Move(START + MINUTE, 45 * MINUTE, LIMITS), OPENS))
        assert (moved.revision, moved.revised_ms) == (1, OPENS)
        longer = after(live(), (extend(10), START + MINUTE), (extend(10), START + 2 * MINUTE))
        assert (longer.revision, longer.revised_ms) == (1, START + MINUTE)
        cancelled = after(moved, (Cancel("anna"), OPENS + 1), (Cancel("anna"), OPENS + 2))
        assert (cancelled.revision, cancelled.revised_ms) == (2, OPENS + 1)

    def test_nothing_else_is_one(self) -> None:
        ended = after(live(), (HOLD, START + 1), (CLEAR, START + 2), (End("anna"), START + MINUTE))
        assert (ended.state, ended.revision) == ("ended", 0)
        assert advance(scheduled(), CAP).session.revision == 0

"""The waiting room, consents and observers: who comes in, on whose word, and what the others see of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from protocol import errors
from protocol.sessions import ConsentTerm, Waiter
from signaling.sessions.commands import (
    Admit,
    Announce,
    ChangeModality,
    Command,
    Consent,
    CutMedia,
    Deny,
    Drop,
    Extend,
    Join,
    Leave,
    Mark,
    SayLate,
    SendBack,
    ShowWaiting,
    Tell,
)
from signaling.sessions.core import advance, decide
from signaling.sessions.hours import deadlines
from signaling.sessions.session import Attendee, Session
from signaling.sessions.views import view
from tests.signaling.sessions_core_kit import (
    CLIENT,
    END,
    GUEST,
    MINUTE,
    OPENS,
    START,
    THERAPIST,
    after,
    attended,
    changes,
    live,
    refused,
    scheduled,
)

ADMIT = Admit("anna", ("ben",))
AGREEMENT = ConsentTerm("guests", "2")
OBSERVED = ConsentTerm("observer", "1")
WATCHER = Join("omar", "observer", "c8")


def knocking(*commands: tuple[Command, int], **terms: Any) -> Session:
    """Anna is in, ben waits."""
    session = scheduled(waiting_room="everyone", **terms)
    return after(session, (THERAPIST, OPENS), (CLIENT, START), *commands)


class TestWaiting:
    """Before the door."""

    def test_a_client_waits_and_the_therapist_is_told(self) -> None:
        decision = decide(knocking(), GUEST, START + 1)
        assert changes(decision) == ["waiting"]
        assert decision.effects == (Tell("cleo", "waiting", ("c3",)), ShowWaiting())
        session = decision.session
        assert session.state == "open"
        assert session.present == ("anna",)
        assert session.roles == {"anna": "therapist"}
        assert session.waited_ms == {"ben": START, "cleo": START + 1}
        assert [segment.present for segment in session.segments] == [("anna",)]

    @pytest.mark.parametrize(
        ("rule", "waiting"), [("everyone", ["ben", "cleo"]), ("guests", ["cleo"]), ("nobody", [])]
    )
    def test_for_whom_it_is_is_a_term(self, rule: str, waiting: list[str]) -> None:
        session = after(scheduled(waiting_room=rule), (THERAPIST, START), (CLIENT, START), (GUEST, START))
        assert [one.account for one in session.waiting] == waiting

    def test_a_therapist_never_waits(self) -> None:
        assert after(knocking(), (Join("eve", "therapist", "c5"), START)).present == ("anna", "eve")

    def test_knocking_again_is_no_second_knock(self) -> None:
        session = knocking()
        decision = decide(session, CLIENT, START + 1)
        assert (decision.session, changes(decision)) == (session, [])
        second = decide(session, Join("ben", "client", "c9"), START + 1)
        assert second.effects == (Tell("ben", "waiting", ("c2", "c9")),)
        assert changes(second) == []

    def test_one_who_waits_does_nothing_in_the_session(self) -> None:
        for command in (ChangeModality("ben", "chat"), Mark("ben", "client", urgent=True)):
            assert refused(knocking(), command, START).kind is errors.NOT_ADMITTED

    def test_one_who_waits_is_shown_the_agreement_and_nothing_else(self) -> None:
        busy = knocking(
            (Join("dan", "client", "c4"), START),
            (Admit("anna", ("dan",)), START),
            (ChangeModality("dan", "audio"), START + 1),
            (Extend("anna", UUID(int=7), 10 * MINUTE, 240 * MINUTE), START + 2),
            (SayLate("dan", "client", 5), START + 3),
        )
        before = knocking()
        shown, plain = (view(session, "ben", "client", START + 9) for session in (busy, before))
        assert shown.late[0].role == "client"
        assert replace(shown, late=()) == plain
        assert (shown.state, shown.place, shown.present, shown.roles) == ("open", "waiting", (), {})
        assert (shown.modality, shown.agreed_end_ms, shown.waiting) == ("video", END, ())

    def test_only_therapists_are_shown_who_waits(self) -> None:
        session = after(knocking(), (ADMIT, START), (GUEST, START + 1))
        assert view(session, "anna", "therapist", START).waiting == (Waiter("cleo", "guest", START + 1),)
        assert view(session, "ben", "client", START).waiting == ()

    def test_a_dropped_one_keeps_the_place_for_the_grace(self) -> None:
        dropped = after(knocking(), (Drop(frozenset({"c2"})), START + 1))
        assert deadlines(dropped)["absence"] == START + 1 + 90_000
        assert after(dropped, (Join("ben", "client", "c9"), START + 2)).waiting[0].since_ms == START
        gone = advance(dropped, START + 1 + 90_000)
        assert changes(gone) == ["gave_up"]
        assert gone.effects == (Tell("ben", "outside", (), "out"), ShowWaiting())

    def test_leaving_is_giving_up(self) -> None:
        decision = decide(knocking(), Leave("ben", "c2"), START + 1)
        assert changes(decision) == ["gave_up"]
        assert decision.session.waiting == ()

    def test_at_the_end_those_who_wait_are_told_that_it_is_over(self) -> None:
        decision = advance(knocking(), END)
        assert changes(decision) == ["no_show"]
        assert decision.session.waiting == ()
        assert Tell("ben", "outside", ("c2",), "over") in decision.effects

    def test_there_is_room_for_so_many(self) -> None:
        session = scheduled(waiting_room="everyone")
        crowd = [(Join(f"g{n}", "guest", f"c{n}"), START) for n in range(64)]
        assert refused(after(session, *crowd), CLIENT, START).kind is errors.SESSION_FULL


class TestAdmission:
    """On a therapist's word."""

    def test_lets_in_and_the_session_is_live(self) -> None:
        decision = decide(knocking(), ADMIT, START + 5)
        assert changes(decision) == ["admitted", "live"]
        assert [(event.by, event.account) for event in decision.events] == [("anna", "ben"), (None, None)]
        assert decision.effects[:3] == (Announce(), Tell("ben", "inside", ("c2",), "admitted"), ShowWaiting())
        assert decision.session.present == ("anna", "ben")
        assert decision.session.waiting == ()

    def test_of_a_pair_is_one_step(self) -> None:
        pair = after(knocking(), (GUEST, START))
        assert changes(decide(pair, Admit("anna", ("ben", "cleo")), START)) == [
            "admitted",
            "admitted",
            "live",
        ]

    def test_of_a_pair_is_refused_whole(self) -> None:
        pair = after(knocking(capacity=2), (GUEST, START))
        assert refused(pair, Admit("anna", ("ben", "cleo")), START).kind is errors.SESSION_FULL
        assert refused(pair, Admit("anna", ("ben", "zoe")), START).kind is errors.NOT_WAITING

    def test_nobody_admits_themselves_or_others(self) -> None:
        inside = after(knocking(), (GUEST, START), (Admit("anna", ("cleo",)), START))
        assert refused(inside, Admit("ben", ("ben",)), START).kind is errors.NOT_ADMITTED
        assert refused(inside, Admit("cleo", ("ben",)), START).kind is errors.FORBIDDEN
        assert refused(inside, Deny("cleo", "ben"), START).kind is errors.FORBIDDEN
        assert refused(inside, SendBack("cleo", "cleo"), START).kind is errors.FORBIDDEN

    def test_is_for_therapists_who_are_in_the_session(self) -> None:
        assert refused(knocking(), Admit("eve", ("ben",)), START).kind is errors.NOT_JOINED

    def test_of_one_who_is_away_for_a_moment_waits_for_them(self) -> None:
        away = after(knocking(), (Drop(frozenset({"c2"})), START), (ADMIT, START + 1))
        assert (away.present, away.state) == (("anna", "ben"), "open")
        assert after(away, (Join("ben", "client", "c9"), START + 2)).state == "live"

    def test_two_therapists_at_once(self) -> None:
        both = after(knocking(), (Join("eve", "therapist", "c5"), START))
        admitted = after(both, (ADMIT, START))
        again = decide(admitted, Admit("eve", ("ben",)), START)
        assert (again.session, changes(again)) == (admitted, [])
        assert refused(admitted, Deny("eve", "ben"), START).kind is errors.NOT_WAITING
        assert refused(after(both, (Deny("anna", "ben"), START)), Admit("eve", ("ben",)), START).kind is (
            errors.NOT_WAITING
        )

    def test_who_was_admitted_and_has_left_waits_again(self) -> None:
        session = after(knocking(), (ADMIT, START), (Leave("ben", None), START + 1))
        assert changes(decide(session, CLIENT, START + 2)) == ["waiting"]

    def test_who_was_admitted_and_reconnects_does_not(self) -> None:
        session = after(knocking(), (ADMIT, START), (Drop(frozenset({"c2"})), START + 1))
        decision = decide(session, Join("ben", "client", "c9"), START + 2)
        assert changes(decision) == []
        assert decision.session.present == ("anna", "ben")


class TestDenial:
    """Turned away, or put out again."""

    def test_turns_away(self) -> None:
        decision = decide(knocking(), Deny("anna", "ben"), START + 1)
        assert changes(decision) == ["denied"]
        assert decision.effects == (Tell("ben", "outside", ("c2",), "denied"), ShowWaiting())
        assert decision.session.waiting == ()

    def test_a_second_time_is_the_last_that_rings(self) -> None:
        once = after(knocking(), (Deny("anna", "ben"), START))
        knock = decide(once, CLIENT, START)
        assert ShowWaiting() in knock.effects
        twice = after(knock.session, (Deny("anna", "ben"), START))
        silent = decide(twice, CLIENT, START)
        assert changes(silent) == ["waiting"]
        assert ShowWaiting() not in silent.effects
        assert view(silent.session, "anna", "therapist", START).waiting[0].silent
        assert after(silent.session, (ADMIT, START)).state == "live"

    def test_sending_back_cuts_and_waits(self) -> None:
        inside = after(knocking(), (ADMIT, START))
        decision = decide(inside, SendBack("anna", "ben"), START + 1)
        assert changes(decision) == ["sent_back"]
        told = Tell("ben", "waiting", ("c2",), "sent_back")
        assert decision.effects == (CutMedia(), Announce(), told, ShowWaiting())
        session = decision.session
        assert (session.present, session.waiting[0].since_ms) == (("anna",), START + 1)
        assert session.segments[-1].present == ("anna",)
        assert after(session, (ADMIT, START + 2)).present == ("anna", "ben")

    def test_nobody_sends_back_a_therapist_or_who_is_not_there(self) -> None:
        both = after(knocking(), (Join("eve", "therapist", "c5"), START))
        assert refused(both, SendBack("anna", "eve"), START).kind is errors.FORBIDDEN
        assert refused(both, SendBack("anna", "ben"), START).kind is errors.NOT_WAITING


class TestConsents:
    """As a condition of coming in."""

    def test_joining_is_refused_until_it_is_given(self) -> None:
        session = scheduled(consents=(AGREEMENT, ConsentTerm("video", "1")))
        refusal = refused(session, CLIENT, START)
        assert refusal.kind is errors.CONSENT_REQUIRED
        assert "guests 2, video 1" in refusal.detail
        session = after(session, (Consent("ben", "client", AGREEMENT, given=True), START))
        assert "guests" not in refused(session, CLIENT, START).detail
        session = after(session, (Consent("ben", "client", ConsentTerm("video", "1"), given=True), START))
        assert after(session, (CLIENT, START)).present == ("ben",)

    def test_a_therapist_is_not_asked(self) -> None:
        session = scheduled(consents=(AGREEMENT,))
        assert after(session, (THERAPIST, START)).present == ("anna",)
        given = Consent("anna", "therapist", AGREEMENT, given=True)
        assert refused(session, given, START).kind is errors.NO_SUCH_CONSENT

    def test_another_version_is_another_consent(self) -> None:
        older = Consent("ben", "client", ConsentTerm("guests", "1"), given=True)
        assert refused(scheduled(consents=(AGREEMENT,)), older, START).kind is errors.NO_SUCH_CONSENT

    def test_withdrawing_is_a_new_record(self) -> None:
        given, withdrawn = (Consent("ben", "client", AGREEMENT, given=yes) for yes in (True, False))
        session = after(
            scheduled(consents=(AGREEMENT,)), (given, START), (given, START + 1), (withdrawn, START + 2)
        )
        assert [(one.given, one.at_ms) for one in session.consents] == [(True, START), (False, START + 2)]
        assert refused(session, CLIENT, START + 3).kind is errors.CONSENT_REQUIRED

    def test_withdrawing_what_was_not_given_is_none(self) -> None:
        session = scheduled(consents=(AGREEMENT,))
        assert after(session, (Consent("ben", "client", AGREEMENT, given=False), OPENS)).consents == ()

    def test_one_who_withdrew_while_waiting_is_not_admitted(self) -> None:
        session = scheduled(consents=(AGREEMENT,), waiting_room="everyone")
        session = after(
            session,
            (THERAPIST, START),
            (Consent("ben", "client", AGREEMENT, given=True), START),
            (CLIENT, START),
            (Consent("ben", "client", AGREEMENT, given=False), START),
        )
        assert refused(session, ADMIT, START).kind is errors.CONSENT_REQUIRED

    def test_there_is_an_end_to_changing_ones_mind(self) -> None:
        session = scheduled(consents=(AGREEMENT,))
        for n in range(32):
            session = after(session, (Consent("ben", "client", AGREEMENT, given=n % 2 == 0), OPENS))
        more = Consent("ben", "client", AGREEMENT, given=True)
        assert refused(session, more, OPENS).kind is errors.TOO_MANY_CHANGES

    def test_what_is_asked_is_shown(self) -> None:
        session = scheduled(consents=(AGREEMENT,))
        assert view(session, "ben", "client", OPENS).consents == (AGREEMENT,)
        assert view(session, "anna", "therapist", OPENS).consents == ()

    def test_what_was_given_is_shown_to_who_gave_it_until_it_is_withdrawn(self) -> None:
        other = ConsentTerm("video", "1")
        session = scheduled(consents=(AGREEMENT, other))
        given, withdrawn = (Consent("ben", "client", AGREEMENT, given=yes) for yes in (True, False))
        session = after(session, (given, OPENS))
        shown = view(session, "ben", "client", OPENS)
        assert (shown.consents, shown.consented) == ((other,), (AGREEMENT,))
        assert view(session, "anna", "therapist", OPENS).consented == ()
        shown = view(after(session, (withdrawn, OPENS)), "ben", "client", OPENS)
        assert (shown.consents, shown.consented) == ((AGREEMENT, other), ())


class TestObservers:
    """Only as long as everyone agrees."""

    def observed(self) -> Session:
        session = attended(Attendee("omar", "observer"), Attendee("ines", "interpreter"))
        return after(session, (THERAPIST, START), (CLIENT, START))

    def test_come_in_once_everyone_has_consented(self) -> None:
        session = self.observed()
        assert view(session, "ben", "client", START).consents == (OBSERVED,)
        assert refused(session, WATCHER, START).kind is errors.NOT_OBSERVABLE
        session = after(session, (Consent("ben", "client", OBSERVED, given=True), START))
        assert after(session, (WATCHER, START)).present == ("anna", "ben", "omar")

    def test_are_out_when_someone_withdraws(self) -> None:
        given, withdrawn = (Consent("ben", "client", OBSERVED, given=yes) for yes in (True, False))
        session = after(self.observed(), (given, START), (WATCHER, START))
        decision = decide(session, withdrawn, START + 1)
        assert changes(decision) == ["consent_withdrawn", "left"]
        assert CutMedia() in decision.effects
        assert decision.session.present == ("anna", "ben")

    def test_are_out_when_someone_comes_who_has_not_consented(self) -> None:
        session = attended(Attendee("omar", "observer"), Attendee("ines", "interpreter"), capacity=4)
        session = after(session, (THERAPIST, START), (WATCHER, START))
        assert session.present == ("anna", "omar")
        decision = decide(session, Join("ines", "interpreter", "c6"), START)
        assert changes(decision) == ["joined", "left"]
        assert decision.session.present == ("anna", "ines")

    def test_the_text_may_be_the_terms_own(self) -> None:
        own = ConsentTerm("observer", "2026-05")
        session = attended(Attendee("omar", "observer"), consents=(own,))
        assert after(session, (CLIENT, START)).present == ("ben",)
        assert view(session, "ben", "client", START).consents == (own,)


def test_groups_hold_up_to_eight() -> None:
    group = live(capacity=8)
    more = [(Join(f"m{n}", "client", f"m{n}"), START) for n in range(6)]
    full = after(group, *more)
    assert len(full.present) == 8
    assert refused(full, Join("m7", "client", "m7"), START).kind is errors.SESSION_FULL


def test_a_session_that_was_restless_takes_nobody_new_but_keeps_those_inside() -> None:
    session = live()
    for n in range(500):
        session = after(session, (GUEST, START + 2 * n), (Leave("cleo", None), START + 2 * n + 1))
    assert len(session.segments) >= 1000
    assert refused(session, GUEST, START + 1001).kind is errors.TOO_MANY_CHANGES
    assert refused(session, ChangeModality("ben", "chat"), START + 1001).kind is errors.TOO_MANY_CHANGES
    dropped = after(session, (Drop(frozenset({"c2"})), START + 1001))
    assert after(dropped, (Join("ben", "client", "c9"), START + 1002)).present == ("anna", "ben")

"""Changing how people talk: by either side at once, or proposed by one and answered by the other."""

from __future__ import annotations

from protocol import errors
from protocol.sessions import Proposal
from signaling.sessions.commands import (
    Announce,
    Answer,
    ChangeModality,
    CutMedia,
    Decision,
    Leave,
    Propose,
)
from signaling.sessions.core import decide
from signaling.sessions.segments import Segment
from signaling.sessions.session import Session
from signaling.sessions.views import countdown
from tests.signaling.sessions_core_kit import GUEST, START, after, changes, live, refused, scheduled

AUDIO = Propose("ben", "audio")


def proposed() -> Session:
    return after(live(), (AUDIO, START + 1))


def test_either_side_changes_it_for_everyone() -> None:
    for account in ("anna", "ben"):
        decision = decide(live(), ChangeModality(account, "audio"), START + 5)
        assert changes(decision) == ["modality"]
        assert (decision.events[0].by, decision.events[0].modality) == (account, "audio")
        assert decision.effects == (CutMedia(), Announce())
        assert decision.session.segments[-2:] == (
            Segment(START, START + 5, "video", ("anna", "ben")),
            Segment(START + 5, None, "audio", ("anna", "ben")),
        )


def test_to_what_it_is_already_changes_nothing() -> None:
    assert decide(live(), ChangeModality("ben", "video"), START) == Decision(live())


def test_only_the_two_sides_do_so() -> None:
    session = after(live(), (GUEST, START))
    for command in (ChangeModality("cleo", "chat"), Propose("cleo", "chat"), Answer("cleo", "chat", True)):
        assert refused(session, command, START).kind is errors.FORBIDDEN
    assert refused(session, ChangeModality("zoe", "chat"), START).kind is errors.NOT_JOINED
    assert refused(scheduled(), ChangeModality("ben", "chat"), START).kind is errors.NOT_JOINED


def test_a_proposal_is_seen_and_changes_nothing_yet() -> None:
    decision = decide(live(), AUDIO, START + 1)
    assert changes(decision) == ["proposed"]
    assert decision.session.modality == "video"
    assert countdown(decision.session, START).proposal == Proposal("audio", "ben")
    assert decide(decision.session, AUDIO, START + 2) == Decision(decision.session)


def test_the_other_side_accepts() -> None:
    decision = decide(proposed(), Answer("anna", "audio", accepted=True), START + 2)
    assert changes(decision) == ["modality"]
    assert (decision.session.modality, decision.session.proposal) == ("audio", None)


def test_or_declines_or_the_first_takes_it_back() -> None:
    for account in ("anna", "ben"):
        decision = decide(proposed(), Answer(account, "audio", accepted=False), START + 2)
        assert changes(decision) == ["declined"]
        assert (decision.session.modality, decision.session.proposal) == ("video", None)


def test_nobody_accepts_for_the_other_or_what_was_not_proposed() -> None:
    for answer in (
        Answer("ben", "audio", accepted=True),
        Answer("anna", "chat", accepted=True),
        Answer("anna", "chat", accepted=False),
    ):
        assert refused(proposed(), answer, START + 2).kind is errors.NO_SUCH_PROPOSAL
    assert refused(live(), Answer("anna", "audio", accepted=True), START).kind is errors.NO_SUCH_PROPOSAL


def test_a_newer_proposal_takes_the_place_of_an_older_one() -> None:
    newer = after(proposed(), (Propose("anna", "chat"), START + 2))
    assert newer.proposal == Proposal("chat", "anna")
    assert refused(newer, Answer("anna", "audio", accepted=True), START).kind is errors.NO_SUCH_PROPOSAL


def test_a_proposal_goes_with_who_made_it_and_with_any_change() -> None:
    assert after(proposed(), (Leave("ben", None), START + 2)).proposal is None
    assert after(proposed(), (Leave("anna", None), START + 2)).proposal is not None
    assert after(proposed(), (ChangeModality("anna", "chat"), START + 2)).proposal is None


def test_proposing_what_it_is_already_is_nothing() -> None:
    assert decide(live(), Propose("ben", "video"), START) == Decision(live())

"""The usage of whole sessions: made of segments by hand, and held by the sessions' own core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import pytest

from signaling.sessions.commands import (
    Admit,
    ChangeModality,
    Command,
    Drop,
    End,
    Extend,
    Join,
    Leave,
    Move,
    Stop,
)
from signaling.sessions.core import advance
from signaling.sessions.session import Attendee, ConsentRecord, Session
from signaling.usage.codes import Suggestion
from signaling.usage.records import Absence, UsageRecord, concerns, usage_of
from tests.signaling.sessions_core_kit import (
    CAP,
    CLIENT,
    END,
    GUEST,
    LIMITS,
    OPENS,
    START,
    THERAPIST,
    after,
    attended,
    live,
    scheduled,
)
from tests.signaling.usage_kit import MINUTE, SECOND, ended

LATER = CAP + 100 * MINUTE


def usage(session: Session, now_ms: int = LATER) -> UsageRecord:
    return usage_of(session, now_ms)


def held(session: Session, *commands: tuple[Command, int]) -> UsageRecord:
    """The usage after commands, once everything that falls due has."""
    return usage(advance(after(session, *commands), LATER).session)


# --- Minutes and codes


@pytest.mark.parametrize(
    ("minutes", "seconds", "code"),
    [
        (15, 59, None),
        (16, 0, "90832"),
        (37, 59, "90832"),
        (38, 0, "90834"),
        (52, 59, "90834"),
        (53, 0, "90837"),
    ],
)
def test_boundaries_across_changes_of_modality(minutes: int, seconds: int, code: str | None) -> None:
    span_ms = minutes * MINUTE + seconds * SECOND
    video_ms = span_ms // 2 + 1
    audio_ms = (span_ms - video_ms) // 2
    rest_ms = span_ms - video_ms - audio_ms
    record = usage(ended((video_ms, "video", "ab"), (audio_ms, "audio", "ab"), (rest_ms, "chat", "abc")))
    assert (record.both_ms, record.minutes) == (span_ms, minutes)
    assert record.together_ms == {"video": video_ms, "audio": audio_ms, "chat": rest_ms}
    assert record.suggestion == (Suggestion(code, "95") if code else None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("gap_ms", "both_ms"), [(89_999, 45 * MINUTE), (90_000, 45 * MINUTE - 90_000)])
def test_an_absence_is_bridged_up_to_the_grace(gap_ms: int, both_ms: int) -> None:
    gone_ms = START + 10 * MINUTE
    record = held(live(), (Drop(frozenset({"c2"})), gone_ms), (Join("ben", "client", "c9"), gone_ms + gap_ms))
    assert record.both_ms == both_ms
    assert record.suggestion == Suggestion("90834", "95")


def test_overrun_counts() -> None:
    record = held(live(overrun_ms=15 * MINUTE), (End("anna"), END + 8 * MINUTE))
    assert (record.minutes, record.extended_ms, record.reason) == (53, 0, "completed")
    assert record.suggestion == Suggestion("90837", "95")


def test_an_extension_counts_and_is_named() -> None:
    extend = Extend("anna", UUID(int=1), 10 * MINUTE, LIMITS.max_length_ms)
    record = held(live(), (extend, START + 20 * MINUTE))
    assert (record.minutes, record.length_ms, record.extended_ms) == (55, 45 * MINUTE, 10 * MINUTE)


def test_time_alone_does_not_count() -> None:
    early = after(scheduled(), (THERAPIST, OPENS), (CLIENT, START + 30 * MINUTE))
    record = held(early)
    assert record.both_ms == 15 * MINUTE
    assert record.therapist_ms == 55 * MINUTE
    assert record.suggestion is None
    assert [(one.account, one.came_ms) for one in record.attendances] == [
        ("anna", OPENS),
        ("ben", START + 30 * MINUTE),
    ]
    assert record.accounts("client") == ("ben",)


def test_a_guest_is_no_client() -> None:
    record = held(scheduled(), (THERAPIST, START), (GUEST, START))
    assert (record.both_ms, record.suggestion) == (0, None)


def test_a_couple_has_a_code_and_a_group_has_none() -> None:
    couple = held(live(), (GUEST, START + MINUTE))
    assert couple.suggestion == Suggestion("90834", "95")
    group = held(live(), (Join("dora", "client", "c4"), START + MINUTE))
    assert (group.minutes, group.suggestion) == (45, None)


def test_modalities_are_told_apart() -> None:
    record = held(live(), (ChangeModality("ben", "audio"), START + 20 * MINUTE))
    assert record.together_ms == {"video": 20 * MINUTE, "audio": 25 * MINUTE, "chat": 0}
    assert record.suggestion == Suggestion("90834", None)
    assert record.agreed_modality == "video"


def test_a_running_session_is_not_final_and_suggests_nothing() -> None:
    running = live()
    record = usage(running, START + 40 * MINUTE)
    assert (record.final, record.minutes, record.suggestion, record.ended_ms) == (False, 40, None, None)


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    changed = after(live(), (ChangeModality("ben", "audio"), START + 20 * MINUTE))
    assert usage(changed, START - MINUTE).together_ms == {"video": 20 * MINUTE, "audio": 0, "chat": 0}


# --- Clients who do not come


@dataclass
class Case:
    """A session that has not become live, and what its record is worth."""

    name: str
    session: Session
    verdict: str


def waiting_room(*commands: tuple[Command, int], **terms: Any) -> Session:
    return after(scheduled(waiting_room="everyone", **terms), *commands)


ABSENCES = [
    Case("the client never came", after(scheduled(), (THERAPIST, START)), "holds"),
    Case("the therapist came late", after(scheduled(), (THERAPIST, START + 20 * MINUTE)), "holds"),
    Case("only a guest came", after(scheduled(), (THERAPIST, START), (GUEST, START)), "holds"),
    Case("nobody came, and there is no grace", scheduled(grace_ms=0), "therapist_absent"),
    Case("nobody came", scheduled(), "therapist_absent"),
    Case(
        "the therapist left before the grace",
        after(scheduled(), (THERAPIST, OPENS), (Leave("anna", "c1"), START + 89_999)),
        "therapist_absent",
    ),
    Case(
        "the therapist stayed for the grace",
        after(scheduled(), (THERAPIST, OPENS), (Leave("anna", "c1"), START + 90_000)),
        "holds",
    ),
    Case(
        "ended before the grace",
        after(scheduled(), (THERAPIST, OPENS), (End("anna"), START + 89_999)),
        "before_grace",
    ),
    Case(
        "ended after the grace",
        after(scheduled(), (THERAPIST, START), (End("anna"), START + 90_000)),
        "holds",
    ),
    Case("cancelled in good time", after(scheduled(), (Stop(), OPENS - 1)), "before_grace"),
    Case(
        "the client came and went",
        after(scheduled(), (CLIENT, OPENS), (Leave("ben", "c2"), START)),
        "client_came",
    ),
    Case("only the client came", after(scheduled(), (CLIENT, START)), "client_came"),
    Case("the client waited", waiting_room((THERAPIST, START), (CLIENT, START)), "client_waited"),
    Case(
        "the client gave up waiting",
        waiting_room((CLIENT, OPENS), (Leave("ben", "c2"), OPENS + 1), (THERAPIST, START)),
        "client_waited",
    ),
    Case(
        "a guest who waited was admitted",
        waiting_room((THERAPIST, START), (GUEST, START), (Admit("anna", ("cleo",)), START)),
        "holds",
    ),
    Case(
        "an interpreter waited",
        after(
            attended(Attendee("ida", "interpreter"), waiting_room="everyone"),
            (THERAPIST, START),
            (Join("ida", "interpreter", "c5"), START),
        ),
        "holds",
    ),
]


@pytest.mark.parametrize("case", ABSENCES, ids=lambda case: case.name)
def test_evidence_of_absence(case: Case) -> None:
    record = held(case.session)
    assert record.live_ms is None
    assert record.absence is not None
    assert record.absence.verdict == case.verdict


def test_before_the_grace_has_passed_there_is_no_evidence_yet() -> None:
    alone = after(scheduled(), (THERAPIST, START))
    verdicts = [usage(alone, START + at_ms).absence for at_ms in (0, 89_999, 90_000)]
    assert [one and one.verdict for one in verdicts] == ["before_grace", "before_grace", "holds"]


def test_evidence_is_for_the_time_that_was_agreed_on_last() -> None:
    move = Move(START + 60 * MINUTE, 45 * MINUTE, LIMITS)
    moved = after(scheduled(), (THERAPIST, OPENS), (move, START + 5 * MINUTE))
    assert held(moved).absence == Absence("therapist_absent", {})


def test_evidence_says_who_waited_since_when() -> None:
    record = held(waiting_room((CLIENT, OPENS + 7)))
    assert record.absence is not None
    assert record.absence.waited_ms == {"ben": OPENS + 7}


def test_a_session_that_was_live_needs_no_evidence() -> None:
    assert held(live()).absence is None


# --- Whose it is


def test_a_session_is_of_those_who_came_or_were_to_come() -> None:
    session = msgspec.structs.replace(
        scheduled(),
        invited=("ben",),
        roles={"anna": "therapist"},
        waited_ms={"cleo": 5},
        attendees=(Attendee("ida", "interpreter"),),
    )
    accounts = ("anna", "ben", "cleo", "ida", "mona")
    assert [concerns(session, account, frozenset({"r1"})) for account in accounts] == [True] * 4 + [False]
    for_all = scheduled()
    assert concerns(for_all, "mona", frozenset({"r1", "r2"}))
    assert not concerns(for_all, "mona", frozenset({"r2"}))


def test_consents_are_listed() -> None:
    consent = ConsentRecord("ben", "recording", "2", True, START)
    assert usage(ended((1, "video", "ab"), consents=(consent,))).consents == (consent,)

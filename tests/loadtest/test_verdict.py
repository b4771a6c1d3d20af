"""The verdict on a demonstration: whatever is missing is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loadtest.verdict import CLIENT, THERAPIST, Facts, Seen, judge, missing, table

MESSAGES = ((THERAPIST, b"1"), (CLIENT, b"2"), (THERAPIST, b"3"))
BOTH = {
    THERAPIST: Seen(
        90, 300, 1.5, 500, 0, (b"1", b"3"), MESSAGES, 0, live=True, reason="completed", connections=1
    ),
    CLIENT: Seen(90, 300, 1.5, 500, 0, (b"2",), MESSAGES, 0, live=True, reason="completed", connections=2),
}
FACTS = Facts(waited=True, meanwhile=1, media_went_on=True, searched=True, worksheet=True, state="ended")


def test_all_there_is_ok() -> None:
    assert judge(FACTS, BOTH)["result"] == "ok"
    assert "Everything was observed" in table(BOTH, missing(FACTS, BOTH))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"pictures": 29}, "client_sees_therapist"),
        ({"sounds": 0}, "client_hears_therapist"),
        ({"energy": 0.0}, "client_hears_therapist"),
        ({"messages": MESSAGES[:2]}, "client_has_every_message"),
        ({"messages": (*MESSAGES, MESSAGES[0])}, "client_has_no_message_twice"),
        ({"messages": MESSAGES[::-1]}, "both_have_messages_in_the_same_order"),
        ({"messages": MESSAGES[1:2]}, "client_has_messages_of_therapist"),
        ({"doubled": 1}, "client_has_no_message_twice"),
        ({"irregular": 1}, "client_has_nothing_irregular"),
        ({"undecryptable": 1}, "client_can_open_every_message"),
        ({"live": False}, "client_sees_the_session_live"),
        ({"reason": "left"}, "client_is_told_that_time_is_up"),
        ({"reason": None}, "client_is_told_that_time_is_up"),
        ({"connections": 1}, "client_resumes"),
        ({"sent": (b"2", b"4")}, "therapist_has_every_message"),
    ],
)
def test_what_a_participant_lacks_is_named(change: dict[str, Any], name: str) -> None:
    verdict = judge(FACTS, BOTH | {CLIENT: replace(BOTH[CLIENT], **change)})
    assert verdict["result"] == "failed"
    assert name in verdict["missing"]


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (replace(FACTS, waited=False), "client_waits_to_be_admitted"),
        (replace(FACTS, meanwhile=0), "messages_while_the_client_is_away"),
        (replace(FACTS, media_went_on=False), "media_goes_on_meanwhile"),
        (replace(FACTS, searched=False), "database_was_searched"),
        (replace(FACTS, readable=1), "database_has_no_readable_message"),
        (replace(FACTS, worksheet=False), "worksheet_arrives"),
        (replace(FACTS, worksheet_readable=True), "server_has_no_readable_worksheet"),
        (replace(FACTS, state="live"), "back_end_sees_the_session_ended"),
        (replace(FACTS, stopped_by="timed_out_live"), "story_told_to_its_end"),
    ],
)
def test_a_fact_that_is_missing_is_named(facts: Facts, name: str) -> None:
    assert missing(facts, BOTH) == [name]


def test_nothing_seen_at_all_fails_in_every_point_but_those_about_faults() -> None:
    verdict = judge(Facts(), {THERAPIST: Seen(), CLIENT: Seen()})
    assert verdict["result"] == "failed"
    assert len(verdict["missing"]) > 12

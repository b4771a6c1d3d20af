"""The feed that calendar programs read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from signaling.schedule.calendar import Entry, feed

NINE_MS = 1_772_438_400_000  # 2026-03-02T08:00:00Z
ENTRY = Entry("session-1", NINE_MS, NINE_MS + 3_000_000, 0, NINE_MS - 86_400_000, cancelled=False)


def lines(*entries: Entry, summary: str = "Session") -> list[str]:
    return feed(entries, summary).decode().split("\r\n")


def test_a_session_is_an_event_at_its_instant() -> None:
    written = lines(ENTRY)
    assert written[:2] == ["BEGIN:VCALENDAR", "VERSION:2.0"]
    for line in (
        "DTSTART:20260302T080000Z",
        "DTEND:20260302T085000Z",
        "DTSTAMP:20260301T080000Z",
        "LAST-MODIFIED:20260301T080000Z",
        "SUMMARY:Session",
        "SEQUENCE:0",
        "STATUS:CONFIRMED",
        "CLASS:PRIVATE",
        "REFRESH-INTERVAL;VALUE=DURATION:PT30M",
    ):
        assert line in written


def test_an_event_keeps_its_identity_when_it_is_moved_or_cancelled() -> None:
    def identity(entry: Entry) -> list[str]:
        return [line for line in lines(entry) if line.startswith("UID:")]

    moved = ENTRY._replace(starts_ms=NINE_MS + 1, revision=1)
    cancelled = ENTRY._replace(revision=2, cancelled=True)
    assert identity(ENTRY) == identity(moved) == identity(cancelled)
    assert identity(ENTRY) != identity(ENTRY._replace(session="session-2"))
    assert "SEQUENCE:1" in lines(moved)
    assert {"SEQUENCE:2", "STATUS:CANCELLED"} <= set(lines(cancelled))


@pytest.mark.parametrize(
    ("at_ms", "zone", "shown"),
    [
        (NINE_MS, "Europe/Berlin", "2026-03-02 09:00 Europe/Berlin"),
        (NINE_MS, "Australia/Sydney", "2026-03-02 19:00 Australia/Sydney"),
        # Half past two comes twice there: the instant in UTC tells which of them it is.
        (1_792_888_200_000, "Europe/Berlin", "2026-10-25 02:30 Europe/Berlin"),
        (1_792_891_800_000, "Europe/Berlin", "2026-10-25 02:30 Europe/Berlin"),
    ],
)
def test_the_reader_is_told_the_local_time_of_their_own_zone(at_ms: int, zone: str, shown: str) -> None:
    (event,) = Calendar.from_ical(feed([ENTRY._replace(starts_ms=at_ms, zone=zone)], "Session")).walk(
        "VEVENT"
    )
    assert str(event["DESCRIPTION"]) == shown
    assert event.decoded("DTSTART") == datetime.fromtimestamp(at_ms / 1000, UTC)


def test_nothing_is_said_of_a_zone_that_is_not_known() -> None:
    assert b"DESCRIPTION" not in feed([ENTRY], "Session")


def test_the_id_of_a_session_is_not_told() -> None:
    assert b"session-1" not in feed([ENTRY], "Session")


def test_the_same_sessions_give_the_same_text() -> None:
    assert feed([ENTRY], "Session") == feed([ENTRY], "Session")


@given(summary=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=100))
def test_any_summary_comes_out_as_it_went_in_and_breaks_nothing(summary: str) -> None:
    text = feed([ENTRY, ENTRY._replace(session="b")], summary)
    assert all(len(line) <= 75 for line in text.split(b"\r\n"))
    events = Calendar.from_ical(text).walk("VEVENT")
    assert [str(event["SUMMARY"]) for event in events] == [summary] * 2

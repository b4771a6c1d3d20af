"""The feed that calendar programs read."""

from __future__ import annotations

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

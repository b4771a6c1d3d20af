"""Weekly times as spans of instants: exceptions, both changes of the clocks in two hemispheres, nonsense."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.around import DayException, Hours, Span, WeeklySpan
from protocol.errors import ProtocolError
from signaling.hours import calendar
from signaling.hours.calendar import Standing
from signaling.hours.offices import Office, office_of

HOUR_MS = 3_600_000
DAILY = tuple(WeeklySpan(day, 9 * 60, 17 * 60) for day in range(5))
VIENNA = Hours("Europe/Vienna", DAILY)


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def shown(standing: Standing) -> tuple[bool, str, str]:
    def instant(ms: int | None) -> str:
        return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")

    return standing.within, instant(standing.since_ms), instant(standing.until_ms)


@pytest.mark.parametrize(
    ("at", "within", "since", "until"),
    [
        ("2026-01-14 07:59", False, "2026-01-13 16:00", "2026-01-14 08:00"),
        ("2026-01-14 08:00", True, "2026-01-14 08:00", "2026-01-14 16:00"),
        ("2026-01-14 15:59", True, "2026-01-14 08:00", "2026-01-14 16:00"),
        ("2026-01-14 16:00", False, "2026-01-14 16:00", "2026-01-15 08:00"),
        ("2026-01-17 12:00", False, "2026-01-16 16:00", "2026-01-19 08:00"),
        ("2026-07-14 07:00", True, "2026-07-14 07:00", "2026-07-14 15:00"),
    ],
)
def test_office_hours_follow_the_clock_on_the_wall(at: str, within: bool, since: str, until: str) -> None:
    assert shown(calendar.office(VIENNA, utc(at))) == (within, since, until)


@pytest.mark.parametrize(
    ("zone", "sunday", "before", "after"),
    [
        ("Europe/Vienna", "2026-03-29", "08:00", "07:00"),
        ("Europe/Vienna", "2026-10-25", "07:00", "08:00"),
        ("Australia/Sydney", "2026-04-05", "22:00", "23:00"),  # the evening before, in UTC
        ("Australia/Sydney", "2026-10-04", "23:00", "22:00"),
    ],
)
def test_when_the_clocks_change_office_hours_move(zone: str, sunday: str, before: str, after: str) -> None:
    hours = Hours(zone, tuple(WeeklySpan(day, 9 * 60, 10 * 60) for day in range(7)))
    noon = utc(f"{sunday} 12:00")
    earlier, later = calendar.office(hours, noon - 48 * HOUR_MS), calendar.office(hours, noon + 24 * HOUR_MS)
    assert shown(earlier)[2].endswith(before)
    assert shown(later)[2].endswith(after)


@pytest.mark.parametrize(
    ("sunday", "probe", "starts", "ends", "since", "until"),
    [
        ("2026-03-29", "01:15", 90, 210, "00:30", "01:30"),  # 01:30 to 03:30, of which an hour does not exist
        ("2026-10-25", "01:45", 90, 210, "23:30", "02:30"),  # of which an hour comes twice
        ("2026-10-25", "01:45", 150, 180, "00:30", "02:00"),  # 02:30 comes twice: the first is meant
        ("2026-03-29", "01:45", 150, 240, "01:30", "02:00"),  # 02:30 is left out: as if the clocks stood
    ],
)
def test_times_that_are_left_out_or_come_twice(
    sunday: str, probe: str, starts: int, ends: int, since: str, until: str
) -> None:
    hours = Hours("Europe/Vienna", (WeeklySpan(6, starts, ends),))
    within, begin, end = shown(calendar.office(hours, utc(f"{sunday} {probe}")))
    assert (within, begin[-5:], end[-5:]) == (True, since, until)


def test_a_time_that_does_not_exist_at_all_is_nothing() -> None:
    hours = Hours("Europe/Vienna", (WeeklySpan(6, 150, 180),))  # 02:30 to 03:00
    assert not calendar.office(hours, utc("2026-03-29 01:00")).within
    assert shown(calendar.office(hours, utc("2026-03-29 01:45")))[2] == "2026-04-05 00:30"


def test_a_day_off_and_a_day_more() -> None:
    saturday = DayException("2026-01-17", (Span(600, 660),))
    hours = Hours("Europe/Vienna", DAILY, (DayException("2026-01-15"), saturday))
    assert shown(calendar.office(hours, utc("2026-01-15 12:00"))) == (
        False,
        "2026-01-14 16:00",
        "2026-01-16 08:00",
    )
    assert shown(calendar.office(hours, utc("2026-01-17 09:30")))[0]


def test_a_closed_time_stays_one_over_weeks_of_exceptions() -> None:
    mondays = ("2026-01-12", "2026-01-19", "2026-01-26", "2026-02-02")
    hours = Hours("Europe/Vienna", (WeeklySpan(0, 540, 600),), tuple(DayException(day) for day in mondays))
    for at in ("2026-01-05 10:00", "2026-01-20 10:00", "2026-02-08 10:00"):
        assert shown(calendar.office(hours, utc(at))) == (False, "2026-01-05 09:00", "2026-02-09 08:00")


def test_hours_of_single_days_only() -> None:
    hours = Hours("Europe/Vienna", (), (DayException("2026-01-05", (Span(540, 600),)),))
    assert shown(calendar.office(hours, utc("2026-06-01 10:00"))) == (False, "2026-01-05 09:00", "")
    assert shown(calendar.office(hours, utc("2025-06-01 10:00"))) == (False, "", "2026-01-05 08:00")


def test_quiet_hours_reach_over_midnight_and_know_no_exceptions() -> None:
    nights = tuple(WeeklySpan(day, 22 * 60, 31 * 60) for day in range(7))
    hours = Hours("Europe/Vienna", None, (DayException("2026-01-14"),), nights)
    assert shown(calendar.quiet(hours, utc("2026-01-15 03:00"))) == (
        True,
        "2026-01-14 21:00",
        "2026-01-15 06:00",
    )
    assert not calendar.quiet(hours, utc("2026-01-15 12:00")).within


spans = st.builds(
    lambda day, starts, length: WeeklySpan(day, starts, starts + length),
    st.integers(0, 6),
    st.integers(0, 1439),
    st.integers(1, 1440),
)


@given(
    zone=st.sampled_from(["Europe/Vienna", "Australia/Sydney", "America/New_York", "Asia/Kathmandu", "UTC"]),
    office=st.lists(spans, min_size=1, max_size=6).map(tuple),
    at_ms=st.integers(utc("2026-01-01"), utc("2027-01-01")),
)
def test_the_bounds_of_a_state_lead_into_the_other(
    zone: str, office: tuple[WeeklySpan, ...], at_ms: int
) -> None:
    hours = Hours(zone, office)
    calendar.check(hours)
    now = calendar.office(hours, at_ms)
    assert now.since_ms is not None
    assert now.until_ms is not None
    assert now.since_ms <= at_ms < now.until_ms
    if now.until_ms - now.since_ms < 7 * 24 * HOUR_MS:  # else it may always be the same
        assert calendar.office(hours, now.since_ms).within == now.within
        assert calendar.office(hours, now.since_ms - 1).within != now.within
        assert calendar.office(hours, now.until_ms - 1).within == now.within
        assert calendar.office(hours, now.until_ms).within != now.within


@pytest.mark.parametrize(
    "hours",
    [
        Hours("Europe/Atlantis"),
        Hours("../../etc/passwd"),
        Hours("Europe"),
        Hours("\0"),
        Hours("UTC", (WeeklySpan(0, 600, 600),)),
        Hours("UTC", (), (), (WeeklySpan(0, 0, 1441),)),
        Hours("UTC", (), (DayException("2026-01-01", (Span(60, 30),)),)),
        Hours("UTC", (), (DayException("2026-13-01"),)),
        Hours("UTC", (), (DayException("2026-W01-1"),)),
        Hours("UTC", (), (DayException("9999-12-31"),)),
        Hours("UTC", (), (DayException("2026-01-01"), DayException("2026-01-01"))),
    ],
)
def test_hours_that_cannot_be_are_refused(hours: Hours) -> None:
    with pytest.raises(ProtocolError) as refused:
        calendar.check(hours)
    assert refused.value.kind.name == "hours_invalid"


# --- Rooms


def test_a_room_is_closed_when_all_who_keep_hours_are_away() -> None:
    late = Hours("Europe/Vienna", tuple(WeeklySpan(day, 12 * 60, 20 * 60) for day in range(5)))
    at_ms = utc("2026-01-14 17:00")
    assert office_of([VIENNA], at_ms) == Office(True, utc("2026-01-14 16:00"), utc("2026-01-15 08:00"))
    assert not office_of([VIENNA, late], at_ms).closed
    night = office_of([VIENNA, late], utc("2026-01-14 22:00"))
    assert night == Office(True, utc("2026-01-14 19:00"), utc("2026-01-15 08:00"))
    assert night.window == utc("2026-01-14 19:00")


def test_a_room_without_hours_is_never_closed() -> None:
    assert office_of([], 0) == Office(False, None, None)
    assert office_of([Hours("UTC")], 0) == Office(False, None, None)
    assert office_of([Hours("UTC", ())], 0) == Office(True, 0, None)

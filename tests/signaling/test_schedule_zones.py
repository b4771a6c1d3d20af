"""Wall clocks and instants, through both changes of the clocks, north and south of the equator."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.errors import ProtocolError
from signaling.schedule.zones import (
    calendar_day,
    day_bounds_ms,
    instant_ms,
    wall_clock,
    wall_time,
    zone_of,
)

HOUR_MS = 3_600_000
ZONES = [
    "Europe/Berlin",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kathmandu",
    "UTC",
]


def in_utc(local: str, zone: str) -> str:
    """The instant of a wall-clock time, written in UTC."""
    at_ms = instant_ms(wall_time(local), zone_of(zone))
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        # The gap: read with the offset from before it.
        ("Europe/Berlin", "2026-03-29T01:59", "03-29T00:59"),
        ("Europe/Berlin", "2026-03-29T02:30", "03-29T01:30"),
        ("Europe/Berlin", "2026-03-29T03:00", "03-29T01:00"),
        ("Australia/Sydney", "2026-10-04T02:30", "10-03T16:30"),
        ("Australia/Sydney", "2026-10-04T03:00", "10-03T16:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "10-03T15:45"),
        ("Australia/Lord_Howe", "2026-10-04T02:30", "10-03T15:30"),
        ("America/Santiago", "2026-09-06T00:30", "09-06T04:30"),
        ("America/Santiago", "2026-09-06T01:00", "09-06T04:00"),
        # The hour, or half an hour, that comes twice: the first of the two.
        ("Europe/Berlin", "2026-10-25T02:30", "10-25T00:30"),
        ("Europe/Berlin", "2026-10-25T03:00", "10-25T02:00"),
        ("Australia/Sydney", "2026-04-05T02:30", "04-04T15:30"),
        ("Australia/Sydney", "2026-04-05T03:00", "04-04T17:00"),
        ("Australia/Lord_Howe", "2026-04-05T01:45", "04-04T14:45"),
        ("Australia/Lord_Howe", "2026-04-05T02:00", "04-04T15:30"),
        ("America/Santiago", "2026-04-04T23:30", "04-05T02:30"),
        ("America/Santiago", "2026-04-05T00:00", "04-05T04:00"),
    ],
)
def test_a_time_around_a_change_of_the_clocks(zone: str, local: str, expected: str) -> None:
    assert in_utc(local, zone) == expected


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-07-01", 24),
        ("Australia/Sydney", "2026-10-04", 23),
        ("Australia/Sydney", "2026-04-05", 25),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("America/Santiago", "2026-09-06", 23),  # begins at one o'clock: midnight does not happen
        ("America/Santiago", "2026-04-04", 25),
        ("Pacific/Apia", "2011-12-30", 0),  # did not happen at all
    ],
)
def test_a_day_is_as_long_as_it_is(zone: str, day: str, hours: float) -> None:
    begins, ends = day_bounds_ms(calendar_day(day), zone_of(zone))
    assert (ends - begins) / HOUR_MS == hours


def test_a_day_without_midnight_begins_when_it_begins() -> None:
    begins, _ = day_bounds_ms(date(2026, 9, 6), zone_of("America/Santiago"))
    assert wall_clock(begins, zone_of("America/Santiago")) == datetime(2026, 9, 6, 1)  # noqa: DTZ001 - wall clock
    assert wall_clock(begins - 1, zone_of("America/Santiago")).date() == date(2026, 9, 5)


days = st.dates(date(1972, 1, 1), date(2198, 12, 31))


@given(day=days, zone=st.sampled_from(ZONES))
def test_days_follow_one_another_without_gap_or_overlap(day: date, zone: str) -> None:
    known = ZoneInfo(zone)
    assert day_bounds_ms(day, known)[1] == day_bounds_ms(day + timedelta(days=1), known)[0]


@given(day=days, minute=st.integers(0, 1439), zone=st.sampled_from(ZONES))
def test_a_clock_shows_the_time_that_was_asked_for_or_the_gap_behind_it(
    day: date, minute: int, zone: str
) -> None:
    local = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minute)
    shown = wall_clock(instant_ms(local, ZoneInfo(zone)), ZoneInfo(zone))
    assert shown - local in {timedelta(), timedelta(minutes=30), timedelta(hours=1)}


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "Europe", "../../etc/passwd", "/etc/localtime", "europe/berlin", "\0", "x" * 9999],
)
def test_a_zone_that_does_not_exist(name: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        zone_of(name)
    assert refused.value.kind is errors.NO_SUCH_ZONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-30T09:00",
        "2026-03-29",
        "2026-03-29T24:00",
        "2026-03-29T09:00Z",
        "0001-01-01T00:00",
        "9999-12-31T23:59",
    ],
)
def test_a_time_that_is_none(text: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        wall_time(text)
    assert refused.value.kind is errors.INVALID_FIELD


@given(st.text(max_size=20))
def test_any_text_is_a_day_or_refused(text: str) -> None:
    try:
        day = calendar_day(text)
    except ProtocolError as error:
        assert error.kind is errors.INVALID_FIELD  # noqa: PT017 - either outcome is right
    else:
        assert 1971 <= day.year <= 2199

"""Which rules are taken, and when they recur."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.errors import ProtocolError
from signaling.schedule.recurrence import Day, Recurrence, check_first, occurrences, parse
from signaling.schedule.zones import wall_time, zone_of

BERLIN = "Europe/Berlin"


def local_times(rule: str, first: str, zone: str = BERLIN, most: int = 12) -> list[str]:
    known = islice(occurrences(parse(rule), wall_time(first), zone_of(zone)), most)
    return [one.local.strftime("%m-%dT%H:%M") for one in known]


def in_utc(rule: str, first: str, zone: str) -> list[str]:
    known = occurrences(parse(rule), wall_time(first), zone_of(zone))
    return [datetime.fromtimestamp(one.starts_ms / 1000, UTC).strftime("%m-%dT%H:%M") for one in known]


def test_a_rule_is_taken_apart() -> None:
    assert parse("FREQ=WEEKLY") == Recurrence("WEEKLY")
    assert parse("freq=weekly;interval=2;byday=mo,th;count=20") == Recurrence(
        "WEEKLY", 2, (Day("MO"), Day("TH")), 20
    )
    assert parse("FREQ=MONTHLY;BYDAY=-1FR,2MO").days == (Day("FR", -1), Day("MO", 2))
    assert parse("FREQ=DAILY;UNTIL=20260101T000000Z").until_ms == 1_767_225_600_000


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "WEEKLY",
        "FREQ",
        "INTERVAL=2",
        "FREQ=SECONDLY;COUNT=10000000000",
        "FREQ=HOURLY",
        "FREQ=YEARLY",
        "RRULE:FREQ=WEEKLY",
        "FREQ=WEEKLY;",
        "FREQ=WEEKLY;FREQ=DAILY",
        "FREQ=WEEKLY;COUNT=0",
        "FREQ=WEEKLY;COUNT=-1",
        "FREQ=WEEKLY;COUNT=1001",
        "FREQ=WEEKLY;COUNT=99999999999999999999",
        "FREQ=WEEKLY;COUNT=٣",
        "FREQ=WEEKLY;COUNT=3;UNTIL=20260101T000000Z",
        "FREQ=WEEKLY;INTERVAL=0",
        "FREQ=WEEKLY;INTERVAL=53",
        "FREQ=WEEKLY;BYDAY=",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=WEEKLY;BYDAY=MO,MO",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=DAILY;BYDAY=MO",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=WEEKLY;BYSETPOS=1",
        "FREQ=WEEKLY;BYHOUR=1,2,3",
        "FREQ=WEEKLY;WKST=SU",
        "FREQ=DAILY;UNTIL=20260101",
        "FREQ=DAILY;UNTIL=20260101T000000",
        "FREQ=DAILY;UNTIL=20260230T000000Z",
        "FREQ=DAILY;UNTIL=20260101T250000Z",
        "FREQ=WEEKLY;BYDAY=" + ",".join(["MO"] * 60),
    ],
)
def test_another_rule_is_refused(rule: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        parse(rule)
    assert refused.value.kind is errors.RECURRENCE_INVALID


pieces = st.sampled_from(
    [
        *"0123456789,;=-+:",
        "FREQ=",
        "WEEKLY",
        "DAILY",
        "MONTHLY",
        "COUNT=",
        "UNTIL=",
        "INTERVAL=",
        "BYDAY=",
        "MO",
        "5FR",
    ]
)


@given(st.lists(pieces, max_size=30).map("".join) | st.text(max_size=200))
def test_any_text_is_a_rule_or_refused_and_every_rule_can_be_followed(text: str) -> None:
    try:
        rule = parse(text)
    except ProtocolError as error:
        assert error.kind is errors.RECURRENCE_INVALID  # noqa: PT017 - either outcome is right
    else:
        known = list(islice(occurrences(rule, wall_time("2026-03-02T09:00"), ZoneInfo(BERLIN)), 50))
        assert known == sorted(known)


def test_the_clock_on_the_wall_stays_the_same_when_the_clocks_change() -> None:
    weekly = "FREQ=WEEKLY;COUNT=3"
    assert in_utc(weekly, "2026-03-20T09:00", BERLIN) == ["03-20T08:00", "03-27T08:00", "04-03T07:00"]
    assert in_utc(weekly, "2026-10-16T09:00", BERLIN) == ["10-16T07:00", "10-23T07:00", "10-30T08:00"]
    sydney = "Australia/Sydney"
    assert in_utc(weekly, "2026-03-26T09:00", sydney) == ["03-25T22:00", "04-01T22:00", "04-08T23:00"]
    assert in_utc(weekly, "2026-09-24T09:00", sydney) == ["09-23T23:00", "09-30T23:00", "10-07T22:00"]


def test_one_that_falls_into_the_gap_is_held_after_it_and_those_that_follow_are_not_shifted() -> None:
    times = in_utc("FREQ=DAILY;COUNT=3", "2026-03-28T02:30", BERLIN)
    assert times == ["03-28T01:30", "03-29T01:30", "03-30T00:30"]
    assert local_times("FREQ=DAILY;COUNT=3", "2026-03-28T02:30") == [
        "03-28T02:30",
        "03-29T02:30",
        "03-30T02:30",
    ]


def test_days_intervals_and_ends() -> None:
    assert local_times("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;COUNT=4", "2026-03-02T09:00") == [
        "03-02T09:00",
        "03-08T09:00",
        "03-16T09:00",
        "03-22T09:00",
    ]
    assert local_times("FREQ=MONTHLY;COUNT=3", "2026-01-31T09:00") == [
        "01-31T09:00",
        "03-31T09:00",
        "05-31T09:00",
    ]
    assert local_times("FREQ=MONTHLY;BYDAY=-1FR;COUNT=2", "2026-01-30T09:00") == [
        "01-30T09:00",
        "02-27T09:00",
    ]
    # The last instant counts: nine o'clock in Berlin is seven or eight in UTC.
    assert local_times("FREQ=DAILY;UNTIL=20260330T070000Z", "2026-03-28T09:00") == [
        "03-28T09:00",
        "03-29T09:00",
        "03-30T09:00",
    ]
    assert len(local_times("FREQ=DAILY;UNTIL=20260330T065959Z", "2026-03-28T09:00")) == 2


def test_a_series_ends_with_the_century_that_is_known() -> None:
    last = list(
        occurrences(parse("FREQ=MONTHLY;INTERVAL=12"), wall_time("2026-03-02T09:00"), zone_of(BERLIN))
    )[-1]
    assert last.local.year == 2199


def test_the_first_time_is_one_that_the_rule_names() -> None:
    monday = wall_time("2026-03-02T09:00")
    check_first(parse("FREQ=WEEKLY;BYDAY=MO,TH"), monday, zone_of(BERLIN))
    for rule in ("FREQ=WEEKLY;BYDAY=TU", "FREQ=MONTHLY;BYDAY=2MO", "FREQ=DAILY;UNTIL=20260301T000000Z"):
        with pytest.raises(ProtocolError) as refused:
            check_first(parse(rule), monday, zone_of(BERLIN))
        assert refused.value.kind is errors.RECURRENCE_INVALID


@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - wall clocks
    interval=st.integers(1, 52),
    count=st.integers(1, 60),
    zone=st.sampled_from([BERLIN, "Australia/Lord_Howe", "America/Santiago"]),
)
def test_weekly_is_every_so_many_weeks(start: datetime, interval: int, count: int, zone: str) -> None:
    first = start.replace(second=0, microsecond=0)
    known = list(occurrences(Recurrence("WEEKLY", interval, (), count), first, ZoneInfo(zone)))
    assert [one.local for one in known] == [first + timedelta(weeks=interval * n) for n in range(count)]

"""What follows from a series: which sessions it has, which were taken out, when to look again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from signaling.schedule import series as core
from signaling.schedule.series import Series
from signaling.schedule.zones import instant_ms, wall_time, zone_of

DAY_MS = 86_400_000
WEEKLY = Series("w", "r", "2026-03-02T09:00", "Europe/Berlin", "FREQ=WEEKLY", 3_000_000, "video")
FIRST_MS = instant_ms(wall_time("2026-03-02T09:00"), zone_of("Europe/Berlin"))


def names(series: Series, days: int = 27, from_ms: int = 0) -> list[str]:
    return [core.name_of(one.local) for one in core.held(series, from_ms, FIRST_MS + days * DAY_MS)]


def refused(kind: ErrorKind, **changes: object) -> None:
    with pytest.raises(ProtocolError) as raised:
        core.new_series(replace(WEEKLY, **changes))
    assert raised.value.kind is kind


def test_a_series_has_the_sessions_of_its_rule() -> None:
    assert names(WEEKLY) == ["20260302T0900", "20260309T0900", "20260316T0900", "20260323T0900"]
    assert names(WEEKLY, from_ms=FIRST_MS + 1, days=8) == ["20260309T0900"]
    agreed = core.agreed(WEEKLY, core.first_of(WEEKLY))
    assert (agreed.session, agreed.room, agreed.starts_ms) == ("w.20260302T0900", "r", FIRST_MS)
    assert core.from_row(core.to_row(WEEKLY, 1, 1)) == WEEKLY


def test_what_is_left_out_is_not_held() -> None:
    given = core.new_series(replace(WEEKLY, skipped=("20260316T0900", "20260309T0900", "20260316T0900")))
    assert given.skipped == ("20260309T0900", "20260316T0900")
    assert names(given) == ["20260302T0900", "20260323T0900"]
    out = [core.name_of(one.local) for one in core.taken_out(given, 0, FIRST_MS + 27 * DAY_MS)]
    assert out == ["20260309T0900", "20260316T0900"]


def test_this_and_following_are_cut_off_and_an_earlier_cut_stays() -> None:
    cut = core.cut(WEEKLY, "20260316T0900")
    assert names(cut) == ["20260302T0900", "20260309T0900"]
    assert core.cut(cut, "20260323T0900") == cut
    assert names(core.cut(cut, "20260302T0900")) == []
    assert core.due_ms(cut, FIRST_MS + 8 * DAY_MS, 0) is None
    with pytest.raises(ProtocolError) as raised:
        core.cut(WEEKLY, "20260317T0900")
    assert raised.value.kind is errors.NO_SUCH_OCCURRENCE


def test_what_goes_on_at_another_time_keeps_the_days_left_out() -> None:
    before = core.new_series(replace(WEEKLY, skipped=("20260309T0900", "20260323T0900")))
    after = core.continued(
        before, "20260316T0900", replace(WEEKLY, id="x", first="2026-03-16T17:30", rule="FREQ=WEEKLY")
    )
    assert after.skipped == ("20260323T1730",)
    elsewhere = replace(WEEKLY, id="y", first="2026-03-17T09:00")
    assert core.continued(before, "20260316T0900", elsewhere).skipped == ()


def test_the_next_look_is_when_the_next_session_comes_near() -> None:
    ahead_ms = 10 * DAY_MS
    due_ms = core.due_ms(WEEKLY, FIRST_MS + ahead_ms, ahead_ms)
    assert due_ms == FIRST_MS + 14 * DAY_MS - ahead_ms
    assert core.due_ms(replace(WEEKLY, rule="FREQ=WEEKLY;COUNT=2"), FIRST_MS + ahead_ms, ahead_ms) is None


def test_a_series_that_is_not_possible() -> None:
    refused(errors.INVALID_FIELD, first="2026-02-30T09:00")
    refused(errors.NO_SUCH_ZONE, zone="Mars/Olympus")
    refused(errors.RECURRENCE_INVALID, rule="FREQ=SECONDLY;COUNT=10000000000")
    refused(errors.RECURRENCE_INVALID, rule="FREQ=WEEKLY;BYDAY=TU")
    refused(errors.RECURRENCE_INVALID, skipped=("20260302T0900",))
    refused(errors.NO_SUCH_OCCURRENCE, skipped=("20260310T0900",))
    refused(errors.NO_SUCH_OCCURRENCE, skipped=("99999999T9999",))


@given(st.text(max_size=20))
def test_any_name_is_one_of_the_series_or_refused(name: str) -> None:
    try:
        found = core.find(WEEKLY, name)
    except ProtocolError as error:
        assert error.kind is errors.NO_SUCH_OCCURRENCE  # noqa: PT017 - either outcome is right
    else:
        assert core.name_of(found.local) == name


@given(cut=st.integers(0, 60), skipped=st.sets(st.integers(1, 60)), from_day=st.integers(-5, 400))
def test_held_and_taken_out_make_up_the_rule(cut: int, skipped: set[int], from_day: int) -> None:
    every = names(WEEKLY, days=420)
    given = core.cut(replace(WEEKLY, skipped=tuple(every[n] for n in sorted(skipped))), every[cut])
    span = FIRST_MS + from_day * DAY_MS, FIRST_MS + 420 * DAY_MS
    held, out = list(core.held(given, *span)), list(core.taken_out(given, *span))
    assert sorted(held + out) == list(core.held(WEEKLY, *span))
    assert all(given.holds(core.name_of(one.local)) for one in held)

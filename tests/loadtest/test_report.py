"""From observations to the report."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import report
from loadtest.report import Outcome, Plan, percentile, spread, summarize

TIMES = st.lists(st.floats(0, 1e4), min_size=1, max_size=200)
OUTCOMES = st.builds(
    Outcome,
    st.none() | st.sampled_from(["session_full", "timed_out_live"]),
    joins=st.tuples(st.floats(0, 10)),
    round_trips=st.lists(st.floats(0, 10), max_size=5).map(tuple),
    packets_received=st.integers(0, 10_000),
    packets_lost=st.integers(0, 100),
)


def plan(sessions: int) -> Plan:
    return Plan(sessions, "video", 30.0, 2.0, 300)


@given(TIMES, st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(times: list[float], percent: int) -> None:
    ordered = sorted(times)
    value = percentile(ordered, percent)
    assert value in times
    assert sum(time <= value for time in times) * 100 >= percent * len(times)
    smaller = [time for time in times if time < value]
    assert len(smaller) * 100 < percent * len(times)


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(1, 50, 1), (2, 50, 1), (3, 50, 2), (20, 95, 19), (21, 95, 20), (100, 99, 99), (101, 99, 100)],
)
def test_nearest_ranks(count: int, percent: int, expected: int) -> None:
    assert percentile([float(one) for one in range(1, count + 1)], percent) == expected


@given(TIMES)
def test_a_spread_ascends_and_is_in_milliseconds(times: list[float]) -> None:
    found = spread(times)
    assert found.count == len(times)
    assert found.p50_ms <= found.p95_ms <= found.p99_ms <= found.max_ms
    assert found.max_ms == pytest.approx(1000 * max(times), abs=0.001)


def test_no_times_have_an_empty_spread() -> None:
    assert spread([]) == report.Spread(0, 0.0, 0.0, 0.0, 0.0)


@given(st.lists(OUTCOMES, max_size=30), st.integers(0, 10))
def test_every_session_asked_for_has_held_or_failed_for_a_reason(outcomes: list[Outcome], more: int) -> None:
    asked = len(outcomes) + more
    result = summarize(plan(asked), outcomes, 1.0)
    assert result.held + result.failed == result.asked == asked
    assert sum(result.reasons.values()) == result.failed
    assert result.reasons.get("not_begun", 0) == more
    assert result.good == (result.failed == 0)
    assert 0 <= result.lost_percent <= 100
    assert result.join.count == len(outcomes)


@given(st.lists(OUTCOMES, max_size=5))
def test_the_json_report_says_it_all(outcomes: list[Outcome]) -> None:
    result = summarize(plan(len(outcomes)), outcomes, 2.5)
    document = json.loads(report.to_json(result))
    assert document["asked"] == len(outcomes)
    assert document["good"] == result.good
    assert document["plan"]["modality"] == "video"
    assert document["chat_round_trip"]["count"] == result.chat_round_trip.count


def test_the_table_names_counts_times_and_reasons() -> None:
    outcomes = [
        Outcome(None, (0.01, 0.02), (0.3, 0.4), (0.005,), packets_received=990, packets_lost=10),
        Outcome("session_full"),
    ]
    shown = report.table(summarize(plan(3), outcomes, 12.3))
    assert "asked 3, held 1, failed 2" in shown
    assert "20.0 ms" in shown
    assert "lost 10  (1.00 %)" in shown
    assert "session_full" in shown
    assert "not_begun" in shown


def test_progress_tells_how_many_run() -> None:
    line = report.progress(plan(10), 4, [Outcome(None), Outcome("x")], 3.0)
    assert "begun 4 of 10, running 2, held 1, failed 1" in line

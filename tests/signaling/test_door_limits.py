"""Token buckets: what comes within a time is bounded, and a wait told is a wait that suffices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.token_bucket import TokenBucket
from signaling.door.limits import Allowance

RATES = st.floats(0.1, 1000)
STEPS = st.lists(st.floats(0, 2), min_size=1, max_size=100)


@given(RATES, st.integers(1, 50), STEPS)
def test_no_more_comes_through_than_burst_and_rate(rate: float, burst: int, steps: list[float]) -> None:
    bucket, now, taken = TokenBucket(rate, burst, 0.0), 0.0, 0
    for step in steps:
        now += step
        taken += bucket.take(1.0, now)
        assert taken <= burst + rate * now + 1e-6


@given(RATES, st.integers(1, 50), st.floats(0, 10))
def test_after_the_wait_told_it_is_let_through(rate: float, burst: int, now: float) -> None:
    bucket = TokenBucket(rate, burst, now)
    while bucket.take(1.0, now):
        pass
    wait = bucket.wait(1.0)
    assert wait > 0
    assert not bucket.take(1.0, now + wait * 0.9 - 1e-6)
    assert bucket.take(1.0, now + wait + 1e-6)


def test_a_pause_fills_the_bucket_and_no_more() -> None:
    bucket = TokenBucket(10.0, 5, 0.0)
    assert [bucket.take(1.0, 100.0) for _ in range(6)] == [True] * 5 + [False]


def test_an_account_limits_a_connection_that_is_within_its_own_rate() -> None:
    allowance = Allowance(100.0, 100, 0.0)
    allowance.share(TokenBucket(1.0, 2, 0.0))
    assert [allowance.take(1.0, 0.0) for _ in range(3)] == [True, True, False]
    assert allowance.wait(1.0) == pytest.approx(1.0)


def test_patience_has_an_end_and_comes_back() -> None:
    allowance = Allowance(1.0, 3, 0.0)
    assert [allowance.bear(1.0, 0.0) for _ in range(4)] == [True, True, True, False]
    assert allowance.bear(1.0, 1.0)

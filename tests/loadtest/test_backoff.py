"""The waits between attempts to connect."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.backoff import Backoff

_BACKOFF = Backoff(base_seconds=0.5, cap_seconds=30.0)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_wait_lies_below_a_ceiling_that_doubles_up_to_the_cap(failures: int, chance: float) -> None:
    wait = _BACKOFF.seconds(failures, chance)
    assert 0 <= wait <= 30.0
    assert wait == chance * min(30.0, 0.5 * 2 ** min(failures, 10))

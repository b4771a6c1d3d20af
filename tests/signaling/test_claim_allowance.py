"""How many prekeys may be claimed: by one account, of one account, and with how much memory."""

from __future__ import annotations

import pytest

from config.settings import KeySettings
from protocol import errors
from protocol.errors import ProtocolError
from signaling.keys.allowance import ClaimAllowance

SETTINGS = KeySettings(claims_per_second=1.0, claims_burst=10, claimed_per_second=0.5, claimed_burst=4)


def refused(allowance: ClaimAllowance, claimer: str, *claimed: str, now: float) -> int:
    """How long a claim has to wait, in milliseconds."""
    with pytest.raises(ProtocolError) as caught:
        allowance.take(claimer, claimed, now)
    assert caught.value.kind is errors.RATE_LIMITED
    assert caught.value.retry_after_ms is not None
    return caught.value.retry_after_ms


def test_one_account_claims_so_many() -> None:
    allowance = ClaimAllowance(SETTINGS)
    for number in range(5):
        allowance.take("ann", [f"b{number}", f"b{number}"], 100.0)
    assert refused(allowance, "ann", "c", now=100.0) == pytest.approx(1000, abs=2)
    allowance.take("eve", ["c"], 100.0)
    allowance.take("ann", ["c"], 101.1)


def test_of_one_account_so_many_are_claimed_by_whomever() -> None:
    allowance = ClaimAllowance(SETTINGS)
    for number in range(4):
        allowance.take(f"a{number}", ["ben"], 100.0)
    assert refused(allowance, "ann", "ben", now=100.0) == pytest.approx(2000, abs=2)
    allowance.take("ann", ["carl"], 100.0)
    allowance.take("ann", ["ben"], 102.1)


def test_what_is_larger_than_a_whole_burst_takes_all_of_it() -> None:
    allowance = ClaimAllowance(SETTINGS)
    allowance.take("ann", ["ben"] * 9, 100.0)
    assert refused(allowance, "eve", "ben", now=100.0) > 0


def test_buckets_are_bounded_and_those_in_use_stay() -> None:
    allowance = ClaimAllowance(SETTINGS, limit=8)
    for number in range(4):
        allowance.take("ann", ["ben"], 100.0)
        allowance.take(f"x{number}", [f"y{number}"], 100.0)
    assert refused(allowance, "eve", "ben", now=100.0) > 0
    assert len(allowance._buckets) <= 8

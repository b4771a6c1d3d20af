"""How many prekeys may be claimed: by one account, of one account, and with how much memory."""

from __future__ import annotations

import pytest

from config.settings import KeySettings
from protocol import errors
from protocol.errors import ProtocolError
from relay.quota import LocalQuota
from signaling.keys.allowance import ClaimAllowance

SETTINGS = KeySettings(claims_per_second=1.0, claims_burst=10, claimed_per_second=0.5, claimed_burst=4)


class Stage:
    """An allowance whose clock is moved by the test."""

    def __init__(self) -> None:
        self.now = 100.0
        self._allowance = ClaimAllowance(SETTINGS, LocalQuota(now=lambda: self.now))

    async def take(self, claimer: str, *claimed: str) -> None:
        await self._allowance.take(claimer, claimed)

    async def refused(self, claimer: str, *claimed: str) -> int:
        """How long a claim has to wait, in milliseconds."""
        with pytest.raises(ProtocolError) as caught:
            await self.take(claimer, *claimed)
        assert caught.value.kind is errors.RATE_LIMITED
        assert caught.value.retry_after_ms is not None
        return caught.value.retry_after_ms


async def test_one_account_claims_so_many() -> None:
    stage = Stage()
    for number in range(5):
        await stage.take("ann", f"b{number}", f"b{number}")
    assert await stage.refused("ann", "c") == pytest.approx(1000, abs=2)
    await stage.take("eve", "c")
    stage.now += 1.1
    await stage.take("ann", "c")


async def test_of_one_account_so_many_are_claimed_by_whomever() -> None:
    stage = Stage()
    for number in range(4):
        await stage.take(f"a{number}", "ben")
    assert await stage.refused("ann", "ben") == pytest.approx(2000, abs=2)
    await stage.take("ann", "carl")
    stage.now += 2.1
    await stage.take("ann", "ben")


async def test_who_is_refused_uses_up_nothing_of_others() -> None:
    stage = Stage()
    await stage.take("ann", *[f"x{number}" for number in range(10)])
    for _ in range(9):
        await stage.refused("ann", "ben")
    for _ in range(4):
        await stage.take("eve", "ben")


async def test_what_is_larger_than_a_whole_burst_takes_all_of_it() -> None:
    stage = Stage()
    await stage.take("ann", *["ben"] * 9)
    assert await stage.refused("eve", "ben") > 0

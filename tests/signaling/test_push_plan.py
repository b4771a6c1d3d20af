"""Whether a doorbell is rung now, later or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.push import Doorbell, DueDoorbell, Rung, Waits
from signaling.push.plan import LOOK_AGAIN_MS, Decision, Forget, Later, Rest, Ring, decide

NOW_MS, AGAIN_MS, MINUTE_MS = 10**9, 1_800_000, 60_000
LETTER, URGENT = Waits("r", 1, False), Waits("r", 1, True)


def due(waits: Waits | None = LETTER, rung: Rung | None = None, *, in_force: bool = True) -> DueDoorbell:
    return DueDoorbell(Doorbell("ann", "phone", "https://x", 1), NOW_MS, 0, rung, waits, in_force)


def rung(ago_ms: int, *, urgent: bool = False) -> Rung:
    return Rung(NOW_MS - ago_ms, "r", 1, urgent)


def later(ms: int) -> Later:
    return Later(NOW_MS + ms)


@pytest.mark.parametrize(
    ("doorbell", "quiet_ms", "decision"),
    [
        (due(), None, Ring(LETTER)),
        (due(None), None, Rest()),
        (due(in_force=False), None, Forget()),
        (due(), MINUTE_MS, later(MINUTE_MS)),
        (due(), 8 * 60 * MINUTE_MS, later(LOOK_AGAIN_MS)),
        (due(URGENT), MINUTE_MS, Ring(URGENT)),
        (due(rung=rung(MINUTE_MS)), None, later(AGAIN_MS - MINUTE_MS)),
        (due(rung=rung(AGAIN_MS)), None, Ring(LETTER)),
        (due(rung=rung(AGAIN_MS)), MINUTE_MS, later(MINUTE_MS)),
        (due(URGENT, rung(MINUTE_MS)), MINUTE_MS, Ring(URGENT)),
        (due(URGENT, rung(MINUTE_MS, urgent=True)), None, later(AGAIN_MS - MINUTE_MS)),
        (due(rung=rung(MINUTE_MS, urgent=True)), None, later(AGAIN_MS - MINUTE_MS)),
        (due(rung=rung(-1)), None, Ring(LETTER)),  # the clock was set back
    ],
)
def test_decisions(doorbell: DueDoorbell, quiet_ms: int | None, decision: Decision) -> None:
    quiet_until_ms = None if quiet_ms is None else NOW_MS + quiet_ms
    assert decide(doorbell, quiet_until_ms, NOW_MS, AGAIN_MS) == decision


_SPANS = st.integers(-10 * AGAIN_MS, 10 * AGAIN_MS)


@given(
    waits=st.builds(Waits, st.just("r"), st.just(1), st.booleans()),
    before=st.none() | st.builds(lambda ago, urgent: rung(ago, urgent=urgent), _SPANS, st.booleans()),
    quiet=st.none() | st.integers(1, 10 * AGAIN_MS),
)
def test_whatever_waits_is_rung_for_in_the_end(waits: Waits, before: Rung | None, quiet: int | None) -> None:
    """Looking again whenever it says so, it is rung at the end of what holds it up, and soon after."""
    now_ms, quiet_end_ms = NOW_MS, NOW_MS + (quiet or 0)
    doorbell = due(waits, before)
    while True:
        quiet_until_ms = quiet_end_ms if now_ms < quiet_end_ms else None
        decision = decide(doorbell, quiet_until_ms, now_ms, AGAIN_MS)
        if not isinstance(decision, Later):
            break
        assert decision.due_ms > now_ms
        now_ms = decision.due_ms
    assert decision == Ring(waits)
    assert now_ms <= quiet_end_ms + AGAIN_MS

"""Packets kept for retransmission."""

from hypothesis import given
from hypothesis import strategies as st

from rtc.history import MAX_RESENDS_PER_SECOND, SIZE, History
from tests.rtc.synthetic import rtp


@given(st.integers(0, 0xFFFF), st.integers(1, 2 * SIZE))
def test_the_last_packets_are_kept_across_the_wrap(start: int, count: int) -> None:
    history = History()
    for n in range(count):
        sequence = (start + n) & 0xFFFF
        history.remember(sequence, rtp(1, sequence, n))
    newest = start + count - 1
    kept = min(count, SIZE)
    assert history.recall(newest & 0xFFFF, now=0.0) == rtp(1, newest & 0xFFFF, count - 1)
    oldest = newest - kept + 1
    assert history.recall(oldest & 0xFFFF, now=0.0) == rtp(1, oldest & 0xFFFF, count - kept)
    assert history.recall((newest - kept) & 0xFFFF, now=0.0) is None
    assert history.recall((newest + 1) & 0xFFFF, now=0.0) is None


def test_resending_is_limited_and_recovers() -> None:
    history = History()
    history.remember(1, rtp(1, 1))
    asked = [history.recall(1, now=10.0) for _ in range(MAX_RESENDS_PER_SECOND + 10)]
    assert asked.count(b"") == 10
    assert history.recall(1, now=10.1)


def test_an_empty_history_knows_nothing() -> None:
    history = History()
    assert all(history.recall(sequence, now=0.0) is None for sequence in (0, 1, 0xFFFF))

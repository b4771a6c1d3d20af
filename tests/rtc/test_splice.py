"""Outgoing numbers without a seam, from every place around the wraps."""

from hypothesis import given
from hypothesis import strategies as st

from rtc.splice import Splicer

U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFF_FFFF)
NEAR_WRAP = st.one_of(U16, st.integers(0xFF00, 0xFFFF), st.integers(0, 0xFF))


@given(NEAR_WRAP, NEAR_WRAP, U32, U32, st.integers(1, 400))
def test_one_source_is_shifted_and_nothing_else(
    out: int, start: int, out_timestamp: int, timestamp: int, count: int
) -> None:
    splicer = Splicer(90_000, out, out_timestamp)
    for n in range(count):
        mapped = splicer.map(7, (start + n) & 0xFFFF, (timestamp + 3000 * n) & 0xFFFF_FFFF, 1.0 + n / 30)
        assert mapped is not None
        assert mapped[0] == (out + 1 + n) & 0xFFFF
        assert mapped[1] == (out_timestamp + 1 + 3000 * n) & 0xFFFF_FFFF


@given(NEAR_WRAP, NEAR_WRAP, st.permutations(range(20)), st.sets(st.integers(1, 19), max_size=10))
def test_order_and_gaps_are_kept(out: int, start: int, order: list[int], lost: set[int]) -> None:
    splicer = Splicer(90_000, out, 0)
    splicer.map(7, start, 0, 0.0)
    for n in order:
        if n not in lost and n > 0:
            mapped = splicer.map(7, (start + n) & 0xFFFF, 0, 0.0)
            assert mapped is not None
            assert mapped[0] == (out + 1 + n) & 0xFFFF
            assert splicer.source_sequence(mapped[0]) == (start + n) & 0xFFFF


@given(NEAR_WRAP, st.lists(st.tuples(NEAR_WRAP, U32, st.integers(1, 50)), min_size=1, max_size=6))
def test_sources_follow_each_other_without_a_seam(out: int, sources: list[tuple[int, int, int]]) -> None:
    splicer = Splicer(90_000, out, 0)
    expected, last, now = out, 0, 0.0
    for ssrc, (start, timestamp, count) in enumerate(sources):
        for n in range(count):
            now += 0.02
            mapped = splicer.map(ssrc, (start + n) & 0xFFFF, (timestamp + 1800 * n) & 0xFFFF_FFFF, now)
            assert mapped is not None
            expected = (expected + 1) & 0xFFFF
            assert mapped[0] == expected
            # Timestamps go on at the pace of the clock, whatever the source's own numbers are.
            assert 0 < (mapped[1] - last) & 0xFFFF_FFFF <= 1802
            last = mapped[1]


@given(NEAR_WRAP, NEAR_WRAP, st.integers(1, 500))
def test_a_packet_from_before_the_splice_takes_no_number(out: int, start: int, late: int) -> None:
    splicer = Splicer(90_000, out, 0)
    splicer.map(7, 1, 0, 0.0)
    used = splicer.sequence
    splicer.map(8, start, 0, 0.1)
    assert splicer.map(8, (start - late) & 0xFFFF, 0, 0.2) is None
    assert splicer.sequence == (used + 1) & 0xFFFF


@given(NEAR_WRAP)
def test_a_long_stream_never_meets_its_own_beginning_again(start: int) -> None:
    splicer = Splicer(90_000, 0, 0)
    for n in range(0, 3 * 0x10000, 1000):
        mapped = splicer.map(7, (start + n) & 0xFFFF, n, n / 1000)
        assert mapped is not None
        assert mapped[0] == (1 + n) & 0xFFFF


def test_a_pause_is_continued_as_by_a_new_source() -> None:
    splicer = Splicer(48_000, 10, 0)
    splicer.map(7, 500, 0, 1.0)
    splicer.detach()
    mapped = splicer.map(7, 900, 77, 3.0)
    assert mapped is not None
    assert mapped[0] == 12
    assert mapped[1] == 1 + 2 * 48_000

"""What is reported about received streams."""

from hypothesis import given
from hypothesis import strategies as st

from rtc.reception import Reception

STARTS = st.one_of(st.integers(0, 0xFFFF), st.integers(0xFFC0, 0xFFFF))


@given(STARTS, st.sets(st.integers(1, 98)))
def test_loss_is_counted_across_the_wrap(start: int, lost: set[int]) -> None:
    reception = Reception(1, 90_000, start)
    for n in range(100):
        if n not in lost:
            reception.receive((start + n) & 0xFFFF, n * 3000, n / 30)
    report = reception.report(now=4.0)
    assert report.lost == len(lost)
    assert report.fraction_lost == min(len(lost) * 256 // 100, 255)
    assert report.highest == start + 99
    assert (report.lsr, report.dlsr) == (0, 0)


@given(STARTS, st.permutations(range(1, 30)))
def test_reordering_is_no_loss(start: int, order: list[int]) -> None:
    reception = Reception(1, 90_000, start)
    for n in (0, *order):
        reception.receive((start + n) & 0xFFFF, n * 3000, 0.0)
    assert reception.report(now=1.0).lost == 0


@given(STARTS, st.integers(1, 200))
def test_each_report_tells_the_fraction_since_the_last(start: int, later: int) -> None:
    reception = Reception(1, 90_000, start)
    for n in range(0, 100, 2):
        reception.receive((start + n) & 0xFFFF, n, 0.0)
    assert reception.report(now=1.0).fraction_lost == 49 * 256 // 99
    for n in range(99, 99 + later):
        reception.receive((start + n) & 0xFFFF, n, 0.0)
    report = reception.report(now=2.0)
    assert report.fraction_lost == 0
    assert report.lost == 49


def test_a_restart_of_the_sender_is_no_loss() -> None:
    reception = Reception(1, 90_000, 100)
    for n in range(10):
        reception.receive(100 + n, 0, 0.0)
    for n in range(10):
        reception.receive(20_000 + n, 0, 0.0)
    report = reception.report(now=1.0)
    assert report.lost == 0
    assert report.highest == 20_009


def test_an_even_pace_has_no_jitter_and_an_uneven_one_has() -> None:
    even, uneven = Reception(1, 90_000, 0), Reception(2, 90_000, 0)
    for n in range(100):
        even.receive(n, n * 3000, n / 30)
        uneven.receive(n, n * 3000, n / 30 + (n % 2) * 0.01)
    assert even.report(now=4.0).jitter == 0
    assert 700 < uneven.report(now=4.0).jitter <= 900


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF), st.floats(0, 1e6))))
def test_any_packets_give_a_report_that_fits_its_fields(packets: list[tuple[int, int, float]]) -> None:
    reception = Reception(1, 90_000, 0)
    for sequence, timestamp, now in packets:
        reception.receive(sequence, timestamp, now)
        report = reception.report(now)
        assert 0 <= report.fraction_lost <= 255
        assert -0x80_0000 <= report.lost <= 0x7F_FFFF
        assert 0 <= report.highest <= 0xFFFF_FFFF
        assert 0 <= report.jitter <= 0xFFFF_FFFF


def test_the_last_sender_report_is_told_with_its_age() -> None:
    reception = Reception(1, 90_000, 0)
    reception.sender_report(0x0123_4567_89AB_CDEF, now=10.0)
    report = reception.report(now=10.5)
    assert report.lsr == 0x4567_89AB
    assert report.dlsr == 32768

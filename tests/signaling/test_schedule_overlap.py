"""Which bookings share time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signaling.schedule.overlap import MAX_OVERLAPS, Booking, overlapping


def test_only_what_shares_time_overlaps() -> None:
    booked = [Booking(100, 200, "own")]
    others = [
        Booking(50, 100, "ends as it starts"),
        Booking(50, 101, "into it"),
        Booking(120, 130, "within"),
        Booking(0, 300, "around"),
        Booking(199, 400, "out of it"),
        Booking(200, 300, "starts as it ends"),
        Booking(100, 200, "own"),
    ]
    assert [one.session for one in overlapping(booked, others)] == [
        "around",
        "into it",
        "within",
        "out of it",
    ]


def test_what_is_booked_together_and_what_is_named_twice() -> None:
    both = [Booking(0, 10, "a"), Booking(5, 15, "b")]
    assert overlapping(both, both) == ()
    other = Booking(0, 20, "c")
    assert overlapping(both, [other, other]) == (other,)


def test_a_warning_is_bounded() -> None:
    others = [Booking(n, 1000, str(n)) for n in range(100)]
    assert len(overlapping([Booking(0, 1000, "own")], others)) == MAX_OVERLAPS


bookings = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 10), st.text("abcdef", min_size=1, max_size=2)).map(
        lambda drawn: Booking(drawn[0], drawn[0] + drawn[1], drawn[2])
    ),
    max_size=8,
)


@given(booked=bookings, others=bookings)
def test_they_share_a_millisecond(booked: list[Booking], others: list[Booking]) -> None:
    own = {one.session for one in booked}
    taken = {at for one in booked for at in range(one.starts_ms, one.ends_ms)}
    expected = {
        one for one in others if one.session not in own and taken & set(range(one.starts_ms, one.ends_ms))
    }
    assert set(overlapping(booked, others)) == expected

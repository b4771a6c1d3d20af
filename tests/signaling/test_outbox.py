"""The outbox: bounded, in order, nothing but signals ever dropped."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from signaling.door.outbox import Outbox

SECONDS = 10.0


def test_messages_come_out_joined_and_in_order() -> None:
    outbox = Outbox(1000, SECONDS)
    for message in (b"a", b"b", b"c"):
        outbox.put(message)
    assert outbox.take(0.0, 100) == b"abc"
    assert not outbox
    assert outbox.take(0.0, 100) == b""


def test_as_much_as_asked_for_comes_out_but_at_least_one_message() -> None:
    outbox = Outbox(1000, SECONDS)
    for message in (bytes(50), bytes(5), bytes(5)):
        outbox.put(message)
    assert len(outbox.take(0.0, 8)) == 50
    assert len(outbox.take(0.0, 8)) == 5
    assert outbox.size == 5


def test_a_later_signal_takes_the_place_of_the_waiting_one() -> None:
    outbox = Outbox(1000, SECONDS)
    outbox.put_signal("typing", b"old", 0, 0.0)
    outbox.put_signal("presence", b"other", 0, 0.0)
    outbox.put_signal("typing", b"new", 0, 0.0)
    assert outbox.take(0.0, 100) == b"othernew"
    assert outbox.dropped == 1


def test_a_signal_that_has_waited_too_long_is_dropped() -> None:
    outbox = Outbox(1000, SECONDS)
    outbox.put_signal("typing", b"old", 0, 0.0)
    outbox.put_signal("presence", b"fresh", 0, 5.0)
    assert outbox.take(SECONDS, 100) == b"fresh"
    assert (outbox.dropped, outbox.size, bool(outbox)) == (1, 0, False)


def test_a_signal_that_does_not_fit_is_dropped_and_a_reply_never() -> None:
    outbox = Outbox(10, SECONDS)
    outbox.put(bytes(8))
    outbox.put_signal("typing", bytes(5), 0, 0.0)
    outbox.put(bytes(8))
    assert outbox.dropped == 1
    assert len(outbox.take(0.0, 100)) == 16


def test_what_waits_in_the_transport_counts() -> None:
    outbox = Outbox(100, SECONDS)
    assert outbox.fits(100, 0)
    assert not outbox.fits(100, 1)
    assert outbox.over(100)
    assert not outbox.over(99)


def test_what_is_larger_than_the_outbox_fits_into_an_empty_one() -> None:
    outbox = Outbox(10, SECONDS)
    assert outbox.fits(1000, 0)
    outbox.put(b"x")
    assert not outbox.fits(1000, 0)


@dataclass(frozen=True)
class Put:
    """A message, or a signal with a key."""

    size: int
    key: int | None


PUTS = st.builds(Put, st.integers(1, 60), st.none() | st.integers(0, 3))
STEPS = st.lists(PUTS | st.floats(0, 6) | st.integers(1, 200), max_size=60)


@given(STEPS)
def test_every_message_comes_out_once_in_order(
    steps: list[Put | float | int],
) -> None:
    outbox, now = Outbox(300, SECONDS), 0.0
    put, taken, number = b"", b"", 0
    for step in steps:
        match step:
            case Put(size, None):
                number = (number + 1) % 200
                put += bytes([number]) * size
                outbox.put(bytes([number]) * size)
            case Put(size, key):
                outbox.put_signal(str(key), b"\xff" * size, 0, now)
                assert outbox.size <= 300 or outbox.size == len(put) - len(taken)
            case float():
                now += step
            case int():
                taken += outbox.take(now, step).replace(b"\xff", b"")
        assert outbox.size >= len(put) - len(taken)
    while outbox:
        taken += outbox.take(now, 100).replace(b"\xff", b"")
    assert taken == put
    assert outbox.size == 0

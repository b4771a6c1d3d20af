"""Messages of the control channel and their framing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc import control
from rtc.errors import ControlError

REQUESTS: list[control.RequestMessage] = [
    control.Offer(1, "s", 2, "alice", "v=0\r\n"),
    control.Remove(2, "s", 2, "alice"),
    control.CloseSession(3, "s", 2),
    control.SetModality(4, "s", 2, "audio"),
    control.Stats(5),
    control.Ping(6),
]
ANSWERS: list[control.ReplyMessage | control.EventMessage] = [
    control.Answered(1, "v=0\r\n"),
    control.Done(2),
    control.Failure(3, "sdp_malformed", "a number"),
    control.WorkerStats(4, 1, 2, 3, 4, 5, 6, {"empty": 1}, 0.5),
    control.Ready(5000, "AA:BB"),
    control.Connected("s", 2, "alice"),
    control.Disconnected("s", 2, "alice", control.Reason.CLOSED),
    control.RosterChanged("s", 2, "alice", 1, 1),
]


def test_messages_come_back() -> None:
    for request in REQUESTS:
        assert control.decode_request(control.encode(request)[4:]) == request
    for answer in ANSWERS:
        assert control.decode_from_worker(control.encode(answer)[4:]) == answer


@given(st.lists(st.integers(1, 60), max_size=30))
def test_frames_are_cut_wherever_the_stream_is(cuts: list[int]) -> None:
    stream = b"".join(control.encode(request) for request in REQUESTS)
    buffer, bodies, at = control.FrameBuffer(), [], 0
    for size in [*cuts, len(stream)]:
        bodies += buffer.feed(stream[at : at + size])
        at += size
    assert [control.decode_request(body) for body in bodies] == REQUESTS


@given(st.binary(max_size=200))
def test_any_bytes_give_a_message_or_our_error(data: bytes) -> None:
    for decode in (control.decode_request, control.decode_from_worker):
        with pytest.raises(ControlError):
            decode(data)


def test_lengths_are_bounded() -> None:
    with pytest.raises(ControlError):
        control.FrameBuffer().feed((control.MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(ControlError):
        control.encode(control.Answered(1, "x" * control.MAX_MESSAGE_BYTES))


def test_an_unknown_modality_is_no_message() -> None:
    body = control.encode(control.SetModality(1, "s", 1, "smell"))[4:]  # type: ignore[arg-type]  # the point
    with pytest.raises(ControlError):
        control.decode_request(body)

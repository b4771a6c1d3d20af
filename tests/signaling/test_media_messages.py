"""Nodes of two versions understand what both know of, and nothing that arrives does harm."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.errors import ProtocolError
from signaling.media.messages import (
    Answered,
    Done,
    Leave,
    Look,
    Offer,
    Refused,
    Reply,
    Request,
    Stale,
    Unable,
    Unknown,
    decode_reply,
    decode_request,
    encode,
    error_of,
    refused,
)

REQUESTS: list[Request] = [
    Offer("s", 2, "anna", "c", 7, "v=0"),
    Leave("s", "anna", "c", 8),
    Look("s"),
]
REPLIES: list[Reply] = [
    Answered(2, "v=0"),
    Done(),
    Stale(),
    Unable(),
    Refused("session_full", "eight are in it"),
    Refused("media_unavailable", "", 1000),
    Unknown(),
]


def newer(message: Request | Reply) -> bytes:
    """The message as a later version would send it."""
    return msgspec.msgpack.encode(msgspec.msgpack.decode(encode(message)) | {"since": [1, {"a": None}]})


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_requests_travel_and_may_say_more_than_is_known(request_: Request) -> None:
    assert decode_request(encode(request_)) == decode_request(newer(request_)) == request_


@pytest.mark.parametrize("reply", REPLIES, ids=lambda one: type(one).__name__)
def test_replies_travel_and_may_say_more_than_is_known(reply: Reply) -> None:
    assert decode_reply(encode(reply)) == decode_reply(newer(reply)) == reply


@given(st.binary() | st.builds(lambda kind: msgspec.msgpack.encode({"kind": kind}), st.text()))
def test_what_is_not_understood_is_unknown(data: bytes) -> None:
    assert decode_request(data) is None
    assert decode_reply(data) in {Unknown(), Done(), Stale(), Unable()}


@given(st.sampled_from(errors.error_kinds()), st.text(), st.none() | st.integers(0, 1 << 40))
def test_a_refusal_is_the_same_on_the_other_side(
    kind: errors.ErrorKind, detail: str, retry_after_ms: int | None
) -> None:
    error = error_of(refused(ProtocolError(kind, detail, retry_after_ms=retry_after_ms)))
    assert (error.kind, error.detail, error.retry_after_ms) == (kind, detail or kind.meaning, retry_after_ms)


def test_a_refusal_that_only_a_later_version_knows_is_worth_another_try() -> None:
    error = error_of(Refused("of_a_later_version"))
    assert error.kind is errors.MEDIA_UNAVAILABLE
    assert error.retry_after_ms is not None

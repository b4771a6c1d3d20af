"""The client's own packing and checking, against the declared protocol."""

from __future__ import annotations

import contextlib
from uuid import RFC_4122, UUID

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import wire
from loadtest.errors import ServerFault
from protocol import codec
from protocol.codec import Subprotocol
from protocol.frames import Error, Goodbye, ServerFrame, Welcome
from tests.strategies import server_frames


def _is_sent(frame: ServerFrame) -> bool:
    """Codes, spans and versions are declared as plain integers, and no server sends negative ones."""
    match frame:
        case Error():
            return frame.code >= 0 and (frame.retry_after_ms or 0) >= 0
        case Goodbye():
            return frame.reconnect_after_ms >= 0
        case Welcome():
            return frame.version > 0
        case _:
            return True


@given(server_frames.filter(_is_sent))
def test_every_frame_of_the_server_is_taken(frame: ServerFrame) -> None:
    unpacked = wire.unpack(codec.encode(frame, Subprotocol.MSGPACK))
    assert unpacked["op"] == frame.__struct_config__.tag


@given(st.binary(max_size=200))
def test_any_bytes_give_a_frame_or_a_server_fault(data: bytes) -> None:
    with contextlib.suppress(ServerFault):
        assert wire.unpack(data)["op"]


@pytest.mark.parametrize(
    "frame",
    [
        {"op": "ping", "t_ms": True},
        {"op": "ping", "t_ms": -1},
        {"op": "ping", "t_ms": 1, "heads": {"r1": "4"}},
        {"op": "ok", "id": "1"},
        {"op": "ok", "id": 1, "result": []},
        {"op": "error", "code": 1, "name": "x", "temporary": 1, "detail": ""},
        {"op": "event", "room": "r", "epoch": 1, "offset": 1, "at_ms": 1, "body": b""},
    ],
)
def test_a_field_of_the_wrong_kind_is_a_server_fault(frame: wire.Map) -> None:
    with pytest.raises(ServerFault):
        wire.unpack(msgpack.packb(frame))


@given(st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 74) - 1))
def test_message_ids_are_version_7_and_carry_their_time(now_ms: int, bits: int) -> None:
    mid = wire.message_id(now_ms, bits)
    assert (mid.version, mid.variant, mid.int >> 80) == (7, RFC_4122, now_ms)


@given(st.sets(st.integers(0, (1 << 74) - 1), max_size=20))
def test_different_random_bits_give_different_ids(chances: set[int]) -> None:
    ids: set[UUID] = {wire.message_id(1, bits) for bits in chances}
    assert len(ids) == len(chances)

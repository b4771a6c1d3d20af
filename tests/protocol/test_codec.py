"""The codec: every frame comes back as it went, and any bytes give a frame or our error."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any
from uuid import UUID

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import codec, errors
from protocol.base import Frame
from protocol.codec import Decoder, Subprotocol
from protocol.errors import ProtocolError
from protocol.events import MessageBody
from protocol.frames import ClientFrame, Event, MessageSend, RoomGet
from tests.strategies import client_frames, event_bodies, server_frames

MSGPACK, JSON = Subprotocol.MSGPACK, Subprotocol.JSON
MID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
LIMIT = 1 << 18


def message(frame: Frame, subprotocol: Subprotocol) -> bytes | str:
    """What travels: bytes in a binary message, or text."""
    data = codec.encode(frame, subprotocol)
    return data if subprotocol is MSGPACK else data.decode()


def refused(subprotocol: Subprotocol, data: bytes | str, max_bytes: int = LIMIT) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        codec.client_decoder(subprotocol, max_bytes).decode(data)
    return caught.value


@given(client_frames, st.sampled_from(Subprotocol))
def test_client_frames_round_trip(frame: ClientFrame, subprotocol: Subprotocol) -> None:
    assert codec.client_decoder(subprotocol, 1 << 20).decode(message(frame, subprotocol)) == frame


@given(server_frames, st.sampled_from(Subprotocol))
def test_server_frames_round_trip(frame: Frame, subprotocol: Subprotocol) -> None:
    assert codec.server_decoder(subprotocol).decode(message(frame, subprotocol)) == frame


@given(client_frames)
def test_the_independent_msgpack_package_reads_what_we_write(frame: ClientFrame) -> None:
    plain = msgpack.unpackb(codec.encode(frame, MSGPACK))
    again = codec.client_decoder(MSGPACK, 1 << 20).decode(msgpack.packb(plain))
    assert again == frame
    assert plain["op"] == frame.__struct_config__.tag


@given(event_bodies, st.sampled_from(Subprotocol))
def test_a_stored_body_is_sent_as_it_is_kept(body: Any, subprotocol: Subprotocol) -> None:
    stored = codec.encode_body(body)
    data = codec.encode_event(subprotocol, "room", 3, 7, 1_000, stored, "alice", "phone")
    frame = codec.server_decoder(subprotocol).decode(data if subprotocol is MSGPACK else data.decode())
    assert frame == Event("room", 3, 7, 1_000, body, "alice", "phone")
    assert codec.decode_body(stored) == body


def decode_anything(decoder: Decoder[ClientFrame], data: bytes | str) -> None:
    try:
        frame = decoder.decode(data)
    except ProtocolError:
        return
    assert isinstance(frame, Frame)


@given(st.binary(max_size=400))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x81\xa2op\xc1")
@example(b"\x91" * 5_000)
@example(b"\x82\xa2op\xa4pong\xa1x" + b"\x91" * 5_000)
def test_any_bytes_give_a_frame_or_our_error(data: bytes) -> None:
    decode_anything(codec.client_decoder(MSGPACK, LIMIT), data)


@given(st.text(max_size=400))
@example("[" * 5_000)
@example('{"op":"pong","t_ms":1e999}')
@example('{"op":"pong","t_ms":' + "9" * 400 + "}")
@example('{"op":"pong","t_ms":"\\ud800"}')
@example('{"op":"room.get","id":1,"room":"\ud800"}')
@example('{"op":"pong","x":' + '{"a":' * 5_000)
def test_any_text_gives_a_frame_or_our_error(text: str) -> None:
    decode_anything(codec.client_decoder(JSON, LIMIT), text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(client_frames, st.data())
def test_a_frame_with_one_field_replaced_gives_a_frame_or_our_error(
    frame: ClientFrame, data: st.DataObject
) -> None:
    plain = json.loads(codec.encode(frame, JSON))
    plain[data.draw(st.sampled_from(sorted(plain)))] = data.draw(json_values)
    decode_anything(codec.client_decoder(JSON, LIMIT), json.dumps(plain))


@given(client_frames, st.integers(0, 300))
def test_a_truncated_frame_is_refused(frame: ClientFrame, cut: int) -> None:
    data = codec.encode(frame, MSGPACK)
    error = refused(MSGPACK, data[: min(cut, len(data) - 1)], 1 << 20)
    assert error.kind in {errors.MALFORMED, errors.INVALID_FIELD, errors.UNKNOWN_OP}


@pytest.mark.parametrize(
    ("text", "kind", "request_id"),
    [
        ('{"op":"nope","id":3}', errors.UNKNOWN_OP, 3),
        ('{"op":"nope"}', errors.UNKNOWN_OP, None),
        ('{"op":"welcome","id":3}', errors.UNKNOWN_OP, 3),
        ('{"op":"room.get","id":3}', errors.INVALID_FIELD, 3),
        ('{"op":"room.get","id":3,"room":""}', errors.INVALID_FIELD, 3),
        ('{"op":"room.get","id":3,"room":7}', errors.INVALID_FIELD, 3),
        ('{"op":"room.history","id":3,"room":"r","limit":9999}', errors.INVALID_FIELD, 3),
        ('{"op":"message.send","id":3,"room":"r","mid":"zz","data":"AA=="}', errors.INVALID_FIELD, 3),
        ('{"op":"room.get","id":-1,"room":"r"}', errors.INVALID_FIELD, None),
        ('{"op":5,"id":3}', errors.UNKNOWN_OP, None),
        ("[]", errors.MALFORMED, None),
        ("{}", errors.MALFORMED, None),
        ("", errors.MALFORMED, None),
        ('{"op":"pong","t_ms":1}{', errors.MALFORMED, None),
    ],
)
def test_each_fault_has_its_kind_and_answers_to_the_request(
    text: str, kind: errors.ErrorKind, request_id: int | None
) -> None:
    error = refused(JSON, text)
    assert (error.kind, error.request_id) == (kind, request_id)


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    data = codec.encode(MessageSend(id=1, room="r", mid=MID, data=bytes(500)), MSGPACK)
    assert refused(MSGPACK, data, max_bytes=len(data) - 1).kind is errors.TOO_LARGE
    assert isinstance(codec.client_decoder(MSGPACK, len(data)).decode(data), MessageSend)


def test_text_is_not_messagepack_and_binary_is_not_json() -> None:
    frame = RoomGet(id=1, room="r")
    assert refused(MSGPACK, codec.encode(frame, JSON).decode()).kind is errors.MALFORMED
    assert refused(JSON, codec.encode(frame, JSON)).kind is errors.MALFORMED


@pytest.mark.parametrize("header", [b"\xdd", b"\xdf", b"\xc6", b"\xdb"], ids=["array", "map", "bin", "str"])
@pytest.mark.parametrize("prefix", [b"", b"\x81\xa5rooms", b"\x82\xa2op\xa5hello\xa8versions"])
def test_a_claimed_length_allocates_nothing(prefix: bytes, header: bytes) -> None:
    decoder = codec.client_decoder(MSGPACK, LIMIT)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            decoder.decode(prefix + header + b"\xff\xff\xff\xff" + b"\x01" * 8)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024


@given(st.text(st.characters(categories=["L", "N"]), min_size=12, max_size=30))
def test_a_refusal_never_quotes_what_was_sent(secret: str) -> None:
    secret = f"canary{secret}"
    for text in (
        json.dumps({"op": secret, "id": 1}),
        json.dumps({"op": "signal.send", "id": 1, "room": "r", "body": {"kind": secret}}),
        json.dumps({"op": "message.send", "id": 1, "room": "r", "mid": secret, "data": ""}),
        json.dumps({"op": "message.send", "id": 1, "room": "r", "mid": str(MID), "data": secret + "!"}),
        json.dumps({"op": "hello", "token": [secret], "device": "d"}),
        json.dumps({"op": "hello", "token": "t", "device": "d", "rooms": {secret: {"epoch": "x"}}}),
    ):
        error = refused(JSON, text)
        assert secret not in str(error)
        assert secret not in error.detail
        assert error.__cause__ is None


def test_a_newer_clients_fields_are_ignored() -> None:
    text = '{"op":"room.get","id":1,"room":"r","colour":{"deep":[1,2,3]}}'
    assert codec.client_decoder(JSON, LIMIT).decode(text) == RoomGet(id=1, room="r")


def test_a_body_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(msgspec.MsgspecError):
        codec.decode_body(msgspec.msgpack.encode({"kind": "gossip"}))
    assert codec.decode_body(codec.encode_body(MessageBody(MID, b"x"))) == MessageBody(MID, b"x")


@pytest.mark.parametrize("subprotocol", Subprotocol)
@pytest.mark.parametrize(
    "newer",
    [
        {"kind": "gossip", "about": [1, "x"]},
        {"kind": "member", "account": "a", "role": "parrot", "change": "added"},
    ],
)
def test_a_body_of_a_newer_version_is_shown_as_it_stands(
    newer: dict[str, Any], subprotocol: Subprotocol
) -> None:
    stored = msgspec.msgpack.encode(newer)
    of_log = codec.encode_event(subprotocol, "room", 3, 7, 1_000, stored, None, None)
    of_page = codec.encode(Event("room", 3, 7, 1_000, codec.shown_body(stored)), subprotocol)
    for data in (of_log, of_page):
        read = msgpack.unpackb(data) if subprotocol is MSGPACK else json.loads(data)
        assert read["body"] == newer

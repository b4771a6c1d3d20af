"""What is sent is WebSocket as the independent `websockets` package reads it, and encoded once."""

from __future__ import annotations

import msgpack
import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from protocol.codec import Subprotocol, encode, encode_body
from protocol.events import MemberBody
from protocol.frames import Pong, Signal
from protocol.signals import Typing
from relay.bus import EventNotice
from relay.rows import StoredEvent
from signaling.door import framing


def read(data: bytes) -> WireFrame:
    """The one frame in ``data``, read by `websockets`."""
    protocol = ClientProtocol(parse_uri("ws://localhost/"), max_size=None, state=OPEN)
    protocol.receive_data(data)
    (frame,) = protocol.events_received()
    assert isinstance(frame, WireFrame)
    return frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 300_000])
@pytest.mark.parametrize(
    ("subprotocol", "opcode"), [(Subprotocol.MSGPACK, Opcode.BINARY), (Subprotocol.JSON, Opcode.TEXT)]
)
def test_messages_of_every_length_class(size: int, subprotocol: Subprotocol, opcode: Opcode) -> None:
    frame = read(framing.message(b"x" * size, subprotocol))
    assert (frame.opcode, bytes(frame.data), frame.fin) == (opcode, b"x" * size, True)


def test_control_frames() -> None:
    assert read(framing.pong(b"abc")).data == b"abc"
    closing = read(framing.close(4006, "rate"))
    assert (closing.opcode, closing.data) == (Opcode.CLOSE, (4006).to_bytes(2, "big") + b"rate")


def test_an_event_is_encoded_once_for_each_subprotocol() -> None:
    body = encode_body(MemberBody("ann", "client", "added"))
    event = framing.EventMessage(EventNotice("r", 3, StoredEvent(7, None, None, None, body, 5)))
    binary, text = event.encoded(Subprotocol.MSGPACK), event.encoded(Subprotocol.JSON)
    assert event.encoded(Subprotocol.MSGPACK) is binary
    assert event.encoded(Subprotocol.JSON) is text
    expected = {
        "op": "event",
        "room": "r",
        "epoch": 3,
        "offset": 7,
        "at_ms": 5,
        "body": {"kind": "member", "account": "ann", "role": "client", "change": "added"},
    }
    assert msgpack.unpackb(read(binary).data) == expected
    assert read(text).opcode is Opcode.TEXT


def test_a_signal_is_encoded_once_for_each_subprotocol() -> None:
    signal = framing.SignalMessage(encode(Signal("r", Typing(active=True), "ann"), Subprotocol.MSGPACK))
    assert signal.encoded(Subprotocol.JSON) is signal.encoded(Subprotocol.JSON)
    assert b'"kind":"typing"' in bytes(read(signal.encoded(Subprotocol.JSON)).data)
    assert msgpack.unpackb(read(signal.encoded(Subprotocol.MSGPACK)).data)["sender"] == "ann"


def test_a_frame_of_ours_is_a_message() -> None:
    assert read(framing.frame_message(Pong(5), Subprotocol.JSON)).data == b'{"op":"pong","t_ms":5}'

"""Frames to bytes and back, in MessagePack and in its JSON twin.

A decoder returns a valid frame or raises :exc:`protocol.errors.ProtocolError`, whatever the bytes are, and
nothing that the bytes claim about lengths or depth is believed before it is there: sizes are checked first,
msgspec grows containers by what it has read, and its recursion is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast

import msgspec
from msgspec import Raw

from protocol import errors
from protocol.base import Frame
from protocol.errors import ProtocolError
from protocol.events import EventBody
from protocol.fields import AccountId, DeviceId, Epoch, Milliseconds, Offset, RequestId, RoomId
from protocol.frames import ClientFrame, ServerFrame


class Subprotocol(StrEnum):
    """The WebSocket subprotocols (RFC 6455, 1.9), in the server's order of preference."""

    MSGPACK = "rapport.v1.msgpack"
    JSON = "rapport.v1.json"


class _StoredEvent(Frame, frozen=True, tag="event"):
    """``frames.Event`` with its body still encoded, so that a stored body is never decoded to be sent."""

    room: RoomId
    epoch: Epoch
    offset: Offset
    at_ms: Milliseconds
    body: Raw
    sender: AccountId | None = None
    device: DeviceId | None = None


class _Envelope(msgspec.Struct):
    """As much of a refused frame as is needed to answer it."""

    op: str
    id: RequestId | None = None


FrameT = TypeVar("FrameT")
_MSGPACK = msgspec.msgpack.Encoder(uuid_format="bytes")
_JSON = msgspec.json.Encoder()
_BODY: msgspec.msgpack.Decoder[EventBody] = msgspec.msgpack.Decoder(EventBody)

# msgspec's messages can quote the value they refuse (an unknown tag, a wrong enum), and values may be
# personal: only the place and the expected type are passed on.
_PLACE = re.compile(r" - at `(\$[^`]*)`$")
_EXPECTED = re.compile(
    r"^(Expected `[^`]+`(?: (?:of length )?[<>=]+ -?[0-9.]+)?(?:, got `[a-z]+`)?"
    r"|Object missing required field `\w+`|Object contains unknown field `\w{1,64}`)"
)


def explain(error: msgspec.ValidationError) -> str:
    """What is wrong with a value and where, without quoting it."""
    reason = str(error)
    place, expected = _PLACE.search(reason), _EXPECTED.match(reason)
    problem = expected.group(1) if expected else "the value is not valid"
    return f"{problem} at `{place.group(1) if place else '$'}`"


class Decoder(Generic[FrameT]):
    """Decodes the frames of one direction in one subprotocol."""

    def __init__(self, subprotocol: Subprotocol, frames: object, max_bytes: int) -> None:
        binary = subprotocol is Subprotocol.MSGPACK
        module: Any = msgspec.msgpack if binary else msgspec.json
        self._frame: Callable[[bytes | str], FrameT] = module.Decoder(frames).decode
        self._envelope: Callable[[bytes | str], _Envelope] = module.Decoder(_Envelope).decode
        self._message: type[bytes] | type[str] = bytes if binary else str
        self._max_bytes = max_bytes

    def decode(self, data: bytes | str) -> FrameT:
        """One WebSocket message to one frame.

        Raises :exc:`ProtocolError` of kind ``too_large``, ``too_deep``, ``malformed``, ``unknown_op`` or
        ``invalid_field``. Its ``request_id`` is set when the bytes were a request whose id could be read.
        """
        if not isinstance(data, self._message):
            raise ProtocolError(
                errors.MALFORMED, "MessagePack travels in binary messages and JSON in text messages"
            )
        if len(data) > self._max_bytes:
            raise ProtocolError(
                errors.TOO_LARGE, f"the frame has {len(data)} bytes, {self._max_bytes} are allowed"
            )
        try:
            return self._frame(data)
        except msgspec.ValidationError as error:
            raise self._refusal(data, error) from None
        except RecursionError:
            raise ProtocolError(errors.TOO_DEEP) from None
        # UnicodeError: text that is not UTF-8; ValueError covers msgspec's own and number conversions.
        except (msgspec.MsgspecError, UnicodeError, ValueError):
            raise ProtocolError(errors.MALFORMED) from None

    def _refusal(self, data: bytes | str, error: msgspec.ValidationError) -> ProtocolError:
        request_id = self._request_id(data)
        place = _PLACE.search(str(error))
        where = place.group(1) if place else "$"
        if where == "$.op":
            return ProtocolError(errors.UNKNOWN_OP, request_id=request_id)
        if request_id is None and where == "$":
            return ProtocolError(errors.MALFORMED)
        return ProtocolError(errors.INVALID_FIELD, explain(error), request_id=request_id)

    def _request_id(self, data: bytes | str) -> int | None:
        try:
            return self._envelope(data).id
        except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError):
            return None


def client_decoder(subprotocol: Subprotocol, max_bytes: int) -> Decoder[ClientFrame]:
    """The server's decoder, for what clients send; ``max_bytes`` bounds one frame."""
    return Decoder(subprotocol, ClientFrame, max_bytes)


def server_decoder(subprotocol: Subprotocol, max_bytes: int = 16 << 20) -> Decoder[ServerFrame]:
    """A client's decoder, for what the server sends; ``max_bytes`` bounds one frame."""
    return Decoder(subprotocol, ServerFrame, max_bytes)


def encode(frame: Frame, subprotocol: Subprotocol) -> bytes:
    """One frame to the bytes of one WebSocket message (UTF-8 text in JSON)."""
    return (_MSGPACK if subprotocol is Subprotocol.MSGPACK else _JSON).encode(frame)


def encode_body(body: EventBody) -> bytes:
    """An event's body to the bytes the store keeps."""
    return _MSGPACK.encode(body)


def decode_body(data: bytes) -> EventBody:
    """The inverse of :func:`encode_body`; :exc:`msgspec.MsgspecError` if the bytes are not a body."""
    return _BODY.decode(data)


def shown_body(data: bytes) -> EventBody:
    """The bytes the store keeps as the body that clients are shown.

    A newer version may have written it, of a kind or with a value that this one does not know: then it is the
    map that it is, encoded like any other. What is to be done about it, clients decide.
    """
    try:
        return decode_body(data)
    except msgspec.ValidationError:
        return cast(EventBody, msgspec.msgpack.decode(data, type=dict[str, Any]))


def encode_event(
    subprotocol: Subprotocol,
    room: str,
    epoch: int,
    offset: int,
    at_ms: int,
    body: bytes,
    sender: str | None,
    device: str | None,
) -> bytes:
    """The ``event`` frame of a stored event, its ``body`` as the store keeps it."""
    raw = Raw(body) if subprotocol is Subprotocol.MSGPACK else Raw(_JSON.encode(shown_body(body)))
    event = _StoredEvent(room, epoch, offset, at_ms, raw, sender, device)
    return encode(event, subprotocol)

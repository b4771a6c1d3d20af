"""WebSocket framing of what the server sends (RFC 6455, 5.2): whole, unmasked, uncompressed messages.

The header is made together with the payload, so that the bytes of an event are made once and handed to every
subscriber as they are. Reading, masking and control frames are aiohttp's.
"""

from __future__ import annotations

from struct import Struct

from protocol.base import Frame
from protocol.codec import Subprotocol, encode, encode_event, server_decoder
from relay.bus import EventNotice

_FIN_TEXT = 0x81
_FIN_BINARY = 0x82
_FIN_CLOSE = 0x88
_FIN_PONG = 0x8A
_SHORT = Struct("!BB").pack
_MEDIUM = Struct("!BBH").pack
_LONG = Struct("!BBQ").pack
_SIGNALS = server_decoder(Subprotocol.MSGPACK)


def message(payload: bytes, subprotocol: Subprotocol) -> bytes:
    """One WebSocket message: binary for MessagePack, text for JSON."""
    first = _FIN_BINARY if subprotocol is Subprotocol.MSGPACK else _FIN_TEXT
    size = len(payload)
    if size < 126:
        return _SHORT(first, size) + payload
    if size < 1 << 16:
        return _MEDIUM(first, 126, size) + payload
    return _LONG(first, 127, size) + payload


def frame_message(frame: Frame, subprotocol: Subprotocol) -> bytes:
    """One of our frames as a WebSocket message."""
    return message(encode(frame, subprotocol), subprotocol)


def pong(payload: bytes) -> bytes:
    """The control frame that answers a ping (RFC 6455, 5.5.3)."""
    return _SHORT(_FIN_PONG, len(payload)) + payload


def close(code: int, reason: str = "") -> bytes:
    """The control frame that ends the conversation (RFC 6455, 5.5.1)."""
    body = code.to_bytes(2, "big") + reason.encode()
    return _SHORT(_FIN_CLOSE, len(body)) + body


class EventMessage:
    """An event as a WebSocket message, encoded once for each subprotocol that somebody speaks."""

    __slots__ = ("_binary", "_text", "notice")

    def __init__(self, notice: EventNotice) -> None:
        self.notice = notice
        self._binary: bytes | None = None
        self._text: bytes | None = None

    def encoded(self, subprotocol: Subprotocol) -> bytes:
        """The message in ``subprotocol``; the same object at every call."""
        if subprotocol is Subprotocol.MSGPACK:
            if self._binary is None:
                self._binary = self._encode(subprotocol)
            return self._binary
        if self._text is None:
            self._text = self._encode(subprotocol)
        return self._text

    def _encode(self, subprotocol: Subprotocol) -> bytes:
        notice, event = self.notice, self.notice.event
        payload = encode_event(
            subprotocol,
            notice.room,
            notice.epoch,
            event.offset,
            event.at_ms,
            event.body,
            event.sender,
            event.device,
        )
        return message(payload, subprotocol)


class SignalMessage:
    """The same for a signal, whose notice carries the frame in MessagePack."""

    __slots__ = ("_binary", "_encoded", "_text")

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded
        self._binary = message(encoded, Subprotocol.MSGPACK)
        self._text: bytes | None = None

    def encoded(self, subprotocol: Subprotocol) -> bytes:
        """The message in ``subprotocol``; the same object at every call."""
        if subprotocol is Subprotocol.MSGPACK:
            return self._binary
        if self._text is None:
            self._text = frame_message(_SIGNALS.decode(self._encoded), subprotocol)
        return self._text

"""Frames as this client sees them: maps in MessagePack, checked by hand.

Deliberately independent of the server's codec: the reference ``msgpack`` package packs and unpacks, and
the table below says what has to be there. It checks what this package relies on and leaves the rest alone, so
that a newer server may say more. Nothing here touches a socket or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgpack

from loadtest.errors import ServerFault

SUBPROTOCOL: Final = "rapport.v1.msgpack"
VERSION: Final = 1
MAX_FRAME_BYTES: Final = 16 << 20
"""The largest frame taken from the server: a page of history at its largest fits."""

Map: TypeAlias = dict[str, Any]
"""A frame, or a value within one, as unpacked."""

_REQUIRED: Final[Mapping[str, Mapping[str, type]]] = {
    "welcome": {
        "connection": str,
        "version": int,
        "server_now_ms": int,
        "account": str,
        "role": str,
        "limits": dict,
        "rooms": list,
    },
    "ok": {"id": int},
    "error": {"code": int, "name": str, "temporary": bool, "detail": str},
    "event": {"room": str, "epoch": int, "offset": int, "at_ms": int, "body": dict},
    "signal": {"room": str, "body": dict},
    "caught_up": {"room": str, "epoch": int, "offset": int},
    "reset": {"room": str, "epoch": int, "lowest": int, "reason": str},
    "removed": {"room": str},
    "ping": {"t_ms": int},
    "goodbye": {"reason": str, "reconnect_after_ms": int},
    "keys.changed": {"what": str},
}
_OPTIONAL: Final[Mapping[str, Mapping[str, type]]] = {
    "welcome": {"keys": dict},
    "ok": {"result": dict},
    "error": {"id": int, "retry_after_ms": int, "mismatch": dict},
    "event": {"sender": str, "device": str},
    "signal": {"sender": str},
    "ping": {"heads": dict},
}
_ROOM_HEAD: Final[Mapping[str, type]] = {"room": str, "epoch": int, "head": int, "cursor": int}


def pack(frame: Mapping[str, Any]) -> bytes:
    """One frame to the bytes of one binary WebSocket message."""
    packed: bytes = msgpack.packb(frame)
    return packed


def plain(packed: bytes) -> Any:
    """A packed value of this side as what :func:`pack` takes."""
    return msgpack.unpackb(packed)


def unpack(data: bytes | str) -> Map:
    """One WebSocket message from the server to a frame that has what its ``op`` promises.

    Raises :exc:`ServerFault`, which never quotes the content.
    """
    if isinstance(data, str):
        raise ServerFault("a text message on the MessagePack subprotocol")
    try:
        frame = msgpack.unpackb(data, strict_map_key=True)
    # ValueError covers what msgpack raises for bytes that are cut short, too deep, or followed by more.
    except (ValueError, msgpack.UnpackException) as error:
        raise ServerFault(f"not MessagePack: {type(error).__name__}") from None
    if not isinstance(frame, dict) or not isinstance(op := frame.get("op"), str):
        raise ServerFault("a frame without `op`")
    if op not in _REQUIRED:
        raise ServerFault("a frame with an `op` that servers do not send")
    check(frame, _REQUIRED[op], op)
    check(frame, {name: kind for name, kind in _OPTIONAL.get(op, {}).items() if name in frame}, op)
    if op == "welcome":
        for head in frame["rooms"]:
            check(head, _ROOM_HEAD, "welcome.rooms")
    if op == "ping" and (heads := frame.get("heads")):
        check(heads, dict.fromkeys(heads, int), "ping.heads")
    return frame


def check(value: Any, required: Mapping[str, type], what: str) -> None:
    """Raise :exc:`ServerFault` unless ``value`` is a map with these fields, and no number is negative."""
    if not isinstance(value, dict):
        raise ServerFault(f"`{what}` is not a map")
    for name, kind in required.items():
        field = value.get(name)
        # bool is a kind of int in Python, and not on the wire.
        good = isinstance(field, kind) and not (kind is int and isinstance(field, bool))
        if not good or (isinstance(field, int) and field < 0):
            raise ServerFault(f"`{what}` without a good `{name}`")


def message_id(now_ms: int, random_bits: int) -> UUID:
    """A UUIDv7 (RFC 9562, 5.7) of a Unix time in milliseconds and at least 74 random bits."""
    random_a, random_b = random_bits & 0xFFF, (random_bits >> 12) & ((1 << 62) - 1)
    stamp = now_ms & ((1 << 48) - 1)
    return UUID(int=stamp << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)

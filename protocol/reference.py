"""Writes the wire reference from the declarations, so that it cannot say anything else.

The text of the fields stands in the source, as a string under each of them; the sources are arguments here
because this package reads no files. ``docs/generate.py`` gives them and keeps the result.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, get_args

import msgspec
from msgspec import inspect

from protocol import errors
from protocol.around import (
    DayException,
    Hours,
    InboxEntry,
    NextSession,
    Span,
    Unanswered,
    UrgentMessage,
    WeeklySpan,
)
from protocol.e2ee.devices import SignedList
from protocol.e2ee.epochs import Slot
from protocol.e2ee.prekeys import SignedPrekey
from protocol.events import EventBody
from protocol.fields import MAX_SAFE_INTEGER
from protocol.frames import AnyRequest, ClientFrame, Limits, Member, Position, Result, RoomHead, ServerFrame
from protocol.keys import (
    ClaimedPrekey,
    DevicePlace,
    KeyInventory,
    Mismatch,
    OwnDevice,
    SlotPlace,
)
from protocol.receipts import DeviceReceipt, MemberReceipts
from protocol.sessions import ConsentTerm, Lateness, Proposal, Waiter, Withdrawal
from protocol.signals import SignalBody

Docs = Mapping[str, Mapping[str, str]]
"""Class name to field name to the string under the field."""

_HEADER = """\
# Wire reference

Generated from `protocol/` by `make docs`; a test holds the two equal. The life of a connection is told in
[connections.md](connections.md), the same declarations as a JSON Schema are in
[wire.schema.json](wire.schema.json).

Every frame is one WebSocket message: a map with an `op`. With the subprotocol `rapport.v1.msgpack` it is
MessagePack in a binary message; with `rapport.v1.json` it is JSON in a text message, bytes are base64 and
UUIDs their usual text. Unknown keys are ignored. A field with a default may be left out. Times ending in
`_ms` are milliseconds, instants counted from 1970-01-01T00:00:00Z. Integers go up to 2^53 - 1 unless a
smaller bound is named.
"""

_TYPE_NAMES = {
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "text",
    inspect.BytesType: "bytes",
    inspect.BoolType: "boolean",
    inspect.UUIDType: "UUID",
    inspect.NoneType: "none",
}

_SECTIONS: tuple[tuple[str, str, Any], ...] = (
    ("Client to server: the connection", "op", ClientFrame),
    ("Client to server: requests", "op", AnyRequest),
    ("Server to client", "op", ServerFrame),
    ("Results, in `ok.result`", "of", Result),
    ("Event bodies, in `event.body`", "kind", EventBody),
    ("Signal bodies, in `signal.body`", "kind", SignalBody),
)


_PARTS = (
    Position,
    Limits,
    RoomHead,
    Member,
    Waiter,
    Proposal,
    Lateness,
    ConsentTerm,
    Withdrawal,
    InboxEntry,
    Unanswered,
    UrgentMessage,
    NextSession,
    MemberReceipts,
    DeviceReceipt,
    Hours,
    WeeklySpan,
    DayException,
    Span,
    KeyInventory,
    Mismatch,
    OwnDevice,
    ClaimedPrekey,
    SignedList,
    SignedPrekey,
    DevicePlace,
    SlotPlace,
    Slot,
)


def field_docs(sources: Iterable[str]) -> Docs:
    """The string under each field of each class in these Python sources."""
    found: dict[str, dict[str, str]] = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                found[node.name] = dict(_documented_fields(node))
    return found


def _documented_fields(node: ast.ClassDef) -> Iterable[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())


def wire_reference(sources: Iterable[str]) -> str:
    """The reference page, in Markdown, for the sources of the modules that declare frames and bodies.

    :exc:`KeyError` names a field that has no string under it.
    """
    docs = field_docs(sources)
    parts = [_HEADER]
    for title, tag, union in _SECTIONS:
        parts.append(f"## {title}\n")
        parts += [_entry(struct, tag, docs) for struct in _members(union, title)]
    parts.append("## Parts of frames\n")
    parts += [_entry(struct, None, docs) for struct in _PARTS]
    parts += [_errors(), _closes()]
    return "\n".join(parts)


def wire_schema() -> str:
    """A JSON Schema (2020-12) of all frames as the JSON subprotocol carries them."""
    (client, server), components = msgspec.json.schema_components(
        (ClientFrame, ServerFrame), ref_template="#/$defs/{name}"
    )
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rapport wire protocol, version 1",
        "anyOf": [{"title": "ClientFrame", **client}, {"title": "ServerFrame", **server}],
        "$defs": components,
    }
    return msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=2).decode() + "\n"


def _members(union: UnionType, title: str) -> list[type[msgspec.Struct]]:
    requests = get_args(AnyRequest)
    members = get_args(union)
    return [struct for struct in members if title.endswith("requests") or struct not in requests]


def _entry(struct: type[msgspec.Struct], tag: str | None, docs: Docs) -> str:
    name = struct.__struct_config__.tag if tag else struct.__name__
    about = re.sub(r":\w+:`([^`]+)`|``([^`]+)``", r"`\1\2`", " ".join((struct.__doc__ or "").split()))
    array = " An array of these, in this order." if struct.__struct_config__.array_like else ""
    lines = [f"### `{name}`\n", f"{about}{array}\n"]
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    if info.fields:
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        lines += [_row(struct, field, docs) for field in info.fields]
        lines.append("")
    return "\n".join(lines)


def _row(struct: type[msgspec.Struct], field: inspect.Field, docs: Docs) -> str:
    meanings = [
        docs[base.__name__][field.name]
        for base in struct.__mro__
        if field.name in docs.get(base.__name__, {})
    ]
    if not meanings:
        raise KeyError(f"{struct.__name__}.{field.name} has no string under it")
    meaning = meanings[0].replace("``", "`")
    default = "" if field.required else f"`{_default(field)}`"
    return f"| `{field.name}` | {_type(field.type)} | {default} | {meaning} |"


def _default(field: inspect.Field) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return msgspec.json.encode(value).decode()


def _type(info: inspect.Type) -> str:
    match info:
        case inspect.UnionType(types=members):
            return " or ".join(_type(member) for member in members)
        case inspect.StructType(cls=cls):
            tag = cls.__struct_config__.tag
            return f"`{tag or cls.__name__}`"
        case inspect.VarTupleType(item_type=item):
            return f"list of {_type(item)}{_bounds(info)}"
        case inspect.DictType(key_type=key, value_type=value):
            return f"map of {_type(key)} to {_type(value)}{_bounds(info)}"
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case _:
            return _TYPE_NAMES[type(info)] + _bounds(info)


def _bounds(info: inspect.Type) -> str:
    match info:
        case inspect.IntType(ge=low, le=high):
            unit = ""
        case inspect.StrType(min_length=low, max_length=high):
            unit = " characters"
        case (
            inspect.VarTupleType(min_length=low, max_length=high)
            | inspect.DictType(min_length=low, max_length=high)
        ):
            unit = " entries"
        case _:
            return ""
    match low or 0, high:
        case _, None:
            return ""
        case least, most if most == MAX_SAFE_INTEGER:
            return f" from {least}"
        case least, most:
            return f", {least} to {most}{unit}"
    raise AssertionError("every pair of bounds is one of the above")


def _errors() -> str:
    head = "| code | name | HTTP | temporary | meaning | what to do |\n|---|---|---|---|---|---|"
    rows = (
        f"| {kind.code} | `{kind.name}` | {kind.status} | {'yes' if kind.temporary else ''} "
        f"| {kind.meaning} | {kind.hint} |"
        for kind in errors.error_kinds()
    )
    return "\n".join(["## Errors\n", head, *rows, ""])


def _closes() -> str:
    head = "| code | name | come back | meaning |\n|---|---|---|---|"
    rows = (
        f"| {close.code} | `{close.name}` | {'yes' if close.reconnect else 'no'} | {close.meaning} |"
        for close in errors.close_codes()
    )
    return "\n".join(["## Close codes\n", head, *rows, ""])

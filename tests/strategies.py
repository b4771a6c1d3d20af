"""Hypothesis strategies for wire values, made from the declarations themselves.

A field added to a frame is generated from then on without a change here.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from protocol.events import EventBody
from protocol.frames import ClientFrame, ServerFrame

_INT64 = (1 << 63) - 1


def values(declared: Any) -> st.SearchStrategy[Any]:
    """Valid values of a type that msgspec knows: a frame, a union of them, or a field's type."""
    return _of(inspect.type_info(declared))


def _of(info: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901 - one flat case for each type of msgspec
    match info:
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=low, le=high):
            return st.integers(-_INT64 if low is None else low, _INT64 if high is None else high)
        case inspect.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case inspect.StrType(min_length=low, max_length=high):
            return st.text(
                st.characters(exclude_categories=["Cs"]), min_size=low or 0, max_size=min(high or 40, 40)
            )
        case inspect.BytesType(min_length=low, max_length=high):
            some = st.binary(max_size=min(high or 200, 200))
            return some.map(lambda data: data.ljust(low or 0, b"\0"))
        case inspect.UUIDType():
            return st.uuids()
        case inspect.LiteralType(values=choices):
            return st.sampled_from(choices)
        case inspect.VarTupleType(item_type=item, min_length=low):
            return st.lists(_of(item), min_size=low or 0, max_size=4).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of(key), _of(value), max_size=4)
        case inspect.UnionType(types=members):
            return st.one_of([_of(member) for member in members])
        case inspect.StructType(cls=struct, fields=fields):
            return st.builds(struct, **{field.name: _of(field.type) for field in fields})
    raise AssertionError(f"no strategy for {info}")


client_frames = values(ClientFrame)
server_frames = values(ServerFrame)
event_bodies = values(EventBody)

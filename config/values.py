"""Reading one value: from TOML, where it has a type, or from text, where the setting's type decides.

    text (environment, flag)  ->  from_text  ->  value of a TOML type
    value of a TOML type      ->  accept     ->  value of the setting, in its bounds and past its check

Both raise :exc:`BadValue`, which says what is wrong and never quotes a secret.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from config.setting import Setting

MAX_TEXT = 64 * 1024
"""The longest text of a value, in characters. Longer ones are refused before they are looked into."""

_SHOWN = 40
"""How many characters of a wrong value are quoted."""

_HUGE = 10**30


class BadValue(ValueError):
    """The value is not one that the setting can have. Its text goes into a :class:`config.faults.Fault`."""


def from_text(setting: Setting, text: str) -> object:
    """The value that ``text`` stands for.

    Lists are written ``a,b`` and tables ``key=value,key=value``; empty text is an empty list or table, and
    unsets a setting that may be unset. Raises :exc:`BadValue`.
    """
    if len(text) > MAX_TEXT:
        raise BadValue(f"is longer than {MAX_TEXT} characters")
    base, optional = unwrap(setting.type)
    if optional and not text:
        return None
    reader = _READERS.get(typing.get_origin(base) or base)
    try:
        return reader(text) if reader else text
    except ValueError:
        raise BadValue(f"must be {kind(setting)}{_got(setting, text)}") from None


def accept(setting: Setting, value: object) -> object:
    """The value as the dataclass holds it, once its type, its bounds and its check are right."""
    value = _typed(setting, value)
    _bounded(setting, value)
    if unwrap(setting.type)[0] is float and isinstance(value, int):
        value = float(value)
    problem = setting.meaning.check(value) if setting.meaning.check else None
    if problem:
        raise BadValue(problem)
    return value


def kind(setting: Setting) -> str:
    """The type of the setting in words, as messages and the reference page have it."""
    base, optional = unwrap(setting.type)
    if typing.get_origin(base) is typing.Literal:
        words = "one of " + ", ".join(typing.get_args(base))
    else:
        words = _KINDS[typing.get_origin(base) or base]
    return f"{words}, or unset" if optional else words


def unwrap(declared: Any) -> tuple[Any, bool]:
    """``(X, True)`` for ``X | None``, else ``(X, False)``."""
    if isinstance(declared, types.UnionType):
        (base,) = (each for each in typing.get_args(declared) if each is not types.NoneType)
        return base, True
    return declared, False


def _typed(setting: Setting, value: object) -> object:
    base, optional = unwrap(setting.type)
    if value is None and optional:
        return None
    origin = typing.get_origin(base) or base
    match value:
        case bool() if origin is bool:
            return value
        case int() if origin is int and not isinstance(value, bool):
            return value
        case int() | float() if origin is float and not isinstance(value, bool):
            return value
        case str() if origin is str or (origin is typing.Literal and value in typing.get_args(base)):
            return value
        case list() | tuple() if origin is tuple and all(isinstance(each, str) for each in value):
            return tuple(value)
        case Mapping() if origin is Mapping and all(isinstance(each, str) for each in value.values()):
            return MappingProxyType(dict(value))
        case _:
            raise BadValue(f"must be {kind(setting)}{_got(setting, value)}")


def _bounded(setting: Setting, value: object) -> None:
    if not setting.meaning.between or not isinstance(value, int | float):
        return
    low, high = setting.meaning.between
    if not low <= value <= high:  # false for NaN too
        raise BadValue(f"must be {bounds(setting)}{_got(setting, value)}")


def bounds(setting: Setting) -> str:
    """The bounds of a number in words; empty for what has none."""
    if not setting.meaning.between:
        return ""
    low, high = setting.meaning.between
    return f"from {low:,} to {high:,}"


def _got(setting: Setting, value: object) -> str:
    """What was found instead, shortened; nothing at all of a secret."""
    if setting.meaning.secret:
        return ""
    if isinstance(value, int) and abs(value) > _HUGE:
        return ""  # Python refuses to write out integers of thousands of digits
    shown = repr(value)
    return f", not {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}"


def _read_bool(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


def _read_list(text: str) -> list[str]:
    return [each.strip() for each in text.split(",")] if text.strip() else []


def _read_table(text: str) -> dict[str, str]:
    table: dict[str, str] = {}
    for entry in _read_list(text):
        key, equals, value = entry.partition("=")
        if not equals or not key.strip() or key.strip() in table:
            raise ValueError(key)
        table[key.strip()] = value.strip()
    return table


_READERS: Mapping[Any, Callable[[str], object]] = {
    bool: _read_bool,
    int: int,
    float: float,
    tuple: _read_list,
    Mapping: _read_table,
}

_KINDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    tuple: "a list of texts",
    Mapping: "a table of texts",
}

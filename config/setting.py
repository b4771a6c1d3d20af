"""How a setting is declared: a dataclass field that carries its meaning, its bounds and its checks.

Leaves to :mod:`config.settings` which settings there are, and to :mod:`config.values` how one is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, cast, get_type_hints

T = TypeVar("T")

Check = Callable[[Any], str | None]
"""Looks at a value of the right type: None if it is good, else what is wrong (without quoting the value)."""

_KEY = "rapport.setting"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a field says about itself beyond its type and its default."""

    doc: str
    between: tuple[float, float] | None
    secret: bool
    file: bool
    default_is: str | None
    check: Check | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of one section, as declared."""

    section: str
    name: str
    type: Any
    default: object
    meaning: Meaning

    @property
    def path(self) -> str:
        """``section.name``, as in flags and messages."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable of the setting."""
        return f"RAPPORT_{self.section}_{self.name}".upper()


def setting(
    default: T,
    doc: str,
    *,
    between: tuple[float, float] | None = None,
    secret: bool = False,
    file: bool = False,
    default_is: str | None = None,
    check: Check | None = None,
) -> T:
    """A dataclass field that is a setting.

    ``between`` has the bounds of a number, both included, in the unit that the field's name ends in. A
    ``secret`` is never shown and never taken from a flag; a ``file`` must be readable when the settings are
    loaded; ``default_is`` describes a default that depends on the machine.
    """
    meaning = Meaning(doc, between, secret, file, default_is, check)
    if isinstance(default, Mapping):
        declared: object = dataclasses.field(
            default_factory=lambda: MappingProxyType(default), repr=not secret, metadata={_KEY: meaning}
        )
    else:
        declared = dataclasses.field(default=default, repr=not secret, metadata={_KEY: meaning})
    return cast(T, declared)


def settings_of(section: str, declared: type) -> Iterator[Setting]:
    """The settings that the dataclass ``declared`` stands for, in the order of its fields."""
    types = get_type_hints(declared)
    defaults = declared()
    for field in dataclasses.fields(declared):
        meaning = field.metadata[_KEY]
        yield Setting(section, field.name, types[field.name], getattr(defaults, field.name), meaning)

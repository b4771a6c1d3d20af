"""From sources to settings: precedence, and every fault at once. Pure; :mod:`config.loading` feeds it.

    default < machine < --dev < file < environment < flag

A higher source replaces the whole value of a setting, lists and tables included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from config import sources, values
from config.faults import ConfigError, Fault
from config.rules import RULES, Rule
from config.settings import ALL, SECTIONS, Settings
from config.sources import FileText, Found, Given


@dataclass(frozen=True, slots=True)
class Resolution:
    """Settings, and where each of them comes from."""

    settings: Settings
    """All of them."""
    origins: Mapping[str, str]
    """By the setting's path: ``default``, ``rapport.toml:12``, ``environment RAPPORT_X``, ``flag --x``."""


def resolve(
    *,
    file: FileText | Fault | None,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
    cores: int,
    development_secret: str | None,
) -> Resolution:
    """The settings that these sources give together.

    ``flags`` has texts by path (``store.url``); ``development_secret`` turns development mode on and is the
    secret of its API key; ``file`` is a fault if it could not be read. Raises :exc:`ConfigError` with every
    fault of every source, also of values that a higher source replaces, and of the settings between
    themselves.
    """
    found = chain(
        sources.from_machine(cores),
        sources.from_development(development_secret) if development_secret is not None else (),
        sources.from_file(file) if file else (),
        sources.from_environment(environ),
        sources.from_flags(flags),
    )
    chosen = _Chosen.of(found)
    settings = _compose(chosen.values)
    faults = list(chosen.faults)
    # What a source that cannot be read would have said may be just what settles a contradiction.
    if not any(fault.hides for fault in faults):
        faults += _contradictions(settings, chosen, development=development_secret is not None)
    if faults:
        raise ConfigError(tuple(faults))
    return Resolution(settings, {path: chosen.origin(path) for path in ALL})


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What stands after all sources have spoken."""

    values: dict[str, object]
    given: dict[str, Given]
    faults: list[Fault]
    faulty: set[str]

    @classmethod
    def of(cls, found: Iterator[Found]) -> _Chosen:
        chosen = cls({}, {}, [], set())
        for one in found:
            if isinstance(one, Fault):
                chosen.faults.append(one)
            else:
                chosen._take(one)
        return chosen

    def _take(self, given: Given) -> None:
        setting = given.setting
        try:
            value = values.from_text(setting, str(given.value)) if given.is_text else given.value
            self.values[setting.path] = values.accept(setting, value)
            self.given[setting.path] = given
        except values.BadValue as problem:
            self.faults.append(Fault(given.place, str(problem)))
            self.faulty.add(setting.path)

    def origin(self, path: str) -> str:
        return self.given[path].source if path in self.given else "default"


def _compose(chosen: Mapping[str, object]) -> Settings:
    sections: dict[str, Any] = {
        section: declared(
            **{path.split(".")[1]: value for path, value in chosen.items() if path.startswith(f"{section}.")}
        )
        for section, declared in SECTIONS.items()
    }
    return Settings(**sections)


def _contradictions(settings: Settings, chosen: _Chosen, *, development: bool) -> Iterator[Fault]:
    for rule in RULES:
        asked = development or not rule.only_development
        if asked and chosen.faulty.isdisjoint(rule.about) and rule.broken(settings):
            yield Fault(_place(rule, chosen), rule.problem)


def _place(rule: Rule, chosen: _Chosen) -> str:
    """The places of the settings concerned that someone gave, or their names if all are defaults."""
    given = [chosen.given[path].place for path in rule.about if path in chosen.given]
    return " and ".join(given or rule.about)

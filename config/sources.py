"""Where values come from: a TOML file, the environment, flags, and what follows from machine and mode.

Each source gives a stream of :class:`Given` values, and of faults where it names settings that do not exist.
Reading the values is the matter of :mod:`config.values`, their precedence of :mod:`config.resolve`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from config import toml
from config.faults import Fault
from config.setting import Setting
from config.settings import ALL, SECTIONS

PREFIX = "RAPPORT_"

FILE_VARIABLE = "RAPPORT_CONFIG"
"""Names the TOML file where no flag does."""

OTHER_VARIABLES = frozenset({FILE_VARIABLE, "RAPPORT_SECRET"})
"""Not settings, though they begin alike: the file, and the secret that the client commands sign with."""

DEVELOPMENT_KEY = "dev"
"""The id of the API key that development mode makes up."""

# Container platforms put the addresses of a service called "rapport" into the environment of its neighbours.
_SERVICE_LINK = re.compile(r"RAPPORT_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)\w*)?)")

_VARIABLES: Mapping[str, Setting] = {setting.variable: setting for setting in ALL.values()}


@dataclass(frozen=True, slots=True)
class Given:
    """A value as a source gives it."""

    setting: Setting
    """What it is for."""
    value: object
    """Of a TOML type, or text if ``is_text``."""
    source: str
    """Where it comes from, as `rapport config show` tells it."""
    place: str
    """The same, as faults tell it."""
    is_text: bool = False
    """Whether the setting's type has yet to make something of it."""


Found = Given | Fault


@dataclass(frozen=True, slots=True)
class FileText:
    """A configuration file that has been read."""

    name: str
    """How messages call it."""
    text: str
    """What is in it."""


def from_machine(cores: int) -> Iterator[Found]:
    """Defaults that depend on the machine: one core is left to the server, the others forward media."""
    yield _plain("media.workers", max(1, cores - 1), "default for this machine")


def from_development(secret: str) -> Iterator[Found]:
    """What makes a first run safe and easy: loopback, free media ports, a store in the folder, a key."""
    for path, value in {
        "server.host": "127.0.0.1",
        "store.url": "sqlite:///.rapport/rapport.db",
        "media.host": "127.0.0.1",
        "media.port": 0,
        "tokens.keys": {DEVELOPMENT_KEY: secret},
        "log.format": "console",
    }.items():
        yield _plain(path, value, "--dev")


def from_file(file: FileText | Fault) -> Iterator[Found]:
    """The settings of a TOML file, with their lines."""
    if isinstance(file, Fault):
        yield file
        return
    try:
        document = toml.parse(file.text)
    except toml.NotToml as error:
        yield Fault(file.name, str(error), hides=True)
        return
    lines = toml.lines(file.text)
    for section, table in document.items():
        place = f"{file.name}:{lines[section]}"
        if section not in SECTIONS:
            yield Fault(f"{place}: {section}", "is not a section" + _did_you_mean(section, SECTIONS))
        elif not isinstance(table, dict):
            yield Fault(f"{place}: {section}", f"must be a table: [{section}]")
        else:
            for name, value in table.items():
                path = f"{section}.{name}"
                yield _from_file(path, value, f"{file.name}:{lines[path]}")


def from_environment(environ: Mapping[str, str]) -> Iterator[Found]:
    """The settings among the environment variables that begin with ``RAPPORT_``."""
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        source = f"environment {variable}"
        if setting := _VARIABLES.get(variable):
            yield Given(setting, environ[variable], source, source, is_text=True)
        elif not _SERVICE_LINK.fullmatch(variable):
            yield Fault(source, "is not a setting" + _did_you_mean(variable, (*_VARIABLES, *OTHER_VARIABLES)))


def from_flags(flags: Mapping[str, str]) -> Iterator[Found]:
    """The settings given as ``--section.name=value``; the keys are the names without the dashes."""
    for path, text in flags.items():
        source = f"flag --{path}"
        setting = ALL.get(path)
        if setting is None:
            yield Fault(source, "is not a setting" + _did_you_mean(path, ALL, before="--"))
        elif setting.meaning.secret:
            yield Fault(
                source, f"is a secret, and flags can be read by others: use {setting.variable} or the file"
            )
        else:
            yield Given(setting, text, source, source, is_text=True)


def _plain(path: str, value: object, source: str) -> Given:
    return Given(ALL[path], value, source, f"{source}: {path}")


def _from_file(path: str, value: object, source: str) -> Found:
    place = f"{source}: {path}"
    if setting := ALL.get(path):
        return Given(setting, value, source, place)
    return Fault(place, "is not a setting" + _did_you_mean(path, ALL))


def _did_you_mean(name: str, names: Iterable[str], before: str = "") -> str:
    close = get_close_matches(name, names, n=1, cutoff=0.7)
    return f"; did you mean {before}{close[0]}?" if close else ""

"""The command ``rapport config``: ``check`` says whether the settings are good, ``show`` what they are.

Leaves the reading of arguments to argparse and :mod:`config.flags`, and secrets hidden.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from config import toml
from config.faults import ConfigError
from config.loading import load, load_with_origins
from config.resolve import Resolution
from config.setting import Setting
from config.settings import ALL, SECTIONS, Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

HIDDEN = "(hidden)"


def add_source_arguments(parser: ArgumentParser) -> None:
    """Add what every command that needs settings takes: ``--config`` and ``--dev``."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings in TOML, such as rapport.toml")
    parser.add_argument("--dev", action="store_true", help="a first run: loopback, no TLS, a key of its own")


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``config check`` and ``config show``; ``args.run`` is :func:`run`, which expects ``args.flags``."""
    parser = subparsers.add_parser("config", help="check or show the settings")
    parser.set_defaults(run=run)
    commands = parser.add_subparsers(dest="config_command", required=True, metavar="COMMAND")
    for name, help_text in (
        ("check", "say everything that is wrong with the settings"),
        ("show", "print the settings as TOML, with where each comes from; secrets are hidden"),
    ):
        add_source_arguments(commands.add_parser(name, help=help_text))


def settings_from(args: Namespace) -> Settings:
    """The settings for a command whose parser has the source arguments. Raises :exc:`ConfigError`."""
    return load(args.flags, os.environ, args.config, args.dev)


def run(args: Namespace) -> int:
    """Carry out ``rapport config``. Returns the exit status: 1 if the settings cannot be used."""
    try:
        resolution = load_with_origins(args.flags, os.environ, args.config, args.dev)
    except ConfigError as error:
        sys.stderr.write(report(error))
        return 1
    sys.stdout.write(shown(resolution) if args.config_command == "show" else "The settings are good.\n")
    return 0


def report(error: ConfigError) -> str:
    """The faults as a person reads them: one to a line, and how many there are."""
    count = len(error.faults)
    heading = f"The settings have {count} {'fault' if count == 1 else 'faults'}:\n"
    return heading + "".join(f"  {fault}\n" for fault in error.faults)


def shown(resolution: Resolution) -> str:
    """The settings as TOML, each with where it comes from."""
    return "\n".join(_shown_lines(resolution)) + "\n"


def _shown_lines(resolution: Resolution) -> Iterator[str]:
    for section in SECTIONS:
        if section != next(iter(SECTIONS)):
            yield ""
        yield f"[{section}]"
        values = getattr(resolution.settings, section)
        for setting in ALL.values():
            if setting.section == section:
                value = _hidden(setting, getattr(values, setting.name))
                origin = resolution.origins[setting.path]
                # TOML has no null: what is unset is said in a comment.
                stated = (
                    f"# {setting.name} is unset" if value is None else f"{setting.name} = {toml.write(value)}"
                )
                yield f"{stated}  # {origin}"


def _hidden(setting: Setting, value: object) -> object:
    """The value with what is secret in it replaced; the ids of keys are not secret."""
    if not setting.meaning.secret or value is None:
        return value
    return dict.fromkeys(value, HIDDEN) if isinstance(value, Mapping) else HIDDEN

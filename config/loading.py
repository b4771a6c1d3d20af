"""The shell around :mod:`config.resolve`: reads the file, counts the cores, draws the development key."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from config.faults import ConfigError, Fault
from config.resolve import Resolution, resolve
from config.settings import ALL, Settings
from config.sources import FILE_VARIABLE, FileText

MAX_FILE_BYTES = 256 * 1024
"""The largest configuration file. A larger one is something else by mistake."""


def load(flags: Mapping[str, str], environ: Mapping[str, str], file: Path | None, dev: bool) -> Settings:
    """The settings of a server.

    ``flags`` has texts by path (``store.url``, see :func:`config.flags.take`); ``file`` is the TOML file, or
    None for the one that ``RAPPORT_CONFIG`` names, if any; ``dev`` turns development mode on: loopback, a
    random key called ``dev``, a store below the working directory.

    Raises :exc:`ConfigError` with every fault.
    """
    return load_with_origins(flags, environ, file, dev).settings


def load_with_origins(
    flags: Mapping[str, str], environ: Mapping[str, str], file: Path | None, dev: bool
) -> Resolution:
    """As :func:`load`, and where each setting comes from."""
    path = file or _named_in(environ)
    resolution = resolve(
        file=_read(path) if path else None,
        environ=environ,
        flags=flags,
        cores=len(os.sched_getaffinity(0)),
        development_secret=secrets.token_hex(32) if dev else None,
    )
    if faults := tuple(_unreadable(resolution)):
        raise ConfigError(faults)
    return resolution


def _named_in(environ: Mapping[str, str]) -> Path | None:
    name = environ.get(FILE_VARIABLE)
    return Path(name) if name else None


def _read(file: Path) -> FileText | Fault:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            return Fault(str(file), f"is larger than {MAX_FILE_BYTES} bytes", hides=True)
        return FileText(str(file), data.decode())
    except OSError as error:
        return Fault(str(file), f"cannot be read: {error.strerror}", hides=True)
    except UnicodeDecodeError:
        return Fault(str(file), "is not UTF-8 text", hides=True)


def _unreadable(resolution: Resolution) -> Iterator[Fault]:
    """A fault for each setting that names a file which the server could not read."""
    for setting in ALL.values():
        name = getattr(getattr(resolution.settings, setting.section), setting.name)
        if not setting.meaning.file or name is None:
            continue
        try:
            with Path(name).open("rb"):
                pass
        except OSError as error:
            place = f"{resolution.origins[setting.path]}: {setting.path}"
            yield Fault(place, f"{name!r} cannot be read: {error.strerror}")

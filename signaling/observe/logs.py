"""Structured logs on standard error, in JSON or for people.

A log line names an event and gives opaque ids, counts and error names; what it gives is chosen where it is
written. Messages of exceptions are never logged, because they may quote what somebody sent: :func:`failure`
gives the type and the place.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import structlog

from config import LogSettings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_DEEPEST = 8


def configure(settings: LogSettings) -> None:
    """Send the logs of this process, those of libraries included, to standard error."""
    level = _LEVELS[settings.level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _renderer(settings),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    library = logging.getLogger()
    library.handlers = [_LibraryHandler()]
    library.setLevel(max(level, logging.WARNING))


def failure(error: BaseException) -> str:
    """The type of an exception and where it came from, innermost last, without anything that it says."""
    frames = traceback.extract_tb(error.__traceback__)[-_DEEPEST:]
    places = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} at {places}" if places else type(error).__name__


class _LibraryHandler(logging.Handler):
    """Passes on that a library has logged something, and not what: its text may quote what somebody sent."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger("rapport.library").bind(library=record.name, place=record.funcName)
        error = failure(record.exc_info[1]) if record.exc_info and record.exc_info[1] else None
        method = log.error if record.levelno >= logging.ERROR else log.warning
        method("library", **({"error": error} if error else {}))


def _renderer(settings: LogSettings) -> Any:
    if settings.format == "console":
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer(sort_keys=True)

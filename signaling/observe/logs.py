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

OUR_FLOORS = frozenset({"relay", "rtc"})
"""Packages of the house that know no structlog: what they log is an event's name, without arguments."""


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
    library.handlers = [_StandardHandler()]
    library.setLevel(max(level, logging.WARNING))


def failure(error: BaseException) -> str:
    """The type of an exception and where it came from, innermost last, without anything that it says."""
    frames = traceback.extract_tb(error.__traceback__)[-_DEEPEST:]
    places = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} at {places}" if places else type(error).__name__


class _StandardHandler(logging.Handler):
    """Takes what is logged through the standard library.

    Our lower floors name an event and give a ``reason``, like everyone here. Of other libraries it passes on
    that they have logged something, and not what: their text may quote what somebody sent.
    """

    def emit(self, record: logging.LogRecord) -> None:
        known: dict[str, str] = {}
        if record.exc_info and record.exc_info[1]:
            known["error"] = failure(record.exc_info[1])
        if record.name.partition(".")[0] in OUR_FLOORS:
            event = str(record.msg)
            if reason := getattr(record, "reason", None):
                known["reason"] = str(reason)
        else:
            event = "library"
            known |= {"library": record.name, "place": record.funcName or ""}
        log = structlog.get_logger("rapport")
        (log.error if record.levelno >= logging.ERROR else log.warning)(event, **known)


def _renderer(settings: LogSettings) -> Any:
    if settings.format == "console":
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer(sort_keys=True)

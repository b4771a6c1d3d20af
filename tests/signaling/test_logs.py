"""Logs say what happened and where, never what somebody sent."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from config import LogSettings
from signaling.observe import logs

CANARY = "Anna Muster, anna@example.org"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard error, with logs set up as a server does it."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    logs.configure(LogSettings(level="info", format="json"))
    yield written
    structlog.reset_defaults()
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def fail() -> None:
    raise ValueError(CANARY)


def test_a_line_is_json_with_its_level_and_time(log: io.StringIO) -> None:
    structlog.get_logger("t").info("started", port=1)
    structlog.get_logger("t").debug("hidden")
    (line,) = lines(log)
    assert (line["event"], line["level"], line["port"]) == ("started", "info", 1)
    assert line["timestamp"].endswith("Z")


def test_a_failure_is_its_type_and_place_without_its_words(log: io.StringIO) -> None:
    with pytest.raises(ValueError, match="Anna") as failed:
        fail()
    told = logs.failure(failed.value)
    assert told.startswith("ValueError at ")
    assert "fail:" in told
    assert "Anna" not in told
    assert logs.failure(KeyError("x")) == "KeyError"


def test_what_libraries_log_is_passed_on_without_its_words(log: io.StringIO) -> None:
    library = logging.getLogger("aiohttp.server")
    library.info("quiet")
    library.warning("request from %s", CANARY)
    try:
        fail()
    except ValueError:
        library.exception("Error handling request of %s", CANARY)
    warned, failed = lines(log)
    assert (warned["event"], warned["library"], warned["level"]) == ("library", "aiohttp.server", "warning")
    assert (failed["level"], failed["error"].split()[0]) == ("error", "ValueError")
    assert "Anna" not in log.getvalue()


def test_what_our_lower_floors_log_keeps_its_name_and_reason(log: io.StringIO) -> None:
    ours = logging.getLogger("relay.sqlite.writer")
    ours.warning("store_guard_not_written", extra={"reason": "No space left on device"})
    try:
        fail()
    except ValueError:
        ours.exception("store_batch_failed")
    warned, failed = lines(log)
    assert (warned["event"], warned["reason"]) == ("store_guard_not_written", "No space left on device")
    assert (failed["event"], failed["level"], failed["error"].split()[0]) == (
        "store_batch_failed",
        "error",
        "ValueError",
    )
    assert "Anna" not in log.getvalue()


def test_for_people_lines_are_plain(log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(level="warning", format="console"))
    structlog.get_logger("t").info("hidden")
    structlog.get_logger("t").warning("seen", slot=1)
    written = capsys.readouterr().err
    assert "seen" in written
    assert "hidden" not in written

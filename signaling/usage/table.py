"""Usage as CSV (RFC 4180): one line for each session, for spreadsheets and for programs.

Columns keep their order; new ones are added at the end. Instants and spans are milliseconds, except `starts`,
which people read. Segments, presence of single accounts and consents are in the JSON only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from signaling.usage.records import UsageRecord

Cell: TypeAlias = str | int | None

COLUMNS: Final[Mapping[str, Callable[[UsageRecord], Cell]]] = {
    "session": lambda record: record.session,
    "room": lambda record: record.room,
    "final": lambda record: "yes" if record.final else "no",
    "state": lambda record: record.state,
    "reason": lambda record: record.reason,
    "starts": lambda record: _utc(record.starts_ms),
    "starts_ms": lambda record: record.starts_ms,
    "length_ms": lambda record: record.length_ms,
    "extended_ms": lambda record: record.extended_ms,
    "agreed_modality": lambda record: record.agreed_modality,
    "live_ms": lambda record: record.live_ms,
    "ended_ms": lambda record: record.ended_ms,
    "both_ms": lambda record: record.both_ms,
    "minutes": lambda record: record.minutes,
    "video_ms": lambda record: record.together_ms["video"],
    "audio_ms": lambda record: record.together_ms["audio"],
    "chat_ms": lambda record: record.together_ms["chat"],
    "code": lambda record: record.suggestion.code if record.suggestion else None,
    "modifier": lambda record: record.suggestion.modifier if record.suggestion else None,
    "no_show": lambda record: record.absence.verdict if record.absence else None,
    "therapist_ms": lambda record: record.therapist_ms,
    "client_ms": lambda record: record.client_ms,
    "therapists": lambda record: " ".join(record.accounts("therapist")),
    "clients": lambda record: " ".join(record.accounts("client")),
}
"""Each column's name and what stands in it."""

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - as meant
"""Spreadsheets take a cell that begins like this for a formula; the last four in some languages."""


def header() -> bytes:
    """The first line."""
    return _lines([list(COLUMNS)])


def lines(records: Iterable[UsageRecord]) -> bytes:
    """The lines of these records, in UTF-8."""
    return _lines([cell(record) for cell in COLUMNS.values()] for record in records)


def _lines(rows: Iterable[Iterable[Cell]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_safe(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _safe(cell: Cell) -> Cell:
    """A cell that is text, whatever it begins with."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def _utc(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds")[:19]

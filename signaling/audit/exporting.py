"""Entries of the audit trail as text: JSON lines that are exact, CSV for spreadsheets, lines for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from relay.audit_chain import AuditEntry, AuditRecord
from relay.audit_trail import AuditFilter

COLUMNS = ("sequence", *AuditEntry.__struct_fields__, "digest")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def fields_of(record: AuditRecord) -> dict[str, str | int]:
    """An entry with its place and its digest in hexadecimal."""
    entry: Mapping[str, str | int] = msgspec.structs.asdict(record.entry)
    return {"sequence": record.sequence, **entry, "digest": record.digest.hex()}


def json_line(record: AuditRecord) -> str:
    """An entry as one line of JSON, with its digest: the chain can be checked from the export alone."""
    return msgspec.json.encode(fields_of(record)).decode() + "\n"


def csv_header() -> str:
    """The first line of a CSV file (RFC 4180)."""
    return _csv(COLUMNS)


def csv_line(record: AuditRecord) -> str:
    """An entry as one record of CSV. Text that a spreadsheet would carry out gets an apostrophe before it."""
    return _csv([_harmless(value) for value in fields_of(record).values()])


def human_line(record: AuditRecord) -> str:
    """An entry for people at a terminal, who can do without the digest."""
    entry = record.entry
    about = " ".join(
        part
        for part in (
            f"{entry.object_kind}:{entry.object_id}" if entry.object_kind else "",
            f"about {entry.subject}" if entry.subject else "",
            f"in room:{entry.room}" if entry.room and entry.object_kind != "room" else "",
            f"from {entry.source}",
            f"-> {entry.outcome}",
            f"x{entry.count}" if entry.count > 1 else "",
            f"({entry.reason})" if entry.reason else "",
        )
        if part
    )
    who = entry.actor or entry.role or "somebody unknown"
    text = f"{record.sequence} {iso(entry.at_ms)} {who} {entry.action} {about}"
    # Ids are whatever a platform made them: none of them moves the cursor of whoever reads this.
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text) + "\n"


def iso(at_ms: int) -> str:
    """An instant in UTC (RFC 3339)."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant_ms(text: str) -> int:
    """An instant that somebody gives: a date, or date and time, in UTC unless it says otherwise.

    :exc:`ValueError` if it is none.
    """
    instant = datetime.fromisoformat(text)
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)


def filter_of(
    *,
    actor: str | None = None,
    action: str | None = None,
    about: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> AuditFilter:
    """What is searched for; ``about`` is ``kind:id`` or a kind."""
    kind, colon, name = about.partition(":") if about is not None else (None, "", None)
    return AuditFilter(actor, action, kind, name if colon else None, since_ms, until_ms)


def _harmless(value: str | int) -> str | int:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _csv(values: object) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)  # type: ignore[arg-type]  # any iterable
    return line.getvalue()

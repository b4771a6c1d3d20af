"""The audit trail in SQLite: its writes, and the queries behind its reads.

The head is read anew for every entry and never remembered: another process may append as well
(`relay.sqlite.trail`), and SQLite lets one transaction write at a time.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final, assert_never

import msgspec

from relay.audit_chain import AuditEntry, AuditRecord, follow, kept_digest
from relay.audit_trail import (
    EMPTY,
    AppendAudit,
    AuditAnchor,
    AuditCheckpoint,
    AuditFilter,
    AuditHead,
    AuditHold,
    AuditWrite,
    EndGrant,
    Grant,
    HoldAudit,
    PruneAudit,
    PutCheckpoint,
    PutGrant,
    ReleaseAudit,
)
from relay.errors import Conflict, NotFound
from relay.writes import Applied

_FIELDS: Final = ", ".join(AuditEntry.__struct_fields__)
_RECORDS: Final = f"SELECT sequence, digest, {_FIELDS} FROM audit"  # noqa: S608 - constants
_INSERT: Final = (
    f"INSERT INTO audit (sequence, digest, {_FIELDS}) "  # noqa: S608 - constants
    f"VALUES (?, ?{', ?' * len(AuditEntry.__struct_fields__)})"
)
_HOLDS: Final = "(SELECT kind, id FROM audit_holds)"
_HELD: Final = (
    f"(('room', room) IN {_HOLDS} OR ('account', actor) IN {_HOLDS} "
    f"OR ('account', subject) IN {_HOLDS} OR (object_kind, object_id) IN {_HOLDS})"
)
_CHECKPOINTS: Final = "SELECT sequence, digest, at_ms, key, signature FROM audit_checkpoints"
_ANCHOR: Final = "SELECT through, digest, kept, at_ms, key, signature FROM audit_anchor"

_Value = str | int


def apply(db: sqlite3.Connection, write: AuditWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case AppendAudit(entry):
            last = head(db)
            sequence = last.sequence + 1
            digest = follow(last.digest, sequence, entry)
            db.execute(_INSERT, (sequence, digest, *msgspec.structs.astuple(entry)))
            return Applied()
        case PutCheckpoint(checkpoint):
            return _put_checkpoint(db, checkpoint)
        case PruneAudit(anchor):
            return _prune(db, anchor)
        case HoldAudit(hold):
            done = db.execute(
                "INSERT INTO audit_holds (kind, id, since_ms, account, reason) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                msgspec.structs.astuple(hold),
            )
            return Applied(changed=done.rowcount > 0)
        case ReleaseAudit(kind, name):
            done = db.execute("DELETE FROM audit_holds WHERE kind = ? AND id = ?", (kind, name))
            if not done.rowcount:
                raise NotFound("no such hold")
            return Applied()
        case PutGrant(grant):
            done = db.execute(
                "INSERT INTO grants (account, scope, until_ms) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms WHERE until_ms < excluded.until_ms",
                msgspec.structs.astuple(grant),
            )
            return Applied(changed=done.rowcount > 0)
        case EndGrant(grant):
            done = db.execute(
                "DELETE FROM grants WHERE account = ? AND scope = ? AND until_ms = ?",
                msgspec.structs.astuple(grant),
            )
            if not done.rowcount:
                raise Conflict("the grant is another by now")
            return Applied()
        case _:
            assert_never(write)


def head(db: sqlite3.Connection) -> AuditHead:
    """How far the trail reaches."""
    last = db.execute("SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
    begun = anchor(db)
    if begun is not None and (last is None or last[0] <= begun.through):
        return AuditHead(begun.through, begun.digest)
    return AuditHead(*last) if last is not None else EMPTY


def records(
    db: sqlite3.Connection, after: int, limit: int, matching: AuditFilter | None
) -> tuple[AuditRecord, ...]:
    """Entries behind a sequence."""
    conditions = list(_conditions(matching or AuditFilter()))
    where = "".join(f" AND {condition}" for condition, _ in conditions)
    values = [value for _, given in conditions for value in given]
    rows = db.execute(
        f"{_RECORDS} WHERE sequence > ?{where} ORDER BY sequence LIMIT ?",
        (after, *values, limit),
    )
    return tuple(_records(rows))


def kept(db: sqlite3.Connection, through: int, after: int, limit: int) -> tuple[AuditRecord, ...]:
    """Entries that a hold keeps."""
    rows = db.execute(
        f"{_RECORDS} WHERE sequence > ? AND sequence <= ? AND {_HELD} ORDER BY sequence LIMIT ?",
        (after, through, limit),
    )
    return tuple(_records(rows))


def checkpoints(db: sqlite3.Connection, after: int, limit: int) -> tuple[AuditCheckpoint, ...]:
    """Checkpoints behind a sequence."""
    rows = db.execute(f"{_CHECKPOINTS} WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit))
    return tuple([AuditCheckpoint(*row) for row in rows])


def anchor(db: sqlite3.Connection) -> AuditAnchor | None:
    """What stands for the beginning, if it was pruned."""
    row = db.execute(_ANCHOR).fetchone()
    return AuditAnchor(*row) if row is not None else None


def holds(db: sqlite3.Connection, after: tuple[str, str], limit: int) -> tuple[AuditHold, ...]:
    """Holds by kind and id."""
    rows = db.execute(
        "SELECT kind, id, since_ms, account, reason FROM audit_holds WHERE (kind, id) > (?, ?) "
        "ORDER BY kind, id LIMIT ?",
        (*after, limit),
    )
    return tuple([AuditHold(*row) for row in rows])


def grant(db: sqlite3.Connection, account: str, scope: str) -> Grant | None:
    """An account's grant for a scope."""
    row = db.execute(
        "SELECT account, scope, until_ms FROM grants WHERE account = ? AND scope = ?", (account, scope)
    ).fetchone()
    return Grant(*row) if row is not None else None


def grants(db: sqlite3.Connection, until_ms: int, limit: int) -> tuple[Grant, ...]:
    """Grants that run out before an instant."""
    rows = db.execute(
        "SELECT account, scope, until_ms FROM grants WHERE until_ms < ? "
        "ORDER BY until_ms, account, scope LIMIT ?",
        (until_ms, limit),
    )
    return tuple([Grant(*row) for row in rows])


def _records(rows: Iterable[tuple[int, bytes, *tuple[_Value, ...]]]) -> Iterator[AuditRecord]:
    for sequence, digest, *fields in rows:
        yield AuditRecord(sequence, AuditEntry(*fields), digest)  # type: ignore[arg-type]  # STRICT columns


def _conditions(matching: AuditFilter) -> Iterator[tuple[str, tuple[_Value, ...]]]:
    """SQL and its values; what is asked for is only ever a value."""
    if matching.actor is not None:
        yield "actor = ?", (matching.actor,)
    if matching.action is not None:
        below = f"{matching.action}."
        yield "(action = ? OR (action >= ? AND action < ?))", (matching.action, below, f"{below}\U0010ffff")
    if matching.object_kind is not None and matching.object_id is None:
        yield "object_kind = ?", (matching.object_kind,)
    if matching.object_id is not None:
        yield _about(matching.object_kind, matching.object_id)
    if matching.since_ms is not None:
        yield "at_ms >= ?", (matching.since_ms,)
    if matching.until_ms is not None:
        yield "at_ms < ?", (matching.until_ms,)


def _about(kind: str | None, name: str) -> tuple[str, tuple[_Value, ...]]:
    match kind:
        case "room":
            return "room = ?", (name,)
        case "account":
            itself = "(object_kind = 'account' AND object_id = ?)"
            return f"({itself} OR actor = ? OR subject = ?)", (name, name, name)
        case None:
            return "object_id = ?", (name,)
        case _:
            return "(object_kind = ? AND object_id = ?)", (kind, name)


def _put_checkpoint(db: sqlite3.Connection, checkpoint: AuditCheckpoint) -> Applied:
    row = db.execute("SELECT digest FROM audit WHERE sequence = ?", (checkpoint.sequence,)).fetchone()
    if row is None or row[0] != checkpoint.digest:
        raise Conflict("the trail has no such entry")
    done = db.execute(
        "INSERT INTO audit_checkpoints (sequence, digest, at_ms, key, signature) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        msgspec.structs.astuple(checkpoint),
    )
    return Applied(changed=done.rowcount > 0)


def _prune(db: sqlite3.Connection, new: AuditAnchor) -> Applied:
    begun = anchor(db)
    row = db.execute("SELECT digest FROM audit WHERE sequence = ?", (new.through,)).fetchone()
    if begun is not None and begun.through == new.through:
        row = (begun.digest,)
    backwards = begun is not None and new.through < begun.through
    if row is None or row[0] != new.digest or backwards or new.through >= head(db).sequence:
        raise Conflict("the anchor does not fit the trail")
    gone = db.execute(f"DELETE FROM audit WHERE sequence <= ? AND NOT {_HELD}", (new.through,))  # noqa: S608
    rows = db.execute(f"{_RECORDS} WHERE sequence <= ? ORDER BY sequence", (new.through,))
    if kept_digest(_records(rows)) != new.kept:
        raise Conflict("other entries are kept than the anchor tells")
    db.execute("DELETE FROM audit_checkpoints WHERE sequence < ?", (new.through,))
    db.execute("DELETE FROM audit_anchor")
    db.execute(
        "INSERT INTO audit_anchor (through, digest, kept, at_ms, key, signature) VALUES (?, ?, ?, ?, ?, ?)",
        msgspec.structs.astuple(new),
    )
    return Applied(changed=gone.rowcount > 0)

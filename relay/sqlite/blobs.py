"""What is known of blobs in SQLite: the writes, applied in the transaction under way, and the queries.

All of it blocks.
"""

import sqlite3
from collections.abc import Collection, Iterable
from typing import Final, assert_never

import msgspec

from relay.blob_rows import (
    BeginBlob,
    BlobLimits,
    BlobRow,
    BlobTotals,
    BlobWrite,
    DropBlob,
    ExpireBlobs,
    FinishBlob,
    ProlongBlob,
)
from relay.errors import Conflict, NotFound, TooMany
from relay.sqlite.catalog import Catalog
from relay.writes import Applied

_ROWS: Final = (
    "SELECT b.id, r.id, b.account, b.digest, b.size, b.at_ms, b.expires_ms, b.whole "
    "FROM blobs b JOIN rooms r ON r.no = b.room_no "
)
_HELD: Final = (
    "EXISTS (SELECT 1 FROM audit_holds h WHERE (h.kind = 'room' AND h.id = r.id) "
    "OR (h.kind = 'blob' AND h.id = lower(hex(b.digest))) "
    "OR (h.kind = 'account' AND (h.id = b.account "
    "OR h.id IN (SELECT m.account FROM members m WHERE m.room_no = b.room_no))))"
)


def apply(db: sqlite3.Connection, catalog: Catalog, change: BlobWrite) -> Applied:
    """Apply a write about blobs. Raises what it names."""
    match change:
        case BeginBlob(blob, limits):
            return _begin(db, catalog, blob, limits)
        case FinishBlob(blob, expires_ms):
            return _finish(db, catalog, blob, expires_ms)
        case ProlongBlob(name, expires_ms):
            done = db.execute(
                "UPDATE blobs SET expires_ms = max(expires_ms, ?) WHERE id = ?", (expires_ms, name)
            )
            if not done.rowcount:
                raise NotFound("no such blob")
            return Applied()
        case ExpireBlobs(room, before_ms, at_ms):
            done = db.execute(
                "UPDATE blobs SET expires_ms = ?3 "
                "WHERE room_no = ?1 AND whole AND at_ms < ?2 AND expires_ms > ?3",
                (catalog.room(room).no, before_ms, at_ms),
            )
            return Applied(changed=done.rowcount > 0)
        case DropBlob():
            return _drop(db, change)
        case _:
            assert_never(change)


def _begin(db: sqlite3.Connection, catalog: Catalog, blob: BlobRow, limits: BlobLimits) -> Applied:
    room_no = catalog.room_of(blob.room, blob.account).no
    taken = db.execute(
        "SELECT 1 FROM blobs WHERE room_no = ? AND digest = ? AND (whole OR account = ?)",
        (room_no, blob.digest, blob.account),
    )
    if taken.fetchone() is not None:
        raise Conflict("the room has the blob, or the account is uploading it")
    _check_limits(db, room_no, blob, limits)
    db.execute(
        "INSERT INTO blobs (id, room_no, account, digest, size, at_ms, expires_ms, whole) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
        (blob.id, room_no, blob.account, blob.digest, blob.size, blob.at_ms, blob.expires_ms),
    )
    return Applied()


def _check_limits(db: sqlite3.Connection, room_no: int, blob: BlobRow, limits: BlobLimits) -> None:
    size, whole, count = db.execute(
        "SELECT coalesce(sum(size), 0), coalesce(sum(whole), 0), count(*) FROM blobs WHERE account = ?",
        (blob.account,),
    ).fetchone()
    if count - whole >= limits.account_uploads:
        raise TooMany("the account has too many unfinished uploads")
    if size + blob.size > limits.account_bytes:
        raise TooMany("the account's attachments would be too large together")
    size, count = db.execute(
        "SELECT coalesce(sum(size), 0), count(*) FROM blobs WHERE room_no = ?", (room_no,)
    ).fetchone()
    if count >= limits.room_blobs:
        raise TooMany("the room has too many attachments")
    if size + blob.size > limits.room_bytes:
        raise TooMany("the room's attachments would be too large together")


def _finish(db: sqlite3.Connection, catalog: Catalog, blob: BlobRow, expires_ms: int) -> Applied:
    room_no = catalog.room_of(blob.room, blob.account).no
    found = db.execute("SELECT whole FROM blobs WHERE id = ?", (blob.id,)).fetchone()
    if found is None:
        raise NotFound("no such upload")
    if found[0]:
        return Applied(changed=False)
    taken = db.execute(
        "SELECT 1 FROM blobs WHERE room_no = ? AND digest = ? AND whole", (room_no, blob.digest)
    )
    if taken.fetchone() is not None:
        raise Conflict("the room has the blob")
    db.execute("UPDATE blobs SET whole = 1, expires_ms = ? WHERE id = ?", (expires_ms, blob.id))
    return Applied()


def _drop(db: sqlite3.Connection, write: DropBlob) -> Applied:
    name = write.blob.id
    if write.due_ms is not None:
        later = db.execute("SELECT 1 FROM blobs WHERE id = ? AND expires_ms > ?", (name, write.due_ms))
        if later.fetchone() is not None:
            raise Conflict("the blob expires later by now")
    held = db.execute(
        f"SELECT 1 FROM blobs b JOIN rooms r ON r.no = b.room_no WHERE b.id = ? AND b.whole AND {_HELD}",  # noqa: S608 - our own text
        (name,),
    )
    if not write.lost and held.fetchone() is not None:
        raise Conflict("a legal hold keeps the blob")
    return Applied(changed=db.execute("DELETE FROM blobs WHERE id = ?", (name,)).rowcount > 0)


def blob(db: sqlite3.Connection, name: str) -> BlobRow | None:
    """One blob."""
    return next(iter(_rows(db.execute(_ROWS + "WHERE b.id = ?", (name,)))), None)


def blobs_with(db: sqlite3.Connection, room: str, digest: bytes) -> tuple[BlobRow, ...]:
    """What a room has with a digest."""
    return _rows(
        db.execute(
            _ROWS + "WHERE r.id = ? AND b.digest = ? ORDER BY b.whole DESC, b.at_ms, b.id", (room, digest)
        )
    )


def blobs_for(db: sqlite3.Connection, account: str, digest: bytes) -> tuple[BlobRow, ...]:
    """The whole blobs with a digest in an account's rooms."""
    return _rows(
        db.execute(
            _ROWS + "JOIN members m ON m.room_no = b.room_no AND m.account = ? "
            "WHERE b.digest = ? AND b.whole ORDER BY r.id",
            (account, digest),
        )
    )


def blobs_due(db: sqlite3.Connection, until_ms: int, limit: int) -> tuple[BlobRow, ...]:
    """Those that expire and are not held."""
    query = (
        _ROWS + f"WHERE b.expires_ms <= ? AND NOT (b.whole AND {_HELD}) ORDER BY b.expires_ms, b.id LIMIT ?"
    )
    return _rows(db.execute(query, (until_ms, limit)))


def blobs_known(db: sqlite3.Connection, ids: Collection[str]) -> frozenset[str]:
    """Which ids there are."""
    rows = db.execute(
        "SELECT id FROM blobs WHERE id IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(list(ids)).decode(),),
    )
    return frozenset(name for (name,) in rows)


def blob_totals(db: sqlite3.Connection) -> BlobTotals:
    """Counts and sizes."""
    row = db.execute(
        "SELECT coalesce(sum(whole), 0), coalesce(sum(size * whole), 0), coalesce(sum(NOT whole), 0) "
        "FROM blobs"
    ).fetchone()
    return BlobTotals(*row)


def _rows(found: Iterable[tuple[str, str, str, bytes, int, int, int, int]]) -> tuple[BlobRow, ...]:
    return tuple([BlobRow(*row[:7], whole=bool(row[7])) for row in found])

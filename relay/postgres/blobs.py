"""What is known of blobs in PostgreSQL: the writes, applied in the transaction under way, and the queries.

What is counted for a limit, or must not be there twice, is looked at under a lock of the room, and of the
account: two nodes may begin uploads at once.
"""

from collections.abc import Collection, Iterable
from typing import Final, assert_never

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
from relay.postgres import locks, rooms
from relay.postgres.connection import Connection, Row, count
from relay.writes import Applied

_ROWS: Final = (
    "SELECT b.id, r.id, b.account, b.digest, b.size, b.at_ms, b.expires_ms, b.whole "
    "FROM blobs b JOIN rooms r ON r.no = b.room_no "
)
_HELD: Final = (
    "EXISTS (SELECT 1 FROM audit_holds h WHERE (h.kind = 'room' AND h.id = r.id) "
    "OR (h.kind = 'blob' AND h.id = encode(b.digest, 'hex')) "
    "OR (h.kind = 'account' AND (h.id = b.account "
    "OR h.id IN (SELECT m.account FROM members m WHERE m.room_no = b.room_no))))"
)


async def apply(db: Connection, change: BlobWrite) -> Applied:
    """Apply a write about blobs. Raises what it names."""
    match change:
        case BeginBlob(blob, limits):
            return await _begin(db, blob, limits)
        case FinishBlob(blob, expires_ms):
            return await _finish(db, blob, expires_ms)
        case ProlongBlob(name, expires_ms):
            prolonged = "UPDATE blobs SET expires_ms = greatest(expires_ms, $1) WHERE id = $2"
            if not await count(db, prolonged, expires_ms, name):
                raise NotFound("no such blob")
            return Applied()
        case ExpireBlobs(room, before_ms, at_ms):
            done = await count(
                db,
                "UPDATE blobs SET expires_ms = $3 "
                "WHERE room_no = $1 AND whole AND at_ms < $2 AND expires_ms > $3",
                await rooms.keep(db, room),
                before_ms,
                at_ms,
            )
            return Applied(changed=done > 0)
        case DropBlob():
            return await _drop(db, change)
        case _:
            assert_never(change)


async def _begin(db: Connection, blob: BlobRow, limits: BlobLimits) -> Applied:
    room_no = await rooms.lock_for(db, blob.room, blob.account)
    taken = await db.fetchval(
        "SELECT 1 FROM blobs WHERE room_no = $1 AND digest = $2 AND (whole OR account = $3)",
        room_no,
        blob.digest,
        blob.account,
    )
    if taken is not None:
        raise Conflict("the room has the blob, or the account is uploading it")
    await locks.lock_account(db, blob.account)
    await _check_limits(db, room_no, blob, limits)
    await db.execute(
        "INSERT INTO blobs (id, room_no, account, digest, size, at_ms, expires_ms, whole) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, false)",
        blob.id,
        room_no,
        blob.account,
        blob.digest,
        blob.size,
        blob.at_ms,
        blob.expires_ms,
    )
    return Applied()


async def _check_limits(db: Connection, room_no: int, blob: BlobRow, limits: BlobLimits) -> None:
    (row,) = await db.fetch(
        "SELECT coalesce(sum(size), 0)::bigint, count(*) FILTER (WHERE NOT whole) "
        "FROM blobs WHERE account = $1",
        blob.account,
    )
    size, uploads = row
    if uploads >= limits.account_uploads:
        raise TooMany("the account has too many unfinished uploads")
    if size + blob.size > limits.account_bytes:
        raise TooMany("the account's attachments would be too large together")
    (row,) = await db.fetch(
        "SELECT coalesce(sum(size), 0)::bigint, count(*) FROM blobs WHERE room_no = $1", room_no
    )
    size, blobs = row
    if blobs >= limits.room_blobs:
        raise TooMany("the room has too many attachments")
    if size + blob.size > limits.room_bytes:
        raise TooMany("the room's attachments would be too large together")


async def _finish(db: Connection, blob: BlobRow, expires_ms: int) -> Applied:
    room_no = await rooms.lock_for(db, blob.room, blob.account)
    whole = await db.fetchval("SELECT whole FROM blobs WHERE id = $1 FOR NO KEY UPDATE", blob.id)
    if whole is None:
        raise NotFound("no such upload")
    if whole:
        return Applied(changed=False)
    taken = "SELECT 1 FROM blobs WHERE room_no = $1 AND digest = $2 AND whole"
    if await db.fetchval(taken, room_no, blob.digest) is not None:
        raise Conflict("the room has the blob")
    await db.execute("UPDATE blobs SET whole = true, expires_ms = $1 WHERE id = $2", expires_ms, blob.id)
    return Applied()


async def _drop(db: Connection, write: DropBlob) -> Applied:
    blob, due_ms = write.blob, write.due_ms
    # Neither a hold nor a member that has one may come between the look and the deed.
    await locks.share(db, locks.HOLDS)
    await db.execute("SELECT FROM rooms WHERE id = $1 FOR NO KEY UPDATE", blob.room)
    row = await db.fetchrow("SELECT expires_ms FROM blobs WHERE id = $1 FOR NO KEY UPDATE", blob.id)
    if row is None:
        return Applied(changed=False)
    if due_ms is not None and row[0] > due_ms:
        raise Conflict("the blob expires later by now")
    held = f"SELECT 1 FROM blobs b JOIN rooms r ON r.no = b.room_no WHERE b.id = $1 AND b.whole AND {_HELD}"  # noqa: S608 - constants
    if not write.lost and await db.fetchval(held, blob.id) is not None:
        raise Conflict("a legal hold keeps the blob")
    await db.execute("DELETE FROM blobs WHERE id = $1", blob.id)
    return Applied()


async def blob(db: Connection, name: str) -> BlobRow | None:
    """One blob."""
    return next(iter(_rows(await db.fetch(_ROWS + "WHERE b.id = $1", name))), None)


async def blobs_with(db: Connection, room: str, digest: bytes) -> tuple[BlobRow, ...]:
    """What a room has with a digest."""
    ordered = "WHERE r.id = $1 AND b.digest = $2 ORDER BY b.whole DESC, b.at_ms, b.id"
    return _rows(await db.fetch(_ROWS + ordered, room, digest))


async def blobs_for(db: Connection, account: str, digest: bytes) -> tuple[BlobRow, ...]:
    """The whole blobs with a digest in an account's rooms."""
    query = (
        _ROWS + "JOIN members m ON m.room_no = b.room_no AND m.account = $1 "
        "WHERE b.digest = $2 AND b.whole ORDER BY r.id"
    )
    return _rows(await db.fetch(query, account, digest))


async def blobs_due(db: Connection, until_ms: int, limit: int) -> tuple[BlobRow, ...]:
    """Those that expire and are not held."""
    query = (
        _ROWS + f"WHERE b.expires_ms <= $1 AND NOT (b.whole AND {_HELD}) ORDER BY b.expires_ms, b.id LIMIT $2"
    )
    return _rows(await db.fetch(query, until_ms, limit))


async def blobs_known(db: Connection, ids: Collection[str]) -> frozenset[str]:
    """Which ids there are."""
    rows = await db.fetch("SELECT id FROM blobs WHERE id = ANY($1)", list(ids))
    return frozenset([name for (name,) in rows])


async def blob_totals(db: Connection) -> BlobTotals:
    """Counts and sizes."""
    row = await db.fetchrow(
        "SELECT count(*) FILTER (WHERE whole), coalesce(sum(size) FILTER (WHERE whole), 0)::bigint, "
        "count(*) FILTER (WHERE NOT whole) FROM blobs"
    )
    return BlobTotals(*row or (0, 0, 0))


def _rows(found: Iterable[Row]) -> tuple[BlobRow, ...]:
    return tuple([BlobRow(*row) for row in found])

"""The queries behind the port's reads. Each takes a connection and sees one snapshot.

`epoch` is the store's: it does not change while the store is open, so it is not read again.
"""

from collections.abc import Collection
from typing import Final

from relay.errors import NotFound
from relay.postgres.connection import Connection, Row, snapshot
from relay.rows import (
    Cursor,
    Deadline,
    IdempotencyRecord,
    Member,
    Membership,
    Page,
    Revocation,
    Room,
    RoomHead,
    SentEvent,
    Session,
    SessionCursor,
    StoredEvent,
)

_ROOM: Final = "SELECT r.id, r.body, r.created_ms, r.head, r.trimmed + 1, r.expired FROM rooms r"
_SESSION: Final = (
    "SELECT s.id, r.id, s.starts_ms, s.ends_ms, s.state, s.version, s.body "
    "FROM sessions s JOIN rooms r ON r.no = s.room_no"
)
# As far as the bodies fit, but the first in any case.
_PAGE: Final = """
    SELECT offset_no, account, device, mid, body, at_ms FROM (
        SELECT e.offset_no, d.account, d.device, e.mid, e.body, e.at_ms,
            sum(length(e.body)) OVER (ORDER BY e.offset_no) AS size
        FROM events e LEFT JOIN devices d ON d.no = e.device_no
        WHERE e.room_no = $1 AND e.offset_no > $2 AND e.offset_no <= $2 + $3 ORDER BY e.offset_no
    ) page WHERE size <= $4 OR offset_no = $2 + 1 ORDER BY offset_no
"""
_FIRST: Final = -(1 << 63)


async def room(db: Connection, epoch: int, room: str) -> Room | None:
    """One room."""
    row = await db.fetchrow(f"{_ROOM} WHERE r.id = $1 AND r.deleted_ms IS NULL", room)
    return _room(row, epoch) if row is not None else None


async def rooms(db: Connection, epoch: int, after: str, limit: int) -> tuple[Room, ...]:
    """Rooms behind an id."""
    rows = await db.fetch(
        f"{_ROOM} WHERE r.id > $1 AND r.deleted_ms IS NULL ORDER BY r.id LIMIT $2", after, limit
    )
    return tuple([_room(row, epoch) for row in rows])


async def heads(db: Connection, epoch: int, rooms: Collection[str]) -> dict[str, RoomHead]:
    """The heads of those rooms that exist."""
    rows = await db.fetch(
        "SELECT id, head, trimmed + 1, expired FROM rooms WHERE id = ANY($1::text[]) AND deleted_ms IS NULL",
        list(rooms),
    )
    return {name: RoomHead(name, epoch, *log) for name, *log in rows}


async def members(db: Connection, room: str) -> tuple[Member, ...]:
    """Members by account."""
    rows = await db.fetch(
        "SELECT m.account, m.role, m.since_ms FROM members m JOIN rooms r ON r.no = m.room_no "
        "WHERE r.id = $1 ORDER BY m.account",
        room,
    )
    return tuple([Member(*row) for row in rows])


async def rooms_of(
    db: Connection, epoch: int, account: str, after: str, limit: int
) -> tuple[Membership, ...]:
    """The account's rooms behind an id."""
    rows = await db.fetch(
        "SELECT r.id, m.role, r.head, r.trimmed + 1, r.expired, "
        "CASE WHEN m.read_epoch = $1 THEN m.read_offset ELSE 0 END "
        "FROM members m JOIN rooms r ON r.no = m.room_no "
        "WHERE m.account = $2 AND r.id > $3 ORDER BY r.id LIMIT $4",
        epoch,
        account,
        after,
        limit,
    )
    return tuple(
        [Membership(name, role, RoomHead(name, epoch, *log), read) for name, role, *log, read in rows]
    )


async def events(db: Connection, epoch: int, room: str, after: int, limit: int, max_bytes: int) -> Page:
    """A page of a log."""
    async with snapshot(db):
        row = await db.fetchrow(
            "SELECT no, head, trimmed + 1, expired FROM rooms WHERE id = $1 AND deleted_ms IS NULL", room
        )
        if row is None:
            raise NotFound("no such room, or not a member of it")
        no, head, lowest, expired = row
        page: list[Row] = []
        if lowest <= after + 1 <= head:
            page = await db.fetch(_PAGE, no, after, limit, max_bytes)
    log = RoomHead(room, epoch, head, lowest, expired)
    return Page(log, tuple([StoredEvent(*values) for values in page]))


async def sent(db: Connection, account: str, device: str, mid: bytes) -> SentEvent | None:
    """The event a device sent under a mid."""
    row = await db.fetchrow(
        "SELECT r.id, e.offset_no, e.body, e.at_ms FROM events e JOIN devices d ON d.no = e.device_no "
        "JOIN rooms r ON r.no = e.room_no WHERE e.mid = $1 AND d.account = $2 AND d.device = $3",
        mid,
        account,
        device,
    )
    return SentEvent(*row) if row is not None else None


async def cursors(db: Connection, account: str, device: str) -> dict[str, Cursor]:
    """A device's cursors by room."""
    rows = await db.fetch(
        "SELECT r.id, c.epoch, c.offset_no FROM devices d JOIN cursors c ON c.device_no = d.no "
        "JOIN rooms r ON r.no = c.room_no WHERE d.account = $1 AND d.device = $2",
        account,
        device,
    )
    return {name: Cursor(epoch, offset) for name, epoch, offset in rows}


async def session(db: Connection, session: str) -> Session | None:
    """One session."""
    row = await db.fetchrow(f"{_SESSION} WHERE s.id = $1", session)
    return Session(*row) if row is not None else None


async def sessions_of(
    db: Connection, room: str, after: SessionCursor | None, limit: int
) -> tuple[Session, ...]:
    """A room's sessions behind a place in their order."""
    place = (after.starts_ms, after.id) if after is not None else (_FIRST, "")
    rows = await db.fetch(
        f"{_SESSION} WHERE r.id = $1 AND (s.starts_ms, s.id) > ($2, $3) ORDER BY s.starts_ms, s.id LIMIT $4",
        room,
        *place,
        limit,
    )
    return tuple([Session(*row) for row in rows])


async def sessions_between(
    db: Connection,
    from_ms: int,
    until_ms: int,
    room: str | None,
    after: SessionCursor | None,
    limit: int,
) -> tuple[Session, ...]:
    """Sessions that start within a time, behind a place in their order."""
    place = (after.starts_ms, after.id) if after is not None else (from_ms, "")
    within = "s.starts_ms >= $1 AND s.starts_ms < $2 AND (s.starts_ms, s.id) > ($3, $4)"
    order = "ORDER BY s.starts_ms, s.id LIMIT $5"
    if room is None:
        rows = await db.fetch(f"{_SESSION} WHERE {within} {order}", from_ms, until_ms, *place, limit)
    else:
        rows = await db.fetch(
            f"{_SESSION} WHERE {within} AND r.id = $6 {order}", from_ms, until_ms, *place, limit, room
        )
    return tuple([Session(*row) for row in rows])


async def sessions_in(db: Connection, state: str, after: str, limit: int) -> tuple[Session, ...]:
    """Sessions in a state behind an id."""
    rows = await db.fetch(
        f"{_SESSION} WHERE s.state = $1 AND s.id > $2 ORDER BY s.id LIMIT $3", state, after, limit
    )
    return tuple([Session(*row) for row in rows])


async def deadlines(db: Connection, due_before_ms: int, limit: int) -> tuple[Deadline, ...]:
    """What is due, earliest first."""
    rows = await db.fetch(
        "SELECT session, kind, due_ms, version FROM deadlines WHERE due_ms < $1 "
        "ORDER BY due_ms, session, kind LIMIT $2",
        due_before_ms,
        limit,
    )
    return tuple([Deadline(*row) for row in rows])


async def idempotency(db: Connection, key: str) -> IdempotencyRecord | None:
    """The answer kept under a key."""
    row = await db.fetchrow("SELECT key, request_hash, response, at_ms FROM idempotency WHERE key = $1", key)
    return IdempotencyRecord(*row) if row is not None else None


async def revocation(db: Connection, account: str, device: str) -> Revocation | None:
    """What bars a device; its account's revocation goes first."""
    row = await db.fetchrow(
        "SELECT account, nullif(device, ''), at_ms FROM revocations "
        "WHERE account = $1 AND device IN ('', $2) ORDER BY device LIMIT 1",
        account,
        device,
    )
    return Revocation(*row) if row is not None else None


async def size_bytes(db: Connection) -> int:
    """The size of the database; fails if it cannot be read."""
    return int(await db.fetchval("SELECT pg_database_size(current_database())"))


def _room(row: Row, epoch: int) -> Room:
    name, body, created_ms, head, lowest, expired = row
    return Room(name, body, created_ms, RoomHead(name, epoch, head, lowest, expired))

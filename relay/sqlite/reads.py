"""The queries behind the port's reads. Each takes a connection, blocks, and sees one snapshot.

`epoch` is the store's: it does not change while the store is open, so it is not read again.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Final

import msgspec

from relay.errors import NotFound
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

HEAD: Final = "max(r.trimmed, coalesce((SELECT max(offset_no) FROM events WHERE room_no = r.no), 0))"
_ROOM: Final = f"SELECT r.id, r.body, r.created_ms, {HEAD}, r.trimmed + 1, r.expired FROM rooms r"  # noqa: S608 - constants
_LOG: Final = f"SELECT r.no, r.id, {HEAD}, r.trimmed + 1, r.expired FROM rooms r"  # noqa: S608 - constants
_SESSION: Final = (
    "SELECT s.id, r.id, s.starts_ms, s.ends_ms, s.state, s.version, s.body "
    "FROM sessions s JOIN rooms r ON r.no = s.room_no"
)


def room(db: sqlite3.Connection, epoch: int, room: str) -> Room | None:
    """One room."""
    row = db.execute(f"{_ROOM} WHERE r.id = ? AND r.deleted_ms IS NULL", (room,)).fetchone()
    return _room(row, epoch) if row is not None else None


def rooms(db: sqlite3.Connection, epoch: int, after: str, limit: int) -> tuple[Room, ...]:
    """Rooms behind an id."""
    rows = db.execute(
        f"{_ROOM} WHERE r.id > ? AND r.deleted_ms IS NULL ORDER BY r.id LIMIT ?", (after, limit)
    )
    return tuple([_room(row, epoch) for row in rows])


def heads(db: sqlite3.Connection, epoch: int, rooms: Collection[str]) -> dict[str, RoomHead]:
    """The heads of those rooms that exist."""
    names = msgspec.json.encode(list(rooms)).decode()
    those = "r.id IN (SELECT value FROM json_each(?)) AND r.deleted_ms IS NULL"
    rows = db.execute(f"{_LOG} WHERE {those}", (names,))
    return {name: RoomHead(name, epoch, *log) for _, name, *log in rows}


def members(db: sqlite3.Connection, room: str) -> tuple[Member, ...]:
    """Members by account."""
    rows = db.execute(
        "SELECT m.account, m.role, m.since_ms FROM members m JOIN rooms r ON r.no = m.room_no "
        "WHERE r.id = ? ORDER BY m.account",
        (room,),
    )
    return tuple([Member(*row) for row in rows])


def rooms_of(
    db: sqlite3.Connection, epoch: int, account: str, after: str, limit: int
) -> tuple[Membership, ...]:
    """The account's rooms behind an id."""
    rows = db.execute(
        f"SELECT r.id, m.role, {HEAD}, r.trimmed + 1, r.expired, "  # noqa: S608 - constants
        "CASE WHEN m.read_epoch = ? THEN m.read_offset ELSE 0 END "
        "FROM members m JOIN rooms r ON r.no = m.room_no "
        "WHERE m.account = ? AND r.id > ? ORDER BY r.id LIMIT ?",
        (epoch, account, after, limit),
    )
    return tuple(
        [Membership(name, role, RoomHead(name, epoch, *log), read) for name, role, *log, read in rows]
    )


def events(db: sqlite3.Connection, epoch: int, room: str, after: int, limit: int, max_bytes: int) -> Page:
    """A page of a log. Rows are read one by one, so that no more bodies are loaded than the page may have."""
    with snapshot(db):
        row = db.execute(f"{_LOG} WHERE r.id = ? AND r.deleted_ms IS NULL", (room,)).fetchone()
        if row is None:
            raise NotFound("no such room, or not a member of it")
        no, _, head, lowest, expired = row
        page: list[StoredEvent] = []
        if lowest <= after + 1 <= head:
            total = 0
            query = (
                "SELECT e.offset_no, d.account, d.device, e.mid, e.body, e.at_ms "
                "FROM events e LEFT JOIN devices d ON d.no = e.device_no "
                "WHERE e.room_no = ? AND e.offset_no > ? ORDER BY e.offset_no LIMIT ?"
            )
            with closing(db.execute(query, (no, after, limit))) as rows:
                for values in rows:
                    event = StoredEvent(*values)
                    total += len(event.body)
                    if page and total > max_bytes:
                        break
                    page.append(event)
    return Page(RoomHead(room, epoch, head, lowest, expired), tuple(page))


def sent(db: sqlite3.Connection, account: str, device: str, mid: bytes) -> SentEvent | None:
    """The event a device sent under a mid."""
    row = db.execute(
        "SELECT r.id, e.offset_no, e.body, e.at_ms FROM events e JOIN devices d ON d.no = e.device_no "
        "JOIN rooms r ON r.no = e.room_no WHERE e.mid = ? AND d.account = ? AND d.device = ?",
        (mid, account, device),
    ).fetchone()
    return SentEvent(*row) if row is not None else None


def cursors(db: sqlite3.Connection, account: str, device: str) -> dict[str, Cursor]:
    """A device's cursors by room."""
    rows = db.execute(
        "SELECT r.id, c.epoch, c.offset_no FROM devices d JOIN cursors c ON c.device_no = d.no "
        "JOIN rooms r ON r.no = c.room_no WHERE d.account = ? AND d.device = ?",
        (account, device),
    )
    return {name: Cursor(epoch, offset) for name, epoch, offset in rows}


def session(db: sqlite3.Connection, session: str) -> Session | None:
    """One session."""
    row = db.execute(f"{_SESSION} WHERE s.id = ?", (session,)).fetchone()
    return Session(*row) if row is not None else None


def sessions_of(
    db: sqlite3.Connection, room: str, after: SessionCursor | None, limit: int
) -> tuple[Session, ...]:
    """A room's sessions behind a place in their order."""
    place = (after.starts_ms, after.id) if after is not None else (-(1 << 63), "")
    rows = db.execute(
        f"{_SESSION} WHERE r.id = ? AND (s.starts_ms, s.id) > (?, ?) ORDER BY s.starts_ms, s.id LIMIT ?",
        (room, *place, limit),
    )
    return tuple([Session(*row) for row in rows])


def sessions_between(
    db: sqlite3.Connection,
    from_ms: int,
    until_ms: int,
    room: str | None,
    after: SessionCursor | None,
    limit: int,
) -> tuple[Session, ...]:
    """Sessions that start within a time, behind a place in their order."""
    place = (after.starts_ms, after.id) if after is not None else (from_ms, "")
    # SQLite seeks to one lower bound only, and the place is what deep pages have to begin at.
    within = "s.starts_ms >= max(?, ?) AND s.starts_ms < ? AND (s.starts_ms, s.id) > (?, ?)"
    times = (from_ms, place[0], until_ms)
    if room is None:
        rows = db.execute(
            f"{_SESSION} WHERE {within} ORDER BY s.starts_ms, s.id LIMIT ?", (*times, *place, limit)
        )
    else:
        rows = db.execute(
            f"{_SESSION} WHERE r.id = ? AND {within} ORDER BY s.starts_ms, s.id LIMIT ?",
            (room, *times, *place, limit),
        )
    return tuple([Session(*row) for row in rows])


def sessions_in(db: sqlite3.Connection, state: str, after: str, limit: int) -> tuple[Session, ...]:
    """Sessions in a state behind an id."""
    rows = db.execute(
        f"{_SESSION} WHERE s.state = ? AND s.id > ? ORDER BY s.id LIMIT ?", (state, after, limit)
    )
    return tuple([Session(*row) for row in rows])


def deadlines(db: sqlite3.Connection, due_before_ms: int, limit: int) -> tuple[Deadline, ...]:
    """What is due, earliest first."""
    rows = db.execute(
        "SELECT session, kind, due_ms, version FROM deadlines WHERE due_ms < ? "
        "ORDER BY due_ms, session, kind LIMIT ?",
        (due_before_ms, limit),
    )
    return tuple([Deadline(*row) for row in rows])


def idempotency(db: sqlite3.Connection, key: str) -> IdempotencyRecord | None:
    """The answer kept under a key."""
    row = db.execute(
        "SELECT key, request_hash, response, at_ms FROM idempotency WHERE key = ?", (key,)
    ).fetchone()
    return IdempotencyRecord(*row) if row is not None else None


def revocation(db: sqlite3.Connection, account: str, device: str) -> Revocation | None:
    """What bars a device; its account's revocation goes first."""
    row = db.execute(
        "SELECT account, nullif(device, ''), at_ms FROM revocations WHERE account = ? AND device IN ('', ?) "
        "ORDER BY device LIMIT 1",
        (account, device),
    ).fetchone()
    return Revocation(*row) if row is not None else None


def size_bytes(db: sqlite3.Connection) -> int:
    """The size of the file without its WAL; fails if the file cannot be read."""
    row = db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
    return int(row[0])


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """Several statements in one read transaction."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def _room(row: tuple[str, bytes, int, int, int, int], epoch: int) -> Room:
    name, body, created_ms, head, lowest, expired = row
    return Room(name, body, created_ms, RoomHead(name, epoch, head, lowest, expired))

"""What stays behind of accounts: what is noted of those that go, the write that erases, and the queries.

All of it blocks; what writes does so in the transaction under way.
"""

import sqlite3
from typing import Final

from relay.accounts import Departure, EraseAccount, Remains
from relay.errors import Conflict
from relay.rows import RoomHead
from relay.sqlite import keys
from relay.sqlite.catalog import Catalog, RoomState
from relay.sqlite.reads import HEAD, snapshot
from relay.sqlite.retention import is_held as is_room_held
from relay.writes import Applied

# Every room that the account is or was a member of.
_ROOMS: Final = (
    "SELECT room_no FROM members WHERE account = :account "
    "UNION SELECT room_no FROM departures WHERE account = :account"
)
_INVITED_TO: Final = (
    "SELECT s.room_no FROM guests g JOIN sessions s ON s.id = g.session WHERE g.account = :account"
)
_DEPARTURES: Final = f"""
    SELECT r.id, d.role, d.since_ms, d.through_no, {HEAD}, r.trimmed + 1, r.expired
    FROM departures d JOIN rooms r ON r.no = d.room_no
    WHERE d.account = ? AND r.id > ? AND r.deleted_ms IS NULL ORDER BY r.id LIMIT ?
"""  # noqa: S608 - constants
_COUNTS: Final = f"""
    SELECT (SELECT count(*) FROM ({_ROOMS})),
    (SELECT count(*) FROM events WHERE mid IS NOT NULL AND device_no IN (
        SELECT no FROM devices WHERE account = :account
    )), (SELECT count(*) FROM blobs WHERE account = :account AND whole),
    (SELECT count(*) FROM sessions WHERE room_no IN ({_ROOMS})
        OR id IN (SELECT session FROM guests WHERE account = :account)),
    (SELECT count(*) FROM audit WHERE actor = :account OR subject = :account
        OR (object_kind = 'account' AND object_id = :account))
"""  # noqa: S608 - constants
_OWN: Final = (
    "DELETE FROM doorbells WHERE account = ?",
    "DELETE FROM calendars WHERE account = ?",
    "DELETE FROM ratings WHERE account = ?",
    "DELETE FROM claims WHERE claimer = ?",
)


def erase(db: sqlite3.Connection, catalog: Catalog, write: EraseAccount) -> Applied:
    """Forget an account. Raises what the write names."""
    account = write.account
    rooms = db.execute(
        "SELECT r.id FROM members m JOIN rooms r ON r.no = m.room_no WHERE m.account = ?", (account,)
    )
    if {room for (room,) in rooms} != write.rooms:
        raise Conflict("the account is a member of other rooms")
    if _is_held(db, account):
        raise Conflict("a legal hold keeps what there is of the account")
    for room in write.rooms:
        leave(db, catalog, room, account)
    keys.reset(db, catalog, account)
    for statement in _OWN:
        db.execute(statement, (account,))
    db.executemany(
        "DELETE FROM documents WHERE kind = ? AND id = ?", [(kind, account) for kind in write.documents]
    )
    db.execute(
        "UPDATE blobs SET expires_ms = min(expires_ms, ?) WHERE account = ? AND NOT whole",
        (write.at_ms, account),
    )
    return Applied()


def leave(db: sqlite3.Connection, catalog: Catalog, room: str, account: str) -> bool:
    """End a membership and note that it was; whether there was one. Raises `NotFound` without the room."""
    state = catalog.room(room)
    db.execute(
        "INSERT INTO departures (account, room_no, role, since_ms, through_no) "
        "SELECT account, room_no, role, since_ms, ? FROM members WHERE room_no = ? AND account = ?",
        (state.head, state.no, account),
    )
    done = db.execute("DELETE FROM members WHERE room_no = ? AND account = ?", (state.no, account))
    for table in ("cursors", "sender_epochs"):
        db.execute(
            f"DELETE FROM {table} WHERE room_no = ? "  # noqa: S608 - names of tables
            "AND device_no IN (SELECT no FROM devices WHERE account = ?)",
            (state.no, account),
        )
    catalog.forget_room(room)
    return done.rowcount > 0


def come_back(db: sqlite3.Connection, state: RoomState, account: str) -> None:
    """Forget that somebody had gone who is a member again."""
    db.execute("DELETE FROM departures WHERE account = ? AND room_no = ?", (account, state.no))


def departures_of(
    db: sqlite3.Connection, epoch: int, account: str, after: str, limit: int
) -> tuple[Departure, ...]:
    """The rooms that an account has left, behind an id."""
    rows = db.execute(_DEPARTURES, (account, after, limit))
    return tuple(
        [
            Departure(room, role, since_ms, through, RoomHead(room, epoch, *log))
            for room, role, since_ms, through, *log in rows
        ]
    )


def is_held(db: sqlite3.Connection, account: str) -> bool:
    """Whether a legal hold keeps what there is of an account."""
    with snapshot(db):
        return _is_held(db, account)


def remains(db: sqlite3.Connection, account: str) -> Remains:
    """How much there is of an account that belongs to others as well."""
    return Remains(*db.execute(_COUNTS, {"account": account}).fetchone())


def _is_held(db: sqlite3.Connection, account: str) -> bool:
    itself = "SELECT 1 FROM audit_holds WHERE kind = 'account' AND id = ?"
    if db.execute(itself, (account,)).fetchone() is not None:
        return True
    rooms = db.execute(f"{_ROOMS} UNION {_INVITED_TO}", {"account": account}).fetchall()
    return any(is_room_held(db, no) for (no,) in rooms)

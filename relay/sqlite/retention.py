"""Dropping the beginning of a log: what may go, and that it goes. Times are arguments.

The connection that writes deletes securely (`PRAGMA secure_delete`): SQLite overwrites with zeros what is
deleted. The write-ahead log is emptied by the writer, after the batch.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

from relay.errors import Conflict
from relay.retention import OPENING, DropRoom, Obstacle, Purge, Purgeable, uncut
from relay.sqlite.catalog import Catalog, RoomState
from relay.sqlite.reads import snapshot
from relay.writes import Applied

_HOLD: Final = """
    SELECT 1 FROM audit_holds h WHERE (h.kind = 'room' AND h.id = (SELECT id FROM rooms WHERE no = :room))
    OR (h.kind = 'session' AND h.id IN (SELECT s.id FROM sessions s WHERE s.room_no = :room))
    OR (h.kind = 'account' AND h.id IN (SELECT m.account FROM members m WHERE m.room_no = :room))
"""
_BARRED: Final = "EXISTS (SELECT 1 FROM revocations v WHERE v.account = {0} AND v.device IN ('', {1}))"
# The devices of one account, each with how far it has acknowledged the room.
_LISTED: Final = f"""
    SELECT coalesce(c.offset_no, 0) FROM device_keys k
    LEFT JOIN devices d ON d.account = k.account AND d.device = k.device
    LEFT JOIN cursors c ON c.device_no = d.no AND c.room_no = :room AND c.epoch = :epoch
    WHERE k.account = :account AND k.listed AND NOT {_BARRED.format("k.account", "k.device")}
"""  # noqa: S608 - constants
_HEARD_OF: Final = f"""
    SELECT coalesce(c.offset_no, 0) FROM devices d
    LEFT JOIN cursors c ON c.device_no = d.no AND c.room_no = :room AND c.epoch = :epoch
    WHERE d.account = :account AND NOT {_BARRED.format("d.account", "d.device")}
"""  # noqa: S608 - constants
_MEMBERS: Final = """
    SELECT m.account, EXISTS (SELECT 1 FROM device_lists l WHERE l.account = m.account),
        EXISTS (SELECT 1 FROM revocations v WHERE v.account = m.account AND v.device = '')
    FROM members m WHERE m.room_no = ?
"""
_FIRST_SINCE: Final = (
    "SELECT offset_no FROM events WHERE room_no = ? AND at_ms >= ? ORDER BY offset_no LIMIT 1"
)
# Every sender epoch of the room that has something sealed in it: where it was opened and used last.
_SPANS: Final = f"""
    SELECT opened, max(offset_no) FROM (
        SELECT device_no, offset_no, max(CASE WHEN kind = {OPENING} THEN offset_no END) OVER (
            PARTITION BY device_no ORDER BY offset_no ROWS UNBOUNDED PRECEDING
        ) AS opened FROM events WHERE room_no = ? AND device_no IS NOT NULL
    ) WHERE opened IS NOT NULL GROUP BY device_no, opened HAVING max(offset_no) > opened
"""  # noqa: S608 - constants


def purgeable(
    db: sqlite3.Connection, epoch: int, room: str, before_ms: int, anyway_ms: int
) -> Purgeable | None:
    """What may go from the beginning of a room's log."""
    with snapshot(db):
        row = db.execute(
            "SELECT no, trimmed FROM rooms WHERE id = ? AND deleted_ms IS NULL", (room,)
        ).fetchone()
        if row is None:
            return None
        no, trimmed = row
        return _found(db, epoch, room, no, trimmed, before_ms, anyway_ms)


def purge(db: sqlite3.Connection, catalog: Catalog, epoch: int, write: Purge) -> Applied:
    """Drop it in the transaction under way. Raises what the write names."""
    found = write.found
    state = catalog.room(found.room)
    now = _found(db, epoch, found.room, state.no, state.trimmed, write.before_ms, write.anyway_ms)
    if now != found:
        raise Conflict("not all of it may go by now")
    db.execute("UPDATE rooms SET expired = expired + ? WHERE no = ?", (found.messages, state.no))
    db.execute("DELETE FROM sender_epochs WHERE room_no = ? AND offset_no <= ?", (state.no, found.through))
    drop_through(db, state, found.through)
    state.epochs.clear()
    return Applied()


def drop_through(db: sqlite3.Connection, state: RoomState, through: int) -> None:
    """Delete the beginning of a log. Its offsets and the numbers of its events are not used again."""
    place = (state.no, through)
    db.execute(
        "UPDATE line SET dropped = max(dropped, "
        "coalesce((SELECT max(seq) FROM events WHERE room_no = ? AND offset_no <= ?), 0))",
        place,
    )
    db.execute("DELETE FROM events WHERE room_no = ? AND offset_no <= ?", place)
    db.execute("DELETE FROM flags WHERE room_no = ? AND offset_no <= ?", place)
    db.execute("UPDATE rooms SET trimmed = ?2 WHERE no = ?1", place)
    state.trimmed = through


def obstacle(db: sqlite3.Connection, room: str, before_ms: int) -> Obstacle | None:
    """What is against deleting a room."""
    with snapshot(db):
        row = db.execute("SELECT no FROM rooms WHERE id = ? AND deleted_ms IS NULL", (room,)).fetchone()
        return _obstacle(db, row[0], before_ms) if row is not None else None


def drop_room(db: sqlite3.Connection, catalog: Catalog, write: DropRoom) -> Applied:
    """Delete a room in the transaction under way. Raises what the write names."""
    state = catalog.room(write.room)
    if state.audience != write.members or _obstacle(db, state.no, write.before_ms) is not None:
        raise Conflict("the room cannot be deleted as it is now")
    drop_through(db, state, state.head)
    for table in ("deadlines", "ratings", "guests"):
        db.execute(
            f"DELETE FROM {table} WHERE session IN (SELECT id FROM sessions WHERE room_no = ?)",  # noqa: S608
            (state.no,),
        )
    for table in ("sessions", "series", "cursors", "sender_epochs", "members", "departures"):
        db.execute(f"DELETE FROM {table} WHERE room_no = ?", (state.no,))  # noqa: S608 - names of tables
    db.executemany(
        "DELETE FROM documents WHERE kind = ? AND id = ?", [(kind, write.room) for kind in write.documents]
    )
    db.execute(
        "UPDATE blobs SET expires_ms = min(expires_ms, ?2) WHERE room_no = ?1", (state.no, write.at_ms)
    )
    db.execute("UPDATE rooms SET body = x'', deleted_ms = ? WHERE no = ?", (write.at_ms, state.no))
    catalog.forget_room(write.room)
    return Applied()


def is_held(db: sqlite3.Connection, room_no: int) -> bool:
    """Whether a legal hold keeps what is in a room."""
    return db.execute(_HOLD, {"room": room_no}).fetchone() is not None


def _obstacle(db: sqlite3.Connection, no: int, before_ms: int) -> Obstacle | None:
    if is_held(db, no):
        return "hold"
    young = "SELECT 1 FROM events WHERE room_no = ? AND kind > 0 AND at_ms >= ? LIMIT 1"
    if db.execute(young, (no, before_ms)).fetchone() is not None:
        return "messages"
    late = "SELECT 1 FROM sessions WHERE room_no = ? AND ends_ms >= ? LIMIT 1"
    return "sessions" if db.execute(late, (no, before_ms)).fetchone() is not None else None


def _found(
    db: sqlite3.Connection, epoch: int, room: str, no: int, trimmed: int, before_ms: int, anyway_ms: int
) -> Purgeable | None:
    old = _stored_before(db, no, before_ms)
    if old <= trimmed or is_held(db, no):
        return None
    received = min(old, _received(db, no, epoch), _unflagged(db, no))
    whole = uncut(received, db.execute(_SPANS, (no,)).fetchall()) if received > trimmed else trimmed
    through = max(whole, min(old, _stored_before(db, no, anyway_ms)))
    messages, last_ms = db.execute(
        "SELECT coalesce(sum(kind > 0), 0), max(at_ms) FROM events WHERE room_no = ? AND offset_no <= ?",
        (no, through),
    ).fetchone()
    return Purgeable(room, through, messages, last_ms) if messages else None


def _stored_before(db: sqlite3.Connection, no: int, instant_ms: int) -> int:
    """The last offset before the first event that is as young as this; clocks may have been set back."""
    row = db.execute(_FIRST_SINCE, (no, instant_ms)).fetchone()
    if row is None:
        row = db.execute("SELECT coalesce(max(offset_no), 0) + 1 FROM events WHERE room_no = ?", (no,))
        row = row.fetchone()
    return int(row[0]) - 1


def _received(db: sqlite3.Connection, no: int, epoch: int) -> int:
    """How far every device of every member has acknowledged the room; no end to it without members."""
    return min(_cursors(db, no, epoch), default=1 << 62)


def _cursors(db: sqlite3.Connection, no: int, epoch: int) -> Iterator[int]:
    for account, has_list, barred in db.execute(_MEMBERS, (no,)).fetchall():
        if barred:
            continue
        values = {"room": no, "epoch": epoch, "account": account}
        cursors = db.execute(_LISTED if has_list else _HEARD_OF, values).fetchall()
        yield min([offset for (offset,) in cursors], default=0)


def _unflagged(db: sqlite3.Connection, no: int) -> int:
    """The last offset before the first flag that stands."""
    row = db.execute("SELECT min(offset_no) FROM flags WHERE room_no = ? AND cleared_ms IS NULL", (no,))
    (first,) = row.fetchone()
    return 1 << 62 if first is None else int(first) - 1

"""The search for events that members have not received: writes and queries.

Where the search stands is one number for all logs together. Who was named, and until when they are held back,
stands with the membership.
"""

import sqlite3
from typing import Final, assert_never

from relay.errors import Conflict
from relay.sqlite.catalog import Catalog
from relay.webhooks import Examined, Held, NoteExamined, SearchWrite, SettleHeld, Unreceived
from relay.writes import Applied

_ACKED: Final = (
    "coalesce((SELECT max(c.offset_no) FROM cursors c JOIN devices d ON d.no = c.device_no "
    "WHERE d.account = m.account AND c.room_no = m.room_no AND c.epoch = :epoch), 0)"
)
_STANDS_OUT: Final = (
    "EXISTS (SELECT 1 FROM flags f WHERE f.room_no = m.room_no AND f.offset_no = {} AND f.cleared_ms IS NULL)"
)
_UNRECEIVED: Final = f"""
    WITH sent AS MATERIALIZED (
        SELECT e.room_no, e.offset_no, e.at_ms, m.account, {_ACKED} AS acked,
            {_STANDS_OUT.format("e.offset_no")} AS flagged,
            CASE WHEN m.unreceived_epoch = :epoch THEN m.unreceived_offset ELSE 0 END AS noted,
            {_STANDS_OUT.format("m.unreceived_offset")} AS noted_flagged
        FROM events e JOIN devices s ON s.no = e.device_no
        JOIN members m ON m.room_no = e.room_no AND m.account <> s.account AND m.since_ms <= e.at_ms
        WHERE e.seq > :after AND e.seq <= :through
    ), named AS (
        SELECT *, row_number() OVER (
            PARTITION BY room_no, account ORDER BY flagged DESC, offset_no
        ) AS place FROM sent
        WHERE offset_no > acked AND (noted <= acked OR (flagged AND NOT noted_flagged))
    )
    SELECT r.id, n.account, n.offset_no, n.at_ms, n.flagged FROM named n JOIN rooms r ON r.no = n.room_no
    WHERE n.place = 1 ORDER BY n.at_ms, r.id, n.account
"""  # noqa: S608 - constants
_HELD: Final = f"""
    SELECT r.id, m.account, m.unreceived_offset, coalesce(e.at_ms, 0), m.held_ms,
        e.at_ms IS NULL OR {_ACKED} >= m.unreceived_offset
    FROM members m JOIN rooms r ON r.no = m.room_no
    LEFT JOIN events e ON e.room_no = m.room_no AND e.offset_no = m.unreceived_offset
    WHERE m.held_ms <= :until_ms ORDER BY m.held_ms, r.id, m.account LIMIT :limit
"""  # noqa: S608 - constants


def apply(db: sqlite3.Connection, catalog: Catalog, epoch: int, write: SearchWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case NoteExamined():
            return _note_examined(db, catalog, epoch, write)
        case SettleHeld():
            return _settle(db, catalog, write)
        case _:
            assert_never(write)


def unreceived(db: sqlite3.Connection, epoch: int, appended_before_ms: int, limit: int) -> Examined:
    """The next events to be examined, and who has not received them."""
    (after,) = db.execute("SELECT examined FROM line").fetchone()
    through = after
    newer = db.execute("SELECT seq, at_ms FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
    for seq, at_ms in newer.fetchall():
        if at_ms >= appended_before_ms:
            break
        through = seq
    rows = db.execute(_UNRECEIVED, {"epoch": epoch, "after": after, "through": through})
    found = [
        Unreceived(room, account, offset, at_ms, bool(flagged))
        for room, account, offset, at_ms, flagged in rows
    ]
    return Examined(after, through, tuple(found))


def held(db: sqlite3.Connection, epoch: int, until_ms: int, limit: int) -> tuple[Held, ...]:
    """Those who are held back until then."""
    rows = db.execute(_HELD, {"epoch": epoch, "until_ms": until_ms, "limit": limit})
    return tuple(
        [
            Held(room, account, offset, at_ms, until_ms, bool(received))
            for room, account, offset, at_ms, until_ms, received in rows
        ]
    )


def _note_examined(db: sqlite3.Connection, catalog: Catalog, epoch: int, write: NoteExamined) -> Applied:
    examined = write.examined
    done = db.execute("UPDATE line SET examined = ?2 WHERE examined = ?1", (examined.after, examined.through))
    if not done.rowcount:
        raise Conflict("someone else has gone on")
    until_ms = {(one.room, one.account): until_ms for one, until_ms in write.held}
    db.executemany(
        "UPDATE members SET unreceived_epoch = ?, unreceived_offset = ?, held_ms = ? "
        "WHERE room_no = ? AND account = ?",
        [
            (epoch, one.offset, until_ms.get((one.room, one.account)), catalog.room(one.room).no, one.account)
            for one in examined.unreceived
        ],
    )
    return Applied()


def _settle(db: sqlite3.Connection, catalog: Catalog, write: SettleHeld) -> Applied:
    held = write.held
    done = db.execute(
        "UPDATE members SET held_ms = ? "
        "WHERE room_no = ? AND account = ? AND unreceived_offset = ? AND held_ms = ?",
        (write.until_ms, catalog.room(held.room).no, held.account, held.offset, held.until_ms),
    )
    if not done.rowcount:
        raise Conflict("someone else has settled it")
    return Applied()

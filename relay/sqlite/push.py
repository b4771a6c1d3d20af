"""Doorbells: writes and queries.

Where the search for them stands is one number for all logs together; what waits for a device is found anew
whenever its doorbell is looked at, so that nothing has to be undone when the device comes for it.
"""

import sqlite3
from typing import Final, assert_never

from relay.errors import Conflict
from relay.push import (
    DOORBELLS,
    WAITING,
    Doorbell,
    DoorbellWrite,
    DropDoorbell,
    DueDoorbell,
    NoteUnrung,
    PutDoorbell,
    Rung,
    SettleDoorbell,
    Unrung,
    Waits,
)
from relay.sqlite.reads import snapshot
from relay.sqlite.receipts import IN_FORCE
from relay.writes import Applied

_ACKED: Final = (
    "coalesce((SELECT c.offset_no FROM cursors c JOIN devices n ON n.no = c.device_no "
    "WHERE n.account = d.account AND n.device = d.device AND c.room_no = {} AND c.epoch = :epoch), 0)"
)
_MESSAGE: Final = (
    "e.kind > 0 AND e.at_ms >= m.since_ms "
    "AND NOT EXISTS (SELECT 1 FROM devices s WHERE s.no = e.device_no AND s.account = d.account)"
)
_UNRUNG: Final = f"""
    SELECT DISTINCT d.account, d.device FROM events e JOIN members m ON m.room_no = e.room_no
    JOIN doorbells d ON d.account = m.account
    WHERE e.seq > :after AND e.seq <= :through AND {_MESSAGE}
    AND e.offset_no > {_ACKED.format("e.room_no")} ORDER BY d.account, d.device
"""  # noqa: S608 - constants
_DUE: Final = f"""
    SELECT d.no, d.account, d.device, d.endpoint, d.version, d.due_ms, d.attempts,
        d.rung_ms, r.id, d.rung_offset, d.rung_flagged, {_ACKED.format("d.rung_room_no")} >= d.rung_offset,
        {IN_FORCE}
    FROM doorbells d LEFT JOIN rooms r ON r.no = d.rung_room_no
    WHERE d.due_ms <= :until_ms ORDER BY d.due_ms, d.no LIMIT :limit
"""  # noqa: S608 - constants
# Of each room the first that waits among its newest events; what is flagged goes first, then what came first.
_WAITS: Final = f"""
    SELECT r.id, w.offset_no, w.flagged FROM (
        SELECT m.room_no, (
            SELECT min(newest.offset_no) FROM (
                SELECT e.offset_no, e.kind, e.at_ms, e.device_no FROM events e
                WHERE e.room_no = m.room_no AND e.offset_no > {_ACKED.format("m.room_no")}
                ORDER BY e.offset_no DESC LIMIT {WAITING}
            ) newest JOIN events e ON e.room_no = m.room_no AND e.offset_no = newest.offset_no
            WHERE {_MESSAGE}
        ) AS offset_no, EXISTS (
            SELECT 1 FROM flags f WHERE f.room_no = m.room_no AND f.cleared_ms IS NULL
            AND f.account IS NOT d.account AND f.offset_no > {_ACKED.format("m.room_no")}
        ) AS flagged
        FROM doorbells d JOIN members m ON m.account = d.account WHERE d.no = :no
    ) w JOIN rooms r ON r.no = w.room_no
    WHERE w.offset_no IS NOT NULL ORDER BY w.flagged DESC, r.id LIMIT 1
"""  # noqa: S608 - constants


def apply(db: sqlite3.Connection, write: DoorbellWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case PutDoorbell():
            return _put(db, write)
        case DropDoorbell(account, device, version):
            done = db.execute(
                "DELETE FROM doorbells WHERE account = ?1 AND device = ?2 AND (?3 IS NULL OR version = ?3)",
                (account, device, version),
            )
            return Applied(changed=done.rowcount > 0)
        case NoteUnrung():
            return _note(db, write)
        case SettleDoorbell():
            return _settle(db, write)
        case _:
            assert_never(write)


def doorbell(db: sqlite3.Connection, account: str, device: str) -> Doorbell | None:
    """The doorbell of a device."""
    row = db.execute(
        "SELECT account, device, endpoint, version FROM doorbells WHERE account = ? AND device = ?",
        (account, device),
    ).fetchone()
    return Doorbell(*row) if row is not None else None


def unrung(db: sqlite3.Connection, epoch: int, appended_before_ms: int, limit: int) -> Unrung:
    """The next events to be examined, and the devices that lack some of them."""
    (after,) = db.execute("SELECT rung FROM line").fetchone()
    through = after
    newer = db.execute("SELECT seq, at_ms FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
    for seq, at_ms in newer.fetchall():
        if at_ms >= appended_before_ms:
            break
        through = seq
    found = db.execute(_UNRUNG, {"epoch": epoch, "after": after, "through": through}).fetchall()
    return Unrung(after, through, tuple(found))


def due(db: sqlite3.Connection, epoch: int, until_ms: int, limit: int) -> tuple[DueDoorbell, ...]:
    """The doorbells to be looked at."""
    with snapshot(db):
        rows = db.execute(_DUE, {"epoch": epoch, "until_ms": until_ms, "limit": limit}).fetchall()
        return tuple([_due(db, epoch, row) for row in rows])


def _due(
    db: sqlite3.Connection,
    epoch: int,
    row: tuple[int, str, str, str, int, int, int, int | None, str | None, int, int, int, int],
) -> DueDoorbell:
    no, account, device, endpoint, version, due_ms, attempts, rung_ms, room, offset, flagged, came, own = row
    rung = None
    if rung_ms is not None and room is not None and not came:
        rung = Rung(rung_ms, room, offset, bool(flagged))
    waits = db.execute(_WAITS, {"epoch": epoch, "no": no}).fetchone()
    return DueDoorbell(
        Doorbell(account, device, endpoint, version),
        due_ms,
        attempts,
        rung,
        Waits(waits[0], waits[1], bool(waits[2])) if waits is not None else None,
        bool(own),
    )


def _put(db: sqlite3.Connection, write: PutDoorbell) -> Applied:
    done = db.execute(
        "INSERT INTO doorbells (account, device, endpoint, version, at_ms) VALUES (?, ?, ?, 1, ?) "
        "ON CONFLICT DO UPDATE SET endpoint = excluded.endpoint, version = version + 1, "
        "at_ms = excluded.at_ms, attempts = 0 WHERE endpoint <> excluded.endpoint",
        (write.account, write.device, write.endpoint, write.at_ms),
    )
    db.execute(
        "DELETE FROM doorbells WHERE account = ?1 AND no NOT IN "
        "(SELECT no FROM doorbells WHERE account = ?1 ORDER BY at_ms DESC, no DESC LIMIT ?2)",
        (write.account, DOORBELLS),
    )
    return Applied(changed=done.rowcount > 0)


def _note(db: sqlite3.Connection, write: NoteUnrung) -> Applied:
    found = write.unrung
    done = db.execute("UPDATE line SET rung = ?2 WHERE rung = ?1", (found.after, found.through))
    if not done.rowcount:
        raise Conflict("someone else has gone on")
    db.executemany(
        "UPDATE doorbells SET due_ms = ? WHERE account = ? AND device = ? AND attempts = 0",
        [(write.at_ms, account, device) for account, device in found.devices],
    )
    return Applied()


def _settle(db: sqlite3.Connection, write: SettleDoorbell) -> Applied:
    bell, rung = write.seen.bell, write.rung
    place = (bell.account, bell.device, bell.version)
    done = db.execute(
        "UPDATE doorbells SET due_ms = CASE WHEN due_ms = ?4 THEN ?5 ELSE due_ms END, attempts = ?6 "
        "WHERE account = ?1 AND device = ?2 AND version = ?3 AND due_ms IS NOT NULL",
        (*place, write.seen.due_ms, write.due_ms, write.attempts),
    )
    if done.rowcount and rung is not None:
        db.execute(
            "UPDATE doorbells SET rung_ms = ?4, rung_offset = ?6, rung_flagged = ?7, "
            "rung_room_no = (SELECT no FROM rooms WHERE id = ?5) "
            "WHERE account = ?1 AND device = ?2 AND version = ?3",
            (*place, rung.at_ms, rung.room, rung.offset, rung.flagged),
        )
    return Applied(changed=done.rowcount > 0)

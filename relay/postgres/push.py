"""Doorbells: writes and queries.

Where the search for them stands is one number for all logs together; what waits for a device is found anew
whenever its doorbell is looked at, so that nothing has to be undone when the device comes for it.
"""

from typing import Final, assert_never

from relay.errors import Conflict
from relay.postgres import locks
from relay.postgres.connection import Connection, Row, count
from relay.postgres.horizon import examinable
from relay.postgres.receipts import IN_FORCE
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
from relay.writes import Applied

_ACKED: Final = (
    "coalesce((SELECT c.offset_no FROM cursors c JOIN devices n ON n.no = c.device_no "
    "WHERE n.account = d.account AND n.device = d.device AND c.room_no = {} AND c.epoch = $1), 0)"
)
_MESSAGE: Final = (
    "e.kind > 0 AND e.at_ms >= m.since_ms "
    "AND NOT EXISTS (SELECT 1 FROM devices s WHERE s.no = e.device_no AND s.account = d.account)"
)
_UNRUNG: Final = f"""
    SELECT DISTINCT d.account, d.device FROM events e JOIN members m ON m.room_no = e.room_no
    JOIN doorbells d ON d.account = m.account
    WHERE e.seq > $2 AND e.seq <= $3 AND {_MESSAGE}
    AND e.offset_no > {_ACKED.format("e.room_no")} ORDER BY d.account, d.device
"""  # noqa: S608 - constants
# Of each room the first that waits among its newest events; what is flagged goes first, then what came first.
_WAITS: Final = f"""
    SELECT o.id AS room, w.offset_no, w.flagged FROM (
        SELECT m.room_no, (
            SELECT min(e.offset_no) FROM (
                SELECT n.offset_no, n.kind, n.at_ms, n.device_no FROM events n
                WHERE n.room_no = m.room_no AND n.offset_no > {_ACKED.format("m.room_no")}
                ORDER BY n.offset_no DESC LIMIT {WAITING}
            ) e WHERE {_MESSAGE}
        ) AS offset_no, EXISTS (
            SELECT 1 FROM flags f WHERE f.room_no = m.room_no AND f.cleared_ms IS NULL
            AND f.account IS DISTINCT FROM d.account AND f.offset_no > {_ACKED.format("m.room_no")}
        ) AS flagged
        FROM members m WHERE m.account = d.account
    ) w JOIN rooms o ON o.no = w.room_no
    WHERE w.offset_no IS NOT NULL ORDER BY w.flagged DESC, o.id LIMIT 1
"""  # noqa: S608 - constants
_DUE: Final = f"""
    SELECT d.account, d.device, d.endpoint, d.version, d.due_ms, d.attempts,
        d.rung_ms, r.id, d.rung_offset, d.rung_flagged, {_ACKED.format("d.rung_room_no")} >= d.rung_offset,
        waits.room, waits.offset_no, waits.flagged, {IN_FORCE}
    FROM (SELECT * FROM doorbells WHERE due_ms <= $2 ORDER BY due_ms, no LIMIT $3) d
    LEFT JOIN rooms r ON r.no = d.rung_room_no LEFT JOIN LATERAL ({_WAITS}) waits ON TRUE
    ORDER BY d.due_ms, d.no
"""  # noqa: S608 - constants


async def apply(db: Connection, write: DoorbellWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case PutDoorbell():
            return await _put(db, write)
        case DropDoorbell(account, device, version):
            done = await count(
                db,
                "DELETE FROM doorbells WHERE account = $1 AND device = $2 "
                "AND ($3::bigint IS NULL OR version = $3)",
                account,
                device,
                version,
            )
            return Applied(changed=done > 0)
        case NoteUnrung():
            return await _note(db, write)
        case SettleDoorbell():
            return await _settle(db, write)
        case _:
            assert_never(write)


async def doorbell(db: Connection, account: str, device: str) -> Doorbell | None:
    """The doorbell of a device."""
    row = await db.fetchrow(
        "SELECT account, device, endpoint, version FROM doorbells WHERE account = $1 AND device = $2",
        account,
        device,
    )
    return Doorbell(*row) if row is not None else None


async def unrung(db: Connection, epoch: int, appended_before_ms: int, limit: int) -> Unrung:
    """The next events to be examined, and the devices that lack some of them."""
    after = await db.fetchval("SELECT rung FROM line")
    through = await examinable(db, after, appended_before_ms, limit)
    found = await db.fetch(_UNRUNG, epoch, after, through)
    return Unrung(after, through, tuple([(account, device) for account, device in found]))


async def due(db: Connection, epoch: int, until_ms: int, limit: int) -> tuple[DueDoorbell, ...]:
    """The doorbells to be looked at."""
    return tuple([_due(row) for row in await db.fetch(_DUE, epoch, until_ms, limit)])


def _due(row: Row) -> DueDoorbell:
    account, device, endpoint, version, due_ms, attempts, rung_ms, room, offset, flagged, came, *rest = row
    *waits, in_force = rest
    rung = None
    if rung_ms is not None and room is not None and not came:
        rung = Rung(rung_ms, room, offset, flagged)
    return DueDoorbell(
        Doorbell(account, device, endpoint, version),
        due_ms,
        attempts,
        rung,
        Waits(*waits) if waits[0] is not None else None,
        in_force,
    )


async def _put(db: Connection, write: PutDoorbell) -> Applied:
    await locks.lock_account(db, write.account)
    done = await count(
        db,
        "INSERT INTO doorbells AS d (account, device, endpoint, version, at_ms) VALUES ($1, $2, $3, 1, $4) "
        "ON CONFLICT (account, device) DO UPDATE SET endpoint = excluded.endpoint, version = d.version + 1, "
        "at_ms = excluded.at_ms, attempts = 0 WHERE d.endpoint <> excluded.endpoint",
        write.account,
        write.device,
        write.endpoint,
        write.at_ms,
    )
    await db.execute(
        "DELETE FROM doorbells WHERE account = $1 AND no NOT IN "
        "(SELECT no FROM doorbells WHERE account = $1 ORDER BY at_ms DESC, no DESC LIMIT $2)",
        write.account,
        DOORBELLS,
    )
    return Applied(changed=done > 0)


async def _note(db: Connection, write: NoteUnrung) -> Applied:
    found = write.unrung
    if not await count(db, "UPDATE line SET rung = $2 WHERE rung = $1", found.after, found.through):
        raise Conflict("someone else has gone on")
    await db.execute(
        "UPDATE doorbells SET due_ms = $1 WHERE attempts = 0 "
        "AND (account, device) IN (SELECT * FROM unnest($2::text[], $3::text[]))",
        write.at_ms,
        [account for account, _ in found.devices],
        [device for _, device in found.devices],
    )
    return Applied()


async def _settle(db: Connection, write: SettleDoorbell) -> Applied:
    bell, rung = write.seen.bell, write.rung
    place = (bell.account, bell.device, bell.version)
    done = await count(
        db,
        "UPDATE doorbells SET due_ms = CASE WHEN due_ms = $4 THEN $5 ELSE due_ms END, attempts = $6 "
        "WHERE account = $1 AND device = $2 AND version = $3 AND due_ms IS NOT NULL",
        *place,
        write.seen.due_ms,
        write.due_ms,
        write.attempts,
    )
    if done and rung is not None:
        await db.execute(
            "UPDATE doorbells SET rung_ms = $4, rung_offset = $6, rung_flagged = $7, "
            "rung_room_no = (SELECT no FROM rooms WHERE id = $5) "
            "WHERE account = $1 AND device = $2 AND version = $3",
            *place,
            rung.at_ms,
            rung.room,
            rung.offset,
            rung.flagged,
        )
    return Applied(changed=done > 0)

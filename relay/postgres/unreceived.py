"""The search for events that members have not received: writes and queries.

Where the search stands is one number for all logs together. Who was named, and until when they are held back,
stands with the membership.
"""

from typing import Final, assert_never

from relay.errors import Conflict
from relay.postgres import rooms
from relay.postgres.connection import Connection, count
from relay.postgres.horizon import examinable
from relay.webhooks import Examined, Held, NoteExamined, SearchWrite, SettleHeld, Unreceived
from relay.writes import Applied

_ACKED: Final = (
    "coalesce((SELECT max(c.offset_no) FROM cursors c JOIN devices d ON d.no = c.device_no "
    "WHERE d.account = m.account AND c.room_no = m.room_no AND c.epoch = $1), 0)"
)
_STANDS_OUT: Final = (
    "EXISTS (SELECT 1 FROM flags f WHERE f.room_no = m.room_no AND f.offset_no = {} AND f.cleared_ms IS NULL)"
)
_UNRECEIVED: Final = f"""
    WITH sent AS MATERIALIZED (
        SELECT e.room_no, e.offset_no, e.at_ms, m.account, {_ACKED} AS acked,
            {_STANDS_OUT.format("e.offset_no")} AS flagged,
            CASE WHEN m.unreceived_epoch = $1 THEN m.unreceived_offset ELSE 0 END AS noted,
            {_STANDS_OUT.format("m.unreceived_offset")} AS noted_flagged
        FROM events e JOIN devices s ON s.no = e.device_no
        JOIN members m ON m.room_no = e.room_no AND m.account <> s.account AND m.since_ms <= e.at_ms
        WHERE e.seq > $2 AND e.seq <= $3
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
    WHERE m.held_ms <= $2 ORDER BY m.held_ms, r.id, m.account LIMIT $3
"""  # noqa: S608 - constants
# A room may have been deleted since it was examined: nobody is named in it any more.
_NAME: Final = """
    UPDATE members m SET unreceived_epoch = $1, unreceived_offset = n.offset_no, held_ms = n.held_ms
    FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS n (room, account, offset_no, held_ms)
    JOIN rooms r ON r.id = n.room WHERE m.room_no = r.no AND m.account = n.account
"""


async def apply(db: Connection, epoch: int, write: SearchWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case NoteExamined():
            return await _note_examined(db, epoch, write)
        case SettleHeld():
            return await _settle(db, write)
        case _:
            assert_never(write)


async def unreceived(db: Connection, epoch: int, appended_before_ms: int, limit: int) -> Examined:
    """The next events to be examined, and who has not received them."""
    after = await db.fetchval("SELECT examined FROM line")
    through = await examinable(db, after, appended_before_ms, limit)
    found = await db.fetch(_UNRECEIVED, epoch, after, through)
    return Examined(after, through, tuple([Unreceived(*row) for row in found]))


async def held(db: Connection, epoch: int, until_ms: int, limit: int) -> tuple[Held, ...]:
    """Those who are held back until then."""
    return tuple([Held(*row) for row in await db.fetch(_HELD, epoch, until_ms, limit)])


async def _note_examined(db: Connection, epoch: int, write: NoteExamined) -> Applied:
    examined = write.examined
    gone_on = "UPDATE line SET examined = $2 WHERE examined = $1"
    if not await count(db, gone_on, examined.after, examined.through):
        raise Conflict("someone else has gone on")
    until_ms = {(one.room, one.account): until_ms for one, until_ms in write.held}
    named = examined.unreceived
    await db.execute(
        _NAME,
        epoch,
        [one.room for one in named],
        [one.account for one in named],
        [one.offset for one in named],
        [until_ms.get((one.room, one.account)) for one in named],
    )
    return Applied()


async def _settle(db: Connection, write: SettleHeld) -> Applied:
    held = write.held
    done = await count(
        db,
        "UPDATE members SET held_ms = $1 "
        "WHERE room_no = $2 AND account = $3 AND unreceived_offset = $4 AND held_ms = $5",
        write.until_ms,
        await rooms.keep(db, held.room),
        held.account,
        held.offset,
        held.until_ms,
    )
    if not done:
        raise Conflict("someone else has settled it")
    return Applied()

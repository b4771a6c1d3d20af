"""Dropping the beginning of a log: what may go, and that it goes. Times are arguments.

PostgreSQL does not overwrite what is deleted: its pages are used again after a VACUUM, and what stands in its
own log of writes goes when that is recycled.
"""

from typing import Final

from relay.errors import Conflict, NotFound
from relay.postgres import locks, rooms
from relay.postgres.connection import Connection, snapshot
from relay.retention import OPENING, DropRoom, Obstacle, Purge, Purgeable, uncut
from relay.writes import Applied

HELD: Final = """
    SELECT EXISTS (
        SELECT 1 FROM audit_holds h
        WHERE (h.kind = 'room' AND h.id = (SELECT id FROM rooms WHERE no = $1))
        OR (h.kind = 'session' AND h.id IN (SELECT s.id FROM sessions s WHERE s.room_no = $1))
        OR (h.kind = 'account' AND h.id IN (SELECT m.account FROM members m WHERE m.room_no = $1))
    )
"""
"""Whether a legal hold keeps what is in a room."""

_BARRED: Final = "EXISTS (SELECT 1 FROM revocations v WHERE v.account = {0} AND v.device IN ('', {1}))"
_ITS_CURSOR: Final = "LEFT JOIN cursors c ON c.device_no = d.no AND c.room_no = $1 AND c.epoch = $2"
# How far the devices of a member have acknowledged the room, the last of them.
_LISTED: Final = f"""
    SELECT min(coalesce(c.offset_no, 0)) FROM device_keys k
    LEFT JOIN devices d ON d.account = k.account AND d.device = k.device {_ITS_CURSOR}
    WHERE k.account = m.account AND k.listed AND NOT {_BARRED.format("k.account", "k.device")}
"""  # noqa: S608 - constants
_HEARD_OF: Final = f"""
    SELECT min(coalesce(c.offset_no, 0)) FROM devices d {_ITS_CURSOR}
    WHERE d.account = m.account AND NOT {_BARRED.format("d.account", "d.device")}
"""  # noqa: S608 - constants
_RECEIVED: Final = f"""
    SELECT min(coalesce(
        CASE WHEN EXISTS (SELECT 1 FROM device_lists l WHERE l.account = m.account)
        THEN ({_LISTED}) ELSE ({_HEARD_OF}) END, 0))
    FROM members m WHERE m.room_no = $1 AND NOT {_BARRED.format("m.account", "''")}
"""  # noqa: S608 - constants
# Every sender epoch of the room that has something sealed in it: where it was opened and used last.
_SPANS: Final = f"""
    SELECT opened, max(offset_no) FROM (
        SELECT device_no, offset_no, max(CASE WHEN kind = {OPENING} THEN offset_no END) OVER (
            PARTITION BY device_no ORDER BY offset_no ROWS UNBOUNDED PRECEDING
        ) AS opened FROM events WHERE room_no = $1 AND device_no IS NOT NULL
    ) sealed WHERE opened IS NOT NULL GROUP BY device_no, opened HAVING max(offset_no) > opened
"""  # noqa: S608 - constants
# The last offset before the first event that is as young as this; clocks may have been set back.
_STORED_BEFORE: Final = """
    SELECT coalesce(
        (SELECT offset_no FROM events WHERE room_no = $1 AND at_ms >= $2 ORDER BY offset_no LIMIT 1),
        (SELECT max(offset_no) + 1 FROM events WHERE room_no = $1), 1
    ) - 1
"""
_UNFLAGGED: Final = "SELECT min(offset_no) - 1 FROM flags WHERE room_no = $1 AND cleared_ms IS NULL"
_OBSTACLE: Final = """
    SELECT CASE
    WHEN EXISTS (SELECT 1 FROM events WHERE room_no = $1 AND kind > 0 AND at_ms >= $2) THEN 'messages'
    WHEN EXISTS (SELECT 1 FROM sessions WHERE room_no = $1 AND ends_ms >= $2) THEN 'sessions' END
"""


async def purgeable(
    db: Connection, epoch: int, room: str, before_ms: int, anyway_ms: int
) -> Purgeable | None:
    """What may go from the beginning of a room's log."""
    async with snapshot(db):
        no = await db.fetchval("SELECT no FROM rooms WHERE id = $1 AND deleted_ms IS NULL", room)
        return await _found(db, epoch, room, no, before_ms, anyway_ms) if no is not None else None


async def purge(db: Connection, epoch: int, write: Purge) -> Applied:
    """Drop it in the transaction under way. Raises what the write names."""
    found = write.found
    no = await rooms.lock(db, found.room)
    await locks.share(db, locks.HOLDS)
    if await _found(db, epoch, found.room, no, write.before_ms, write.anyway_ms) != found:
        raise Conflict("not all of it may go by now")
    await db.execute("UPDATE rooms SET expired = expired + $2 WHERE no = $1", no, found.messages)
    await db.execute("DELETE FROM sender_epochs WHERE room_no = $1 AND offset_no <= $2", no, found.through)
    await drop_through(db, no, found.through)
    return Applied()


async def drop_through(db: Connection, no: int, through: int) -> None:
    """Delete the beginning of the log of a room that is locked. Its offsets are not used again."""
    await db.execute("DELETE FROM events WHERE room_no = $1 AND offset_no <= $2", no, through)
    await db.execute("DELETE FROM flags WHERE room_no = $1 AND offset_no <= $2", no, through)
    await db.execute("UPDATE rooms SET trimmed = $2 WHERE no = $1", no, through)


async def obstacle(db: Connection, room: str, before_ms: int) -> Obstacle | None:
    """What is against deleting a room."""
    async with snapshot(db):
        no = await db.fetchval("SELECT no FROM rooms WHERE id = $1 AND deleted_ms IS NULL", room)
        return await _obstacle(db, no, before_ms) if no is not None else None


async def drop_room(db: Connection, write: DropRoom) -> Applied:
    """Delete a room in the transaction under way. Raises what the write names."""
    no, head = await _lock_whole(db, write.room)
    members = await db.fetch("SELECT account FROM members WHERE room_no = $1", no)
    changed = {account for (account,) in members} != write.members
    if changed or await _obstacle(db, no, write.before_ms) is not None:
        raise Conflict("the room cannot be deleted as it is now")
    await drop_through(db, no, head)
    for table in ("deadlines", "ratings", "guests"):
        await db.execute(
            f"DELETE FROM {table} WHERE session IN (SELECT id FROM sessions WHERE room_no = $1)",  # noqa: S608 - names of tables
            no,
        )
    for table in ("sessions", "series", "cursors", "sender_epochs", "members", "departures"):
        await db.execute(f"DELETE FROM {table} WHERE room_no = $1", no)  # noqa: S608 - names of tables
    await db.execute(
        "DELETE FROM documents WHERE id = $1 AND kind = ANY($2)", write.room, list(write.documents)
    )
    await db.execute(
        "UPDATE blobs SET expires_ms = least(expires_ms, $2) WHERE room_no = $1", no, write.at_ms
    )
    await db.execute("UPDATE rooms SET body = '', deleted_ms = $2 WHERE no = $1", no, write.at_ms)
    return Applied()


async def _lock_whole(db: Connection, room: str) -> tuple[int, int]:
    """Keep everybody from a room and its sessions, those included that keep it: its number and its head."""
    row = await db.fetchrow(
        "SELECT no, head FROM rooms WHERE id = $1 AND deleted_ms IS NULL FOR UPDATE", room
    )
    if row is None:
        raise NotFound("no such room, or not a member of it")
    no, head = row
    await db.execute("SELECT FROM sessions WHERE room_no = $1 ORDER BY id FOR UPDATE", no)
    await locks.share(db, locks.HOLDS)
    return no, head


async def _obstacle(db: Connection, no: int, before_ms: int) -> Obstacle | None:
    if await db.fetchval(HELD, no):
        return "hold"
    found: Obstacle | None = await db.fetchval(_OBSTACLE, no, before_ms)
    return found


async def _found(
    db: Connection, epoch: int, room: str, no: int, before_ms: int, anyway_ms: int
) -> Purgeable | None:
    trimmed: int = await db.fetchval("SELECT trimmed FROM rooms WHERE no = $1", no)
    old: int = await db.fetchval(_STORED_BEFORE, no, before_ms)
    if old <= trimmed or await db.fetchval(HELD, no):
        return None
    ends = (await db.fetchval(_RECEIVED, no, epoch), await db.fetchval(_UNFLAGGED, no))
    received = min([old, *[end for end in ends if end is not None]])
    spans = [(first, last) for first, last in await db.fetch(_SPANS, no)] if received > trimmed else []
    whole = uncut(received, spans) if received > trimmed else trimmed
    through = max(whole, min(old, await db.fetchval(_STORED_BEFORE, no, anyway_ms)))
    messages, last_ms = await db.fetchrow(
        "SELECT count(*) FILTER (WHERE kind > 0), max(at_ms) FROM events "
        "WHERE room_no = $1 AND offset_no <= $2",
        no,
        through,
    ) or (0, 0)
    return Purgeable(room, through, messages, last_ms) if messages else None

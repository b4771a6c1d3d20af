"""Inboxes: the queries, and the one write that is not an append.

The room's own row tells the oldest question that waits in it, which whoever appends keeps up to date.
"""

from collections.abc import Callable, Collection, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeVar

from relay.errors import Conflict, NotFound
from relay.inbox import COUNTED, FLAGS, QUESTION, UPCOMING, Asked, ClearFlag, Flagged, InboxRoom, Waiting
from relay.postgres import rooms
from relay.postgres.connection import Connection, Row, count, snapshot
from relay.rows import Member, RoomHead, Session
from relay.writes import Applied

# The first question that is still held: the one that waits itself may have been trimmed.
_WAITING: Final = f"""
    SELECT e.offset_no, e.at_ms FROM events e
    WHERE e.room_no = r.no AND r.waits > 0 AND e.offset_no >= r.waits AND e.kind = {QUESTION}
    ORDER BY e.offset_no LIMIT 1
"""  # noqa: S608 - constants
_UNREAD: Final = f"""
    SELECT count(*) FROM (
        SELECT e.kind, e.device_no FROM events e
        WHERE e.room_no = r.no AND e.offset_no > r.read ORDER BY e.offset_no DESC LIMIT {COUNTED}
    ) newest
    WHERE newest.kind > 0
    AND coalesce(newest.device_no, 0) NOT IN (SELECT d.no FROM devices d WHERE d.account = $1)
"""  # noqa: S608 - constants
_ROOMS: Final = f"""
    SELECT r.no, r.id, r.role, r.head, r.trimmed + 1, r.expired, r.read, ({_UNREAD}), w.offset_no, w.at_ms
    FROM (
        SELECT r.*, m.role, CASE WHEN m.read_epoch = $2 THEN m.read_offset ELSE 0 END AS read
        FROM members m JOIN rooms r ON r.no = m.room_no
        WHERE m.account = $1 AND ($3::text[] IS NULL OR r.id = ANY($3)) ORDER BY r.id LIMIT $4
    ) r LEFT JOIN LATERAL ({_WAITING}) w ON TRUE ORDER BY r.id
"""  # noqa: S608 - constants
_FLAGGED: Final = f"""
    SELECT room_no, offset_no, account, at_ms FROM (
        SELECT *, row_number() OVER (PARTITION BY room_no ORDER BY offset_no) AS place
        FROM flags WHERE cleared_ms IS NULL AND room_no = ANY($1::bigint[])
    ) standing WHERE place <= {FLAGS} ORDER BY room_no, offset_no
"""  # noqa: S608 - constants
_MEMBERS: Final = """
    SELECT room_no, account, role, since_ms FROM members WHERE room_no = ANY($1::bigint[])
    ORDER BY room_no, account
"""
_UPCOMING: Final = f"""
    SELECT r.no, s.id, r.id, s.starts_ms, s.ends_ms, s.state, s.version, s.body
    FROM rooms r CROSS JOIN LATERAL (
        SELECT * FROM sessions n WHERE n.room_no = r.no AND n.starts_ms > $2 AND n.state <> ALL ($3::text[])
        ORDER BY n.starts_ms, n.id LIMIT {UPCOMING}
    ) s WHERE r.no = ANY($1::bigint[]) ORDER BY r.no, s.starts_ms, s.id
"""  # noqa: S608 - constants
_ASKED: Final = f"""
    SELECT r.id, (
        SELECT e.at_ms FROM events e WHERE e.room_no = r.no AND e.kind = {QUESTION}
        ORDER BY e.offset_no DESC LIMIT 1
    ) FROM rooms r CROSS JOIN LATERAL ({_WAITING}) w WHERE r.id > $1 AND r.waits > 0 ORDER BY r.id LIMIT $2
"""  # noqa: S608 - constants

_T = TypeVar("_T")


async def clear_flag(db: Connection, write: ClearFlag) -> Applied:
    """Clear a flag in the transaction under way. Raises what the write names."""
    place = (await rooms.keep(db, write.room), write.offset)
    done = await count(
        db,
        "UPDATE flags SET cleared_ms = $3, cleared_by = $4 "
        "WHERE room_no = $1 AND offset_no = $2 AND cleared_ms IS NULL",
        *place,
        write.at_ms,
        write.account,
    )
    if done:
        return Applied()
    if await db.fetchval("SELECT 1 FROM flags WHERE room_no = $1 AND offset_no = $2", *place) is None:
        raise NotFound("the event was not flagged")
    raise Conflict("the flag is cleared already")


async def inbox(
    db: Connection,
    epoch: int,
    account: str,
    rooms: Collection[str] | None,
    starts_after_ms: int,
    over: Collection[str],
    limit: int,
) -> tuple[InboxRoom, ...]:
    """An account's rooms with everything an inbox shows of them: four statements, however many rooms."""
    names = None if rooms is None else list(rooms)
    async with snapshot(db):
        found = await db.fetch(_ROOMS, account, epoch, names, limit)
        those = [row[0] for row in found]
        flagged = _by_room(await db.fetch(_FLAGGED, those), Flagged)
        members = _by_room(await db.fetch(_MEMBERS, those), Member)
        upcoming = _by_room(await db.fetch(_UPCOMING, those, starts_after_ms, list(over)), Session)
    return tuple(
        [
            InboxRoom(
                room,
                role,
                RoomHead(room, epoch, head, lowest, expired),
                read,
                unread,
                Waiting(waits, since_ms) if waits is not None else None,
                flagged.get(no, ()),
                members[no],
                upcoming.get(no, ()),
            )
            for no, room, role, head, lowest, expired, read, unread, waits, since_ms in found
        ]
    )


async def asked(db: Connection, after: str, limit: int) -> tuple[Asked, ...]:
    """Rooms in which something waits."""
    return tuple([Asked(*row) for row in await db.fetch(_ASKED, after, limit)])


def _by_room(found: Iterable[Row], row: Callable[..., _T]) -> dict[int, tuple[_T, ...]]:
    """What a query has found of each room, by the room's number, which is its first column."""
    return {no: tuple([row(*one[1:]) for one in rows]) for no, rows in groupby(found, itemgetter(0))}

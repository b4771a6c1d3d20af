"""Inboxes: the queries, and the one write that is not an append.

Every event carries the offset of the oldest question that waited after it, so that the last event of a room
tells what waits in it: no row but the event's own is written for that.
"""

import sqlite3
from collections.abc import Callable, Collection, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TypeVar

import msgspec

from relay.errors import Conflict, NotFound
from relay.inbox import COUNTED, FLAGS, QUESTION, UPCOMING, Asked, ClearFlag, Flagged, InboxRoom, Waiting
from relay.rows import Member, RoomHead, Session
from relay.sqlite.catalog import Catalog
from relay.sqlite.reads import HEAD, snapshot
from relay.writes import Applied

_MINE: Final = (
    "SELECT m.room_no FROM members m JOIN rooms r ON r.no = m.room_no WHERE m.account = :account "
    "AND (:rooms IS NULL OR r.id IN (SELECT value FROM json_each(:rooms))) ORDER BY r.id LIMIT :limit"
)
# The first question that is still held: the one that waits itself may have been trimmed.
_WAITING: Final = (
    "FROM events e WHERE e.room_no = r.no AND last.waits > 0 "
    f"AND e.offset_no >= last.waits AND e.kind = {QUESTION} ORDER BY e.offset_no LIMIT 1"
)
_UNREAD: Final = f"""
    SELECT count(*) FROM (
        SELECT e.kind, e.device_no FROM events e
        WHERE e.room_no = r.no AND e.offset_no > CASE WHEN m.read_epoch = :epoch THEN m.read_offset ELSE 0 END
        ORDER BY e.offset_no DESC LIMIT {COUNTED}
    ) newest
    WHERE newest.kind > 0
    AND ifnull(newest.device_no, 0) NOT IN (SELECT d.no FROM devices d WHERE d.account = :account)
"""  # noqa: S608 - constants
_ROOMS: Final = f"""
    SELECT r.no, r.id, m.role, {HEAD}, r.trimmed + 1, r.expired,
        CASE WHEN m.read_epoch = :epoch THEN m.read_offset ELSE 0 END, ({_UNREAD}),
        (SELECT e.offset_no {_WAITING}), (SELECT e.at_ms {_WAITING})
    FROM members m JOIN rooms r ON r.no = m.room_no
    LEFT JOIN events last ON last.room_no = r.no
        AND last.offset_no = (SELECT max(offset_no) FROM events WHERE room_no = r.no)
    WHERE m.account = :account AND m.room_no IN ({_MINE}) ORDER BY r.id
"""  # noqa: S608 - constants
_FLAGGED: Final = f"""
    SELECT room_no, offset_no, account, at_ms FROM (
        SELECT *, row_number() OVER (PARTITION BY room_no ORDER BY offset_no) AS place
        FROM flags WHERE cleared_ms IS NULL AND room_no IN ({_MINE})
    ) WHERE place <= {FLAGS} ORDER BY room_no, offset_no
"""  # noqa: S608 - constants
_MEMBERS: Final = f"""
    SELECT room_no, account, role, since_ms FROM members WHERE room_no IN ({_MINE}) ORDER BY room_no, account
"""  # noqa: S608 - constants
_UPCOMING: Final = f"""
    SELECT r.no, s.id, r.id, s.starts_ms, s.ends_ms, s.state, s.version, s.body
    FROM rooms r JOIN sessions s ON s.rowid IN (
        SELECT n.rowid FROM sessions n WHERE n.room_no = r.no AND n.starts_ms > :starts_after_ms
        AND n.state NOT IN (SELECT value FROM json_each(:over)) ORDER BY n.starts_ms, n.id LIMIT {UPCOMING}
    ) WHERE r.no IN ({_MINE}) ORDER BY r.no, s.starts_ms, s.id
"""  # noqa: S608 - constants
_ASKED: Final = f"""
    SELECT r.id, (
        SELECT e.at_ms FROM events e WHERE e.room_no = r.no AND e.kind = {QUESTION}
        ORDER BY e.offset_no DESC LIMIT 1
    ) FROM rooms r JOIN events last ON last.room_no = r.no
        AND last.offset_no = (SELECT max(offset_no) FROM events WHERE room_no = r.no)
    WHERE r.id > ? AND EXISTS (SELECT 1 {_WAITING}) ORDER BY r.id LIMIT ?
"""  # noqa: S608 - constants

_T = TypeVar("_T")


def clear_flag(db: sqlite3.Connection, catalog: Catalog, write: ClearFlag) -> Applied:
    """Clear a flag in the transaction under way. Raises what the write names."""
    place = (catalog.room(write.room).no, write.offset)
    done = db.execute(
        "UPDATE flags SET cleared_ms = ?3, cleared_by = ?4 "
        "WHERE room_no = ?1 AND offset_no = ?2 AND cleared_ms IS NULL",
        (*place, write.at_ms, write.account),
    )
    if done.rowcount:
        return Applied()
    if db.execute("SELECT 1 FROM flags WHERE room_no = ? AND offset_no = ?", place).fetchone() is None:
        raise NotFound("the event was not flagged")
    raise Conflict("the flag is cleared already")


def inbox(
    db: sqlite3.Connection,
    epoch: int,
    account: str,
    rooms: Collection[str] | None,
    starts_after_ms: int,
    over: Collection[str],
    limit: int,
) -> tuple[InboxRoom, ...]:
    """An account's rooms with everything an inbox shows of them: four statements, however many rooms."""
    asked = {
        "epoch": epoch,
        "account": account,
        "rooms": None if rooms is None else msgspec.json.encode(list(rooms)).decode(),
        "starts_after_ms": starts_after_ms,
        "over": msgspec.json.encode(list(over)).decode(),
        "limit": limit,
    }
    with snapshot(db):
        found = db.execute(_ROOMS, asked).fetchall()
        flagged = _by_room(db, _FLAGGED, asked, Flagged)
        members = _by_room(db, _MEMBERS, asked, Member)
        upcoming = _by_room(db, _UPCOMING, asked, Session)
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


def asked(db: sqlite3.Connection, after: str, limit: int) -> tuple[Asked, ...]:
    """Rooms in which something waits."""
    return tuple([Asked(*row) for row in db.execute(_ASKED, (after, limit))])


def _by_room(
    db: sqlite3.Connection, query: str, asked: Mapping[str, Any], row: Callable[..., _T]
) -> dict[int, tuple[_T, ...]]:
    """What a query finds of each room, by the room's number, which is its first column."""
    found = groupby(db.execute(query, asked), itemgetter(0))
    return {no: tuple([row(*one[1:]) for one in rows]) for no, rows in found}

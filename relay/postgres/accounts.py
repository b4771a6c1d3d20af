"""What stays behind of accounts: what is noted of those that go, the write that erases, and the queries."""

from typing import Final

from relay.accounts import Departure, EraseAccount, Remains
from relay.errors import Conflict
from relay.postgres import keys, locks, rooms
from relay.postgres.connection import Connection, snapshot
from relay.postgres.retention import HELD
from relay.rows import RoomHead
from relay.writes import Applied

# Every room that the account is or was a member of.
_ROOMS: Final = (
    "SELECT room_no FROM members WHERE account = $1 UNION SELECT room_no FROM departures WHERE account = $1"
)
_INVITED_TO: Final = "SELECT s.room_no FROM guests g JOIN sessions s ON s.id = g.session WHERE g.account = $1"
_DEPARTURES: Final = """
    SELECT r.id, d.role, d.since_ms, d.through_no, r.head, r.trimmed + 1, r.expired
    FROM departures d JOIN rooms r ON r.no = d.room_no
    WHERE d.account = $1 AND r.id > $2 AND r.deleted_ms IS NULL ORDER BY r.id LIMIT $3
"""
_COUNTS: Final = f"""
    SELECT (SELECT count(*) FROM ({_ROOMS}) its),
    (SELECT count(*) FROM events WHERE mid IS NOT NULL AND device_no IN (
        SELECT no FROM devices WHERE account = $1
    )), (SELECT count(*) FROM blobs WHERE account = $1 AND whole),
    (SELECT count(*) FROM sessions WHERE room_no IN ({_ROOMS})
        OR id IN (SELECT session FROM guests WHERE account = $1)),
    (SELECT count(*) FROM audit WHERE actor = $1 OR subject = $1
        OR (object_kind = 'account' AND object_id = $1))
"""  # noqa: S608 - constants
_LEAVE: Final = """
    INSERT INTO departures (account, room_no, role, since_ms, through_no)
    SELECT m.account, m.room_no, m.role, m.since_ms, r.head
    FROM members m JOIN rooms r ON r.no = m.room_no WHERE m.room_no = $1 AND m.account = $2
"""
_GONE: Final = (
    "DELETE FROM cursors WHERE room_no = $1 AND device_no IN (SELECT no FROM devices WHERE account = $2)",
    "DELETE FROM sender_epochs WHERE room_no = $1 "
    "AND device_no IN (SELECT no FROM devices WHERE account = $2)",
)
_OWN: Final = (
    "DELETE FROM doorbells WHERE account = $1",
    "DELETE FROM calendars WHERE account = $1",
    "DELETE FROM ratings WHERE account = $1",
    "DELETE FROM claims WHERE claimer = $1",
)


async def erase(db: Connection, write: EraseAccount) -> Applied:
    """Forget an account. Raises what the write names."""
    account = write.account
    await locks.lock_account(db, account)
    await rooms.lock_all_of(db, account)
    await locks.share(db, locks.HOLDS)
    its = await db.fetch(
        "SELECT r.id FROM members m JOIN rooms r ON r.no = m.room_no WHERE m.account = $1", account
    )
    if {room for (room,) in its} != write.rooms:
        raise Conflict("the account is a member of other rooms")
    if await _is_held(db, account):
        raise Conflict("a legal hold keeps what there is of the account")
    for room in sorted(write.rooms):
        await leave(db, room, account)
    await keys.reset(db, account)
    for statement in _OWN:
        await db.execute(statement, account)
    await db.execute("DELETE FROM documents WHERE id = $1 AND kind = ANY($2)", account, list(write.documents))
    await db.execute(
        "UPDATE blobs SET expires_ms = least(expires_ms, $2) WHERE account = $1 AND NOT whole",
        account,
        write.at_ms,
    )
    return Applied()


async def leave(db: Connection, room: str, account: str) -> bool:
    """End a membership and note that it was; whether there was one. Raises `NotFound` without the room."""
    place = (await rooms.lock(db, room), account)
    await db.execute(_LEAVE, *place)
    left = await db.fetchval("DELETE FROM members WHERE room_no = $1 AND account = $2 RETURNING TRUE", *place)
    for statement in _GONE:
        await db.execute(statement, *place)
    return left is not None


async def come_back(db: Connection, room_no: int, account: str) -> None:
    """Forget that somebody had gone who is a member again."""
    await db.execute("DELETE FROM departures WHERE account = $1 AND room_no = $2", account, room_no)


async def departures_of(
    db: Connection, epoch: int, account: str, after: str, limit: int
) -> tuple[Departure, ...]:
    """The rooms that an account has left, behind an id."""
    rows = await db.fetch(_DEPARTURES, account, after, limit)
    return tuple(
        [
            Departure(room, role, since_ms, through, RoomHead(room, epoch, *log))
            for room, role, since_ms, through, *log in rows
        ]
    )


async def is_held(db: Connection, account: str) -> bool:
    """Whether a legal hold keeps what there is of an account."""
    async with snapshot(db):
        return await _is_held(db, account)


async def remains(db: Connection, account: str) -> Remains:
    """How much there is of an account that belongs to others as well."""
    (row,) = await db.fetch(_COUNTS, account)
    return Remains(*row)


async def _is_held(db: Connection, account: str) -> bool:
    itself = "SELECT 1 FROM audit_holds WHERE kind = 'account' AND id = $1"
    if await db.fetchval(itself, account) is not None:
        return True
    for (no,) in await db.fetch(f"{_ROOMS} UNION {_INVITED_TO}", account):
        if await db.fetchval(HELD, no):
            return True
    return False

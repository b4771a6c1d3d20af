"""Finding a room's number, and keeping the room as it is until the transaction ends."""

from typing import Final

from relay.errors import NotFound
from relay.postgres.connection import Connection

_NUMBER: Final = "SELECT no FROM rooms WHERE id = $1 AND deleted_ms IS NULL"


async def keep(db: Connection, room: str) -> int:
    """The number of a room that nobody else deletes meanwhile. Raises `NotFound`."""
    return _found(await db.fetchval(f"{_NUMBER} FOR KEY SHARE", room))


async def lock(db: Connection, room: str) -> int:
    """The same, and nobody else changes its log or its members meanwhile."""
    return _found(await db.fetchval(f"{_NUMBER} FOR NO KEY UPDATE", room))


async def lock_for(db: Connection, room: str, account: str) -> int:
    """The same, if the account is a member. Raises `NotFound` otherwise."""
    no = await lock(db, room)
    member = "SELECT 1 FROM members WHERE room_no = $1 AND account = $2"
    if await db.fetchval(member, no, account) is None:
        raise NotFound("no such room, or not a member of it")
    return no


async def lock_all_of(db: Connection, account: str) -> None:
    """Nobody else changes the log or the members of any room of an account meanwhile."""
    await db.execute(
        "SELECT FROM rooms WHERE no IN (SELECT room_no FROM members WHERE account = $1) "
        "ORDER BY id FOR NO KEY UPDATE",
        account,
    )


def _found(no: int | None) -> int:
    if no is None:
        raise NotFound("no such room, or not a member of it")
    return no

"""The writes that are rare: each is a statement or two, applied at once.

`writer.py` wraps each call with one of these in a savepoint, so they may raise at any point. What concerns
a room keeps it from being deleted, or locks it; see `rooms.py`.
"""

from typing import assert_never

from relay.accounts import EraseAccount
from relay.audit_trail import AuditWrite
from relay.blob_rows import BlobWrite
from relay.cluster import ClusterWrite
from relay.documents import PutDocument
from relay.errors import BeyondHead, Conflict, NotFound
from relay.inbox import ClearFlag
from relay.keys import KeysWrite
from relay.postgres import (
    accounts,
    audit,
    blobs,
    cluster,
    documents,
    inbox,
    keys,
    locks,
    push,
    ratings,
    retention,
    rooms,
    scheduling,
    unreceived,
    webhooks,
)
from relay.postgres.connection import Connection, count
from relay.postgres.runs import check_cursor
from relay.push import DoorbellWrite
from relay.ratings import PutRating
from relay.retention import DropRoom, Purge
from relay.scheduling import ScheduleWrite
from relay.webhooks import DeliveryWrite, SearchWrite
from relay.writes import (
    AddMember,
    Applied,
    ClearDeadline,
    CreateRoom,
    ForgetIdempotency,
    MarkRead,
    PutIdempotency,
    PutSession,
    Reinstate,
    RemoveMember,
    Revoke,
    SetDeadline,
    SetRoomBody,
    Trim,
)

PartWrite = (
    PutRating
    | ClearFlag
    | PutDocument
    | Purge
    | DropRoom
    | AuditWrite
    | ClusterWrite
    | ScheduleWrite
    | KeysWrite
    | DoorbellWrite
    | BlobWrite
    | SearchWrite
    | DeliveryWrite
    | EraseAccount
)
Change = (
    CreateRoom
    | SetRoomBody
    | AddMember
    | RemoveMember
    | Trim
    | MarkRead
    | PutSession
    | SetDeadline
    | ClearDeadline
    | PutIdempotency
    | ForgetIdempotency
    | Revoke
    | Reinstate
    | PartWrite
)


async def apply(db: Connection, epoch: int, change: Change) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match change:
        case CreateRoom():
            return await _create_room(db, change)
        case SetRoomBody():
            return await _set_room_body(db, change)
        case AddMember():
            return await _add_member(db, change)
        case RemoveMember():
            return Applied(changed=await accounts.leave(db, change.room, change.account))
        case Trim():
            return await _trim(db, change)
        case MarkRead():
            return await _mark_read(db, epoch, change)
        case PutSession():
            return await _put_session(db, change)
        case SetDeadline():
            return await _set_deadline(db, change)
        case PutIdempotency():
            return await _put_idempotency(db, change)
        case ClearDeadline() | ForgetIdempotency() | Revoke() | Reinstate():
            return Applied(changed=await _count_changed(db, change) > 0)
        case _:
            return await _apply_to_part(db, epoch, change)


async def _apply_to_part(  # noqa: C901 - one row for each part
    db: Connection, epoch: int, change: PartWrite
) -> Applied:
    """Apply a write to one of the parts that stand in modules of their own."""
    match change:
        case PutRating():
            return await ratings.apply(db, change)
        case ClearFlag():
            return await inbox.clear_flag(db, change)
        case PutDocument():
            return await documents.put(db, change)
        case Purge():
            return await retention.purge(db, epoch, change)
        case DropRoom():
            return await retention.drop_room(db, change)
        case EraseAccount():
            return await accounts.erase(db, change)
        case _ if isinstance(change, AuditWrite):
            return await audit.apply(db, change)
        case _ if isinstance(change, ClusterWrite):
            return await cluster.apply(db, change)
        case _ if isinstance(change, ScheduleWrite):
            return await scheduling.apply(db, change)
        case _ if isinstance(change, KeysWrite):
            return await keys.apply(db, epoch, change)
        case _ if isinstance(change, DoorbellWrite):
            return await push.apply(db, change)
        case _ if isinstance(change, BlobWrite):
            return await blobs.apply(db, change)
        case _ if isinstance(change, SearchWrite):
            return await unreceived.apply(db, epoch, change)
        case _:
            return await webhooks.apply(db, change)


async def _count_changed(
    db: Connection, change: ClearDeadline | ForgetIdempotency | Revoke | Reinstate
) -> int:
    """The writes that are one statement and fail for no reason of their own."""
    match change:
        case ClearDeadline(session, kind):
            return await count(db, "DELETE FROM deadlines WHERE session = $1 AND kind = $2", session, kind)
        case ForgetIdempotency(before_ms):
            return await count(db, "DELETE FROM idempotency WHERE at_ms < $1", before_ms)
        case Revoke(account, device, at_ms):
            return await count(
                db,
                "INSERT INTO revocations (account, device, at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                account,
                device or "",
                at_ms,
            )
        case Reinstate(account, device):
            gone = "DELETE FROM revocations WHERE account = $1 AND device = $2"
            return await count(db, gone, account, device or "")
        case _:
            assert_never(change)


async def _create_room(db: Connection, change: CreateRoom) -> Applied:
    done = await count(
        db,
        "INSERT INTO rooms (id, body, created_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        change.room,
        change.body,
        change.at_ms,
    )
    if not done:
        raise Conflict("the room exists already")
    return Applied()


async def _set_room_body(db: Connection, change: SetRoomBody) -> Applied:
    done = await count(
        db,
        "UPDATE rooms SET body = $1 WHERE id = $2 AND deleted_ms IS NULL",
        change.body,
        change.room,
    )
    if not done:
        raise NotFound("no such room")
    return Applied()


async def _add_member(db: Connection, change: AddMember) -> Applied:
    # A device list of the account that is put meanwhile would not find the room to lock it.
    await locks.share_account(db, change.account)
    no = await rooms.lock(db, change.room)
    done = await count(
        db,
        "INSERT INTO members AS m (room_no, account, role, since_ms) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (room_no, account) DO UPDATE SET role = excluded.role WHERE m.role <> excluded.role",
        no,
        change.account,
        change.role,
        change.at_ms,
    )
    await accounts.come_back(db, no, change.account)
    return Applied(changed=done > 0)


async def _trim(db: Connection, change: Trim) -> Applied:
    no = await rooms.lock(db, change.room)
    row = await db.fetchrow("SELECT head, trimmed FROM rooms WHERE no = $1", no)
    if row is None or change.through > row[0]:
        raise BeyondHead("the log does not reach that far")
    if change.through <= row[1]:
        return Applied(changed=False)
    await retention.drop_through(db, no, change.through)
    return Applied()


async def _mark_read(db: Connection, epoch: int, change: MarkRead) -> Applied:
    no = await rooms.lock_for(db, change.room, change.account)
    head = await db.fetchval("SELECT head FROM rooms WHERE no = $1", no)
    check_cursor(head, epoch, change.epoch, change.offset)
    done = await count(
        db,
        "UPDATE members SET read_epoch = $1, read_offset = $2 WHERE room_no = $3 AND account = $4 "
        "AND (read_epoch <> $1 OR read_offset < $2)",
        change.epoch,
        change.offset,
        no,
        change.account,
    )
    return Applied(changed=done > 0)


async def _put_session(db: Connection, change: PutSession) -> Applied:
    session = change.session
    row = (
        await rooms.keep(db, session.room),
        session.starts_ms,
        session.ends_ms,
        session.state,
        session.version,
        session.body,
        session.id,
    )
    if change.expect_version is None:
        done = await count(
            db,
            "INSERT INTO sessions (room_no, starts_ms, ends_ms, state, version, body, id) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            *row,
        )
    else:
        done = await count(
            db,
            "UPDATE sessions SET starts_ms = $2, ends_ms = $3, state = $4, version = $5, body = $6 "
            "WHERE id = $7 AND version = $8 AND room_no = $1",
            *row,
            change.expect_version,
        )
    if not done:
        raise Conflict("the session stands at another version")
    return Applied()


async def _set_deadline(db: Connection, change: SetDeadline) -> Applied:
    known = "SELECT 1 FROM sessions WHERE id = $1 FOR KEY SHARE"
    if await db.fetchval(known, change.session) is None:
        raise NotFound("no such session")
    done = await count(
        db,
        "INSERT INTO deadlines AS d (session, kind, due_ms, version) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (session, kind) DO UPDATE SET due_ms = excluded.due_ms, version = excluded.version "
        "WHERE d.due_ms <> excluded.due_ms OR d.version <> excluded.version",
        change.session,
        change.kind,
        change.due_ms,
        change.version,
    )
    return Applied(changed=done > 0)


async def _put_idempotency(db: Connection, change: PutIdempotency) -> Applied:
    record = change.record
    done = await count(
        db,
        "INSERT INTO idempotency (key, request_hash, response, at_ms) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT DO NOTHING",
        record.key,
        record.request_hash,
        record.response,
        record.at_ms,
    )
    if not done:
        raise Conflict("the key is taken")
    return Applied()

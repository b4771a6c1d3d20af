"""The writes that are rare: each is a statement or two, applied at once.

`writer.py` wraps each call with one of these in a savepoint, so they may raise at any point.
"""

import sqlite3
from typing import assert_never

from relay.accounts import EraseAccount
from relay.audit_trail import AuditWrite
from relay.blob_rows import BlobWrite
from relay.cluster import ClusterWrite
from relay.documents import PutDocument
from relay.errors import BeyondHead, Conflict, NotFound, StaleEpoch
from relay.inbox import ClearFlag
from relay.keys import KeysWrite
from relay.push import DoorbellWrite
from relay.ratings import PutRating
from relay.retention import DropRoom, Purge, RetentionWrite
from relay.rows import Session
from relay.scheduling import ScheduleWrite
from relay.sqlite import (
    accounts,
    audit,
    blobs,
    cluster,
    documents,
    inbox,
    keys,
    push,
    ratings,
    retention,
    scheduling,
    unreceived,
    webhooks,
)
from relay.sqlite.catalog import Catalog
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
    | DeliveryWrite
    | SearchWrite
    | AuditWrite
    | ScheduleWrite
    | KeysWrite
    | BlobWrite
    | DoorbellWrite
    | RetentionWrite
    | EraseAccount
    | ClusterWrite
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


def apply(db: sqlite3.Connection, catalog: Catalog, epoch: int, change: Change) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match change:
        case CreateRoom():
            return _create_room(db, change)
        case SetRoomBody():
            return _set_room_body(db, change)
        case AddMember():
            return _add_member(db, catalog, change)
        case RemoveMember():
            return Applied(changed=accounts.leave(db, catalog, change.room, change.account))
        case Trim():
            return _trim(db, catalog, change)
        case MarkRead():
            return _mark_read(db, catalog, epoch, change)
        case PutSession():
            return _put_session(db, catalog, change)
        case SetDeadline():
            return _set_deadline(db, change)
        case PutIdempotency():
            return _put_idempotency(db, change)
        case ClearDeadline() | ForgetIdempotency() | Revoke() | Reinstate():
            return Applied(changed=_changed(db, change))
        case _:
            return _apply_to_part(db, catalog, epoch, change)


def _apply_to_part(  # noqa: C901 - one row for each part
    db: sqlite3.Connection, catalog: Catalog, epoch: int, change: PartWrite
) -> Applied:
    """Apply a write to one of the parts that stand in modules of their own."""
    match change:
        case PutRating():
            return ratings.apply(db, change)
        case ClearFlag():
            return inbox.clear_flag(db, catalog, change)
        case PutDocument():
            return documents.put(db, change)
        case Purge():
            return retention.purge(db, catalog, epoch, change)
        case DropRoom():
            return retention.drop_room(db, catalog, change)
        case EraseAccount():
            return accounts.erase(db, catalog, change)
        case _ if isinstance(change, AuditWrite):
            return audit.apply(db, change)
        case _ if isinstance(change, ScheduleWrite):
            return scheduling.apply(db, catalog, change)
        case _ if isinstance(change, KeysWrite):
            return keys.apply(db, catalog, epoch, change)
        case _ if isinstance(change, DoorbellWrite):
            return push.apply(db, change)
        case _ if isinstance(change, ClusterWrite):
            return cluster.apply(db, change)
        case _ if isinstance(change, BlobWrite):
            return blobs.apply(db, catalog, change)
        case _ if isinstance(change, SearchWrite):
            return unreceived.apply(db, catalog, epoch, change)
        case _:
            return webhooks.apply(db, change)


def check_cursor(head: int, current_epoch: int, epoch: int, offset: int) -> None:
    """Whether a cursor may stand there. Raises `StaleEpoch` or `BeyondHead`."""
    if epoch != current_epoch:
        raise StaleEpoch("the log has another epoch now")
    if offset > head:
        raise BeyondHead("the log does not reach that far")


def _changed(db: sqlite3.Connection, change: ClearDeadline | ForgetIdempotency | Revoke | Reinstate) -> bool:
    """The writes that are one statement and fail for no reason of their own."""
    match change:
        case ClearDeadline():
            done = db.execute(
                "DELETE FROM deadlines WHERE session = ? AND kind = ?", (change.session, change.kind)
            )
        case ForgetIdempotency():
            done = db.execute("DELETE FROM idempotency WHERE at_ms < ?", (change.before_ms,))
        case Revoke():
            done = db.execute(
                "INSERT INTO revocations (account, device, at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (change.account, change.device or "", change.at_ms),
            )
        case Reinstate():
            done = db.execute(
                "DELETE FROM revocations WHERE account = ? AND device = ?",
                (change.account, change.device or ""),
            )
        case _:
            assert_never(change)
    return done.rowcount > 0


def _create_room(db: sqlite3.Connection, change: CreateRoom) -> Applied:
    done = db.execute(
        "INSERT INTO rooms (id, body, created_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (change.room, change.body, change.at_ms),
    )
    if not done.rowcount:
        raise Conflict("the room exists already")
    return Applied()


def _set_room_body(db: sqlite3.Connection, change: SetRoomBody) -> Applied:
    done = db.execute(
        "UPDATE rooms SET body = ? WHERE id = ? AND deleted_ms IS NULL", (change.body, change.room)
    )
    if not done.rowcount:
        raise NotFound("no such room")
    return Applied()


def _add_member(db: sqlite3.Connection, catalog: Catalog, change: AddMember) -> Applied:
    state = catalog.room(change.room)
    done = db.execute(
        "INSERT INTO members (room_no, account, role, since_ms) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET role = excluded.role WHERE role <> excluded.role",
        (state.no, change.account, change.role, change.at_ms),
    )
    accounts.come_back(db, state, change.account)
    catalog.forget_room(change.room)
    return Applied(changed=done.rowcount > 0)


def _trim(db: sqlite3.Connection, catalog: Catalog, change: Trim) -> Applied:
    state = catalog.room(change.room)
    if change.through > state.head:
        raise BeyondHead("the log does not reach that far")
    if change.through <= state.trimmed:
        return Applied(changed=False)
    retention.drop_through(db, state, change.through)
    return Applied()


def _mark_read(db: sqlite3.Connection, catalog: Catalog, epoch: int, change: MarkRead) -> Applied:
    state = catalog.room_of(change.room, change.account)
    check_cursor(state.head, epoch, change.epoch, change.offset)
    done = db.execute(
        "UPDATE members SET read_epoch = ?1, read_offset = ?2 WHERE room_no = ?3 AND account = ?4 "
        "AND (read_epoch <> ?1 OR read_offset < ?2)",
        (change.epoch, change.offset, state.no, change.account),
    )
    return Applied(changed=done.rowcount > 0)


def _put_session(db: sqlite3.Connection, catalog: Catalog, change: PutSession) -> Applied:
    session: Session = change.session
    room_no = catalog.room(session.room).no
    row = (room_no, session.starts_ms, session.ends_ms, session.state, session.version, session.body)
    if change.expect_version is None:
        done = db.execute(
            "INSERT INTO sessions (room_no, starts_ms, ends_ms, state, version, body, id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*row, session.id),
        )
    else:
        done = db.execute(
            "UPDATE sessions SET starts_ms = ?2, ends_ms = ?3, state = ?4, version = ?5, body = ?6 "
            "WHERE id = ?7 AND version = ?8 AND room_no = ?1",
            (*row, session.id, change.expect_version),
        )
    if not done.rowcount:
        raise Conflict("the session stands at another version")
    return Applied()


def _set_deadline(db: sqlite3.Connection, change: SetDeadline) -> Applied:
    if db.execute("SELECT 1 FROM sessions WHERE id = ?", (change.session,)).fetchone() is None:
        raise NotFound("no such session")
    done = db.execute(
        "INSERT INTO deadlines (session, kind, due_ms, version) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET due_ms = excluded.due_ms, version = excluded.version "
        "WHERE due_ms <> excluded.due_ms OR version <> excluded.version",
        (change.session, change.kind, change.due_ms, change.version),
    )
    return Applied(changed=done.rowcount > 0)


def _put_idempotency(db: sqlite3.Connection, change: PutIdempotency) -> Applied:
    record = change.record
    done = db.execute(
        "INSERT INTO idempotency (key, request_hash, response, at_ms) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (record.key, record.request_hash, record.response, record.at_ms),
    )
    if not done.rowcount:
        raise Conflict("the key is taken")
    return Applied()

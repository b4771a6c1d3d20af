"""What can be written to a store: writes are data, `Store.commit` applies them, each gives one outcome.

A write says which errors it can end with; any of them fails the whole `commit` call it is part of.
"""

import msgspec

from relay.accounts import EraseAccount
from relay.audit_trail import AuditWrite
from relay.blob_rows import BlobWrite
from relay.cluster import ClusterWrite
from relay.documents import PutDocument
from relay.inbox import NOTE, ClearFlag, EventKind
from relay.keys import Claimed, ClaimPrekeys, KeysWrite, Sealing
from relay.push import DoorbellWrite
from relay.ratings import PutRating
from relay.retention import RetentionWrite
from relay.rows import IdempotencyRecord, Session
from relay.scheduling import ScheduleWrite
from relay.webhooks import WebhookWrite


class CreateRoom(msgspec.Struct, frozen=True, gc=False):
    """A new room with an empty log and no members. `Conflict` if the id is taken. Outcome: `Applied`."""

    room: str
    body: bytes
    at_ms: int


class SetRoomBody(msgspec.Struct, frozen=True, gc=False):
    """Give a room other settings. `NotFound` without the room. Outcome: `Applied`."""

    room: str
    body: bytes


class AddMember(msgspec.Struct, frozen=True, gc=False):
    """Make an account a member, or give a member another role. `NotFound` without the room.

    Outcome: `Applied`, `changed=False` if it was a member with that role already.
    """

    room: str
    account: str
    role: str
    at_ms: int


class RemoveMember(msgspec.Struct, frozen=True, gc=False):
    """End a membership, with its cursors and its read mark; that it was there is kept (`relay.accounts`).

    `NotFound` without the room.

    Outcome: `Applied`, `changed=False` if it was no member.
    """

    room: str
    account: str


class Append(msgspec.Struct, frozen=True, gc=False):
    """Put an event at the end of a room's log. `NotFound` without the room or without the sender's
    membership, and what `sealing` names.

    Sent by a device: `sender`, `device` and `mid` (16 bytes) are given. A device may use a mid once, in
    whatever room, for as long as the event is kept; using it again writes nothing and its outcome tells the
    first result. Bodies are compared byte by byte for that, so `body` must be made of what the client sent
    and nothing else. Written by the server itself: all three are None, and neither membership nor repetition
    is looked at. `kind` and `flagged` are for inboxes; a flagged event stands out until `ClearFlag`. With
    `sealing` it is appended only while it is for those it was made for; None: that is not looked at.
    """

    room: str
    sender: str | None
    device: str | None
    mid: bytes | None
    body: bytes
    at_ms: int
    kind: EventKind = NOTE
    flagged: bool = False
    sealing: Sealing | None = None

    def __post_init__(self) -> None:
        sent = self.mid is not None
        if (self.sender is not None) != sent or (self.device is not None) != sent:
            raise ValueError("sender, device and mid belong together")
        if self.mid is not None and len(self.mid) != 16:
            raise ValueError("a mid has 16 bytes")
        if self.sealing is not None and not sent:
            raise ValueError("what is sealed is sent by a device")


class Trim(msgspec.Struct, frozen=True, gc=False):
    """Drop the events of a room up to and including `through`; never goes back, offsets are never reused.

    `NotFound` without the room, `BeyondHead` past its head. Outcome: `Applied`.
    """

    room: str
    through: int


class Ack(msgspec.Struct, frozen=True, gc=False):
    """A device holds a room's log durably up to `offset`. Cumulative: a lower offset than before changes
    nothing.

    `NotFound` without room or membership, `StaleEpoch` for another epoch than the log's, `BeyondHead` past
    its head. Outcome: `Applied`, always as changed.
    """

    account: str
    device: str
    room: str
    epoch: int
    offset: int


class MarkRead(msgspec.Struct, frozen=True, gc=False):
    """An account has read a room up to `offset`. Same rules and errors as `Ack`."""

    account: str
    room: str
    epoch: int
    offset: int


class PutSession(msgspec.Struct, frozen=True, gc=False):
    """Write a session if it stands at `expect_version`; None: if it does not exist yet. Sets
    `session.version`.

    `Conflict` if another version stands there (or any, or none), `NotFound` without the room. The room of a
    session cannot change: `Conflict`. Outcome: `Applied`.
    """

    session: Session
    expect_version: int | None


class SetDeadline(msgspec.Struct, frozen=True, gc=False):
    """Set or move the deadline of that kind. `NotFound` without the session. Outcome: `Applied`."""

    session: str
    kind: str
    due_ms: int
    version: int


class ClearDeadline(msgspec.Struct, frozen=True, gc=False):
    """Remove a deadline. Outcome: `Applied`, `changed=False` if there was none."""

    session: str
    kind: str


class PutIdempotency(msgspec.Struct, frozen=True, gc=False):
    """Keep the answer of a request. `Conflict` if the key is taken. Outcome: `Applied`."""

    record: IdempotencyRecord


class ForgetIdempotency(msgspec.Struct, frozen=True, gc=False):
    """Drop the answers written before an instant. Outcome: `Applied`."""

    before_ms: int


class Revoke(msgspec.Struct, frozen=True, gc=False):
    """Bar an account (`device` None) or one device from connecting. Outcome: `Applied`, unchanged if it was
    barred.
    """

    account: str
    device: str | None
    at_ms: int


class Reinstate(msgspec.Struct, frozen=True, gc=False):
    """Undo the `Revoke` with the same account and device. Outcome: `Applied`, unchanged if there was none."""

    account: str
    device: str | None


Write = (
    CreateRoom
    | SetRoomBody
    | AddMember
    | RemoveMember
    | Append
    | Trim
    | Ack
    | MarkRead
    | PutSession
    | SetDeadline
    | ClearDeadline
    | PutIdempotency
    | ForgetIdempotency
    | Revoke
    | Reinstate
    | PutRating
    | WebhookWrite
    | AuditWrite
    | ScheduleWrite
    | ClearFlag
    | PutDocument
    | DoorbellWrite
    | KeysWrite
    | BlobWrite
    | ClaimPrekeys
    | RetentionWrite
    | EraseAccount
    | ClusterWrite
)


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The place an event got, or had already.

    `duplicate`: this device has used the mid before, nothing was written, the rest is the first result.
    `differs`: and the room or the body is not the same one; then the event asked for is *not* in the log.
    """

    offset: int
    epoch: int
    at_ms: int
    audience: frozenset[str]  # accounts that were members when this was committed: whom to notify
    duplicate: bool = False
    differs: bool = False


class Applied(msgspec.Struct, frozen=True, gc=False):
    """The write took effect; `changed` is False if everything stood like that already."""

    changed: bool = True


Outcome = Appended | Applied | Claimed

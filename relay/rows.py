"""What a store returns: frozen rows, the same for every implementation.

Ids of rooms, accounts, devices and sessions are opaque strings; times are integer milliseconds since the Unix
epoch; bodies are opaque bytes, returned exactly as they were written.
"""

from typing import Literal

import msgspec

ResetReason = Literal["epoch", "beyond_head", "purged"]


class RoomHead(msgspec.Struct, frozen=True, gc=False):
    """How far a room's log reaches: it holds `lowest`..`head`; an empty one has `lowest == head + 1`."""

    room: str
    epoch: int  # goes up whenever the store was restored: the same offset may then mean another event
    head: int  # offset of the last event, 0 before the first
    lowest: int  # lowest offset still held, 1 until something is trimmed
    expired: int = 0  # messages below it that were purged


class Room(msgspec.Struct, frozen=True, gc=False):
    """One room with its settings (opaque to the store) and the state of its log."""

    room: str
    body: bytes
    created_ms: int
    log: RoomHead


class Member(msgspec.Struct, frozen=True, gc=False):
    """One account's place in a room."""

    account: str
    role: str
    since_ms: int


class Membership(msgspec.Struct, frozen=True, gc=False):
    """One room seen from one of its members: what `welcome` and the inbox need."""

    room: str
    role: str
    log: RoomHead
    read: int  # how far the account has read, in the log's epoch; 0 for not at all


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """One entry of a room's log. The server's own have None for `sender`, `device` and `mid`."""

    offset: int
    sender: str | None
    device: str | None
    mid: bytes | None  # 16 bytes
    body: bytes
    at_ms: int


class Page(msgspec.Struct, frozen=True, gc=False):
    """A gapless run of a log after the offset asked for, and the state of the log in the same snapshot.

    `events` starts at `after + 1` or is empty: when the caller is at the head, or when `reset_reason(log,
    ...)` says that the log cannot be continued from there.
    """

    log: RoomHead
    events: tuple[StoredEvent, ...]

    @property
    def more(self) -> bool:
        """Whether the log went further than this page when it was read."""
        return bool(self.events) and self.events[-1].offset < self.log.head


class SentEvent(msgspec.Struct, frozen=True, gc=False):
    """An event that a device has sent, and the room it stands in."""

    room: str
    offset: int
    body: bytes
    at_ms: int


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """How far a device has durably received a room's log."""

    epoch: int
    offset: int


class Session(msgspec.Struct, frozen=True, gc=False):
    """One session. The store keeps `version` for compare-and-set and orders by `starts_ms`; the rest it only
    holds.
    """

    id: str
    room: str
    starts_ms: int
    ends_ms: int
    state: str
    version: int
    body: bytes


class SessionCursor(msgspec.Struct, frozen=True, gc=False):
    """A place in a room's list of sessions, which is ordered by start and then by id."""

    starts_ms: int
    id: str


class Deadline(msgspec.Struct, frozen=True, gc=False):
    """Something due for a session. `version` is the session's version for which it was set."""

    session: str
    kind: str
    due_ms: int
    version: int


class IdempotencyRecord(msgspec.Struct, frozen=True, gc=False):
    """The answer a request got, kept to be repeated. `request_hash` tells a repeat from another use of the
    key.
    """

    key: str
    request_hash: bytes
    response: bytes
    at_ms: int


class Revocation(msgspec.Struct, frozen=True, gc=False):
    """An account (`device` is None) or one device of it that may not connect."""

    account: str
    device: str | None
    at_ms: int


class StoreStatistics(msgspec.Struct, frozen=True, gc=False):
    """Counters since the store was opened, and its size now."""

    commits: int  # calls of `commit` that were answered, with success or an error
    batches: int  # transactions they were grouped into
    appends: int  # events written
    waiting: int  # calls queued behind the batch in flight
    size_bytes: int  # on disk, what waits to be checkpointed included


def reset_reason(log: RoomHead, epoch: int, offset: int) -> ResetReason | None:
    """Why a reader that has everything up to `offset` of `epoch` cannot be continued gaplessly; None if it
    can.

    Offset 0 is the beginning in any epoch: a reader that holds nothing cannot hold anything stale.
    """
    if offset > 0 and epoch != log.epoch:
        return "epoch"
    if offset > log.head:
        return "beyond_head"
    if offset + 1 < log.lowest:
        return "purged"
    return None

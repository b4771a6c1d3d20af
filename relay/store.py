"""The Store port: rooms, logs, cursors, sessions, deadlines, deliveries, ratings, series, keys,
blobs, nodes, the audit trail. These comments are the contract of every implementation.

The store is the truth: what `commit` returned is durable and visible to every later read, whatever is killed
when. It knows no clock (times are arguments), no frames, no permissions beyond membership.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol, overload

from relay.accounts import Accounts
from relay.audit_trail import AuditTrail
from relay.blob_rows import BlobRows
from relay.cluster import ClusterRows
from relay.documents import Documents
from relay.errors import StoreError
from relay.inbox import Inboxes
from relay.keys import Keys
from relay.push import Doorbells
from relay.ratings import Ratings
from relay.receipts import Receipts
from relay.retention import RetentionRows
from relay.rows import (
    Cursor,
    Deadline,
    IdempotencyRecord,
    Member,
    Membership,
    Page,
    Revocation,
    Room,
    RoomHead,
    SentEvent,
    Session,
    SessionCursor,
    StoreStatistics,
)
from relay.scheduling import Scheduling
from relay.webhooks import Webhooks
from relay.writes import Append, Appended, Outcome, Write


class Store(
    Webhooks,
    AuditTrail,
    Ratings,
    Scheduling,
    Inboxes,
    Receipts,
    Doorbells,
    Documents,
    Keys,
    BlobRows,
    RetentionRows,
    Accounts,
    ClusterRows,
    Protocol,
):
    """Durable state of one deployment.

    Atomic per `commit` call: all of its writes or none, in the order given, later ones seeing earlier ones.
    Calls waiting at the same time share one transaction and one flush to disk; one that fails does not touch
    the others. Offsets are assigned inside the transaction: per room 1, 2, 3, ... without a gap, in the order
    of the calls. Every method raises `StoreClosed` before `open` and after `close`, `Overloaded` when too
    many calls wait, and `StoreError` when the storage fails; reads go on while writes fail. All methods
    belong to one event loop.
    """

    async def open(self) -> None:
        """Open, migrate if needed. Raises `StoreInUse`, `SchemaTooNew` or `StoreUnusable`."""

    async def close(self) -> None:
        """Take no new calls, finish those taken, release the storage. Closing twice is harmless."""

    @property
    def epoch(self) -> int:
        """The epoch of all logs: constant while open, higher than ever before after a restore."""

    @overload
    async def commit(self, write: Append, /) -> tuple[Appended]: ...
    @overload
    async def commit(self, *writes: Write) -> tuple[Outcome, ...]: ...
    async def commit(self, *writes: Write) -> tuple[Outcome, ...]:
        """Apply the writes atomically; durable when it returns, one outcome per write.

        Raises what the writes name, and `StoreFull`. Cancelling the caller does not undo a commit under way.
        """

    def commit_soon(
        self, done: Callable[[tuple[Outcome, ...] | StoreError], None], /, *writes: Write
    ) -> None:
        """The same without a task for each commit: `done` is given the outcomes or the error, in a later turn
        of the event loop, in the order of the calls. Raises `StoreClosed` and `Overloaded` at once.
        """

    async def room(self, room: str) -> Room | None:
        """One room."""

    async def rooms(self, *, after: str = "", limit: int) -> tuple[Room, ...]:
        """Rooms in the order of their ids, beginning behind `after`: the last id of the page before."""

    async def heads(self, rooms: Collection[str]) -> Mapping[str, RoomHead]:
        """The state of those logs; rooms that do not exist are left out."""

    async def members(self, room: str) -> tuple[Member, ...]:
        """Members in the order of their accounts; empty for a room that does not exist."""

    async def rooms_of(self, account: str, *, after: str = "", limit: int) -> tuple[Membership, ...]:
        """The account's rooms in the order of their ids, beginning behind `after`."""

    async def events(self, room: str, *, after: int, limit: int, max_bytes: int) -> Page:
        """The log after an offset: at most `limit` events whose bodies make at most `max_bytes`, but at least
        one.

        Raises `NotFound`. Membership is not looked at. What cannot be continued gaplessly gives an empty
        page: see `rows.reset_reason`.
        """

    async def sent(self, account: str, device: str, mid: bytes) -> SentEvent | None:
        """The event that the device sent under this mid, if it is kept."""

    async def cursors(self, account: str, device: str) -> Mapping[str, Cursor]:
        """How far the device has received each room it has ever acknowledged."""

    async def session(self, session: str) -> Session | None:
        """One session."""

    async def sessions_of(
        self, room: str, *, after: SessionCursor | None = None, limit: int
    ) -> tuple[Session, ...]:
        """A room's sessions by start, then id, beginning behind `after`."""

    async def sessions_between(
        self,
        from_ms: int,
        until_ms: int,
        *,
        room: str | None = None,
        after: SessionCursor | None = None,
        limit: int,
    ) -> tuple[Session, ...]:
        """Sessions, of one room or of all, that start from `from_ms` on and before `until_ms`.

        By start, then id, beginning behind `after`.
        """

    async def sessions_in(self, state: str, *, after: str = "", limit: int) -> tuple[Session, ...]:
        """All sessions in a state in the order of their ids, beginning behind `after`."""

    async def deadlines(self, *, due_before_ms: int, limit: int) -> tuple[Deadline, ...]:
        """Deadlines due before an instant, earliest first; ties by session and kind."""

    async def idempotency(self, key: str) -> IdempotencyRecord | None:
        """The answer kept under a key."""

    async def revocation(self, account: str, device: str) -> Revocation | None:
        """What bars this device: its own revocation or its account's."""

    async def statistics(self) -> StoreStatistics:
        """Counters and sizes. Answers only if the storage can be read: good for a readiness probe."""

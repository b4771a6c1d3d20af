"""The Store port over PostgreSQL: one connection that writes batches, a pool of those that read."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Concatenate, Final, ParamSpec, TypeVar, overload

from relay.accounts import Departure, Remains
from relay.audit_chain import AuditRecord
from relay.audit_trail import AuditAnchor, AuditCheckpoint, AuditFilter, AuditHead, AuditHold, Grant
from relay.blob_rows import BlobRow, BlobTotals
from relay.cluster import Nodes
from relay.documents import Document
from relay.errors import StoreClosed, StoreRestored
from relay.group import Done, GroupCommit
from relay.inbox import Asked, InboxRoom
from relay.keys import DeviceListRow, DeviceRow, Stock
from relay.postgres import (
    accounts,
    audit,
    blobs,
    cluster,
    documents,
    inbox,
    keys,
    push,
    ratings,
    reads,
    receipts,
    retention,
    scheduling,
    unreceived,
    webhooks,
)
from relay.postgres.connection import Connection
from relay.postgres.opening import Link, Target, check_epoch, connect, prepare
from relay.postgres.pool import Pool
from relay.postgres.writer import Writer
from relay.push import Doorbell, DueDoorbell, Unrung
from relay.ratings import Rating, RatingCursor
from relay.receipts import Receipt
from relay.retention import Obstacle, Purgeable
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
from relay.scheduling import CalendarFeed, SeriesRow
from relay.webhooks import Backlog, Delivery, DeliveryCursor, DeliveryState, Examined, Held
from relay.writes import Append, Appended, Outcome, Write

_P = ParamSpec("_P")
_T = TypeVar("_T")


class PostgresStore:
    """`relay.store.Store` in a database of PostgreSQL, which other processes may have open as well.

    The bounds on waiting reads are those of `Pool`, those on waiting writes those of `GroupCommit`.
    """

    def __init__(self, target: Target) -> None:
        self._target: Final = target
        self._pool: Pool | None = None
        self._writer: Writer | None = None
        self._group: GroupCommit | None = None
        self._epoch = 0

    async def open(self) -> None:
        if self._writer is not None:
            raise RuntimeError("the store is open")
        target = self._target
        self._epoch = await prepare(target)
        writer = Writer(target, self._epoch)
        await writer.open()
        self._writer = writer
        self._group = GroupCommit(writer)
        # A query that the server has given up is known before this; it is for a server that is silent.
        seconds = target.connect_seconds + 2 * target.statement_seconds
        self._pool = Pool(self._connect, size=target.connections, seconds=seconds)

    async def close(self) -> None:
        if self._group is None or self._pool is None:
            return
        group, pool = self._group, self._pool
        self._group = self._pool = None
        await group.close()
        await pool.close()
        self._writer = None

    @property
    def epoch(self) -> int:
        if self._writer is None:
            raise StoreClosed("the store is not open")
        return self._epoch

    @overload
    async def commit(self, write: Append, /) -> tuple[Appended]: ...
    @overload
    async def commit(self, *writes: Write) -> tuple[Outcome, ...]: ...
    async def commit(self, *writes: Write) -> tuple[Outcome, ...]:
        if self._group is None:
            raise StoreClosed("the store is not open")
        if not writes:
            return ()
        return await self._group.submit(writes)

    def commit_soon(self, done: Done, /, *writes: Write) -> None:
        if self._group is None:
            raise StoreClosed("the store is not open")
        self._group.enter(writes, done)

    async def room(self, room: str) -> Room | None:
        return await self._read(reads.room, self._epoch, room)

    async def rooms(self, *, after: str = "", limit: int) -> tuple[Room, ...]:
        return await self._read(reads.rooms, self._epoch, after, limit)

    async def heads(self, rooms: Collection[str]) -> Mapping[str, RoomHead]:
        return await self._read(reads.heads, self._epoch, rooms)

    async def members(self, room: str) -> tuple[Member, ...]:
        return await self._read(reads.members, room)

    async def rooms_of(self, account: str, *, after: str = "", limit: int) -> tuple[Membership, ...]:
        return await self._read(reads.rooms_of, self._epoch, account, after, limit)

    async def events(self, room: str, *, after: int, limit: int, max_bytes: int) -> Page:
        return await self._read(reads.events, self._epoch, room, after, limit, max_bytes)

    async def sent(self, account: str, device: str, mid: bytes) -> SentEvent | None:
        return await self._read(reads.sent, account, device, mid)

    async def cursors(self, account: str, device: str) -> Mapping[str, Cursor]:
        return await self._read(reads.cursors, account, device)

    async def session(self, session: str) -> Session | None:
        return await self._read(reads.session, session)

    async def sessions_of(
        self, room: str, *, after: SessionCursor | None = None, limit: int
    ) -> tuple[Session, ...]:
        return await self._read(reads.sessions_of, room, after, limit)

    async def sessions_between(
        self,
        from_ms: int,
        until_ms: int,
        *,
        room: str | None = None,
        after: SessionCursor | None = None,
        limit: int,
    ) -> tuple[Session, ...]:
        return await self._read(reads.sessions_between, from_ms, until_ms, room, after, limit)

    async def sessions_in(self, state: str, *, after: str = "", limit: int) -> tuple[Session, ...]:
        return await self._read(reads.sessions_in, state, after, limit)

    @property
    def shared(self) -> bool:
        return True

    async def nodes(self) -> Nodes:
        return await self._read(cluster.nodes)

    async def deadlines(self, *, due_before_ms: int, limit: int) -> tuple[Deadline, ...]:
        return await self._read(reads.deadlines, due_before_ms, limit)

    async def idempotency(self, key: str) -> IdempotencyRecord | None:
        return await self._read(reads.idempotency, key)

    async def revocation(self, account: str, device: str) -> Revocation | None:
        return await self._read(reads.revocation, account, device)

    async def ratings(
        self, kind: str, *, from_ms: int, until_ms: int, after: RatingCursor | None = None, limit: int
    ) -> tuple[Rating, ...]:
        return await self._read(ratings.ratings, kind, from_ms, until_ms, after, limit)

    async def ratings_of(self, account: str, *, after: str = "", limit: int) -> tuple[Rating, ...]:
        return await self._read(ratings.ratings_of, account, after, limit)

    async def delivery(self, delivery: str) -> Delivery | None:
        return await self._read(webhooks.delivery, delivery)

    async def deliveries(
        self,
        state: DeliveryState,
        *,
        endpoint: str | None = None,
        since_ms: int = 0,
        until_ms: int | None = None,
        after: DeliveryCursor | None = None,
        limit: int,
    ) -> tuple[Delivery, ...]:
        return await self._read(webhooks.listed, state, endpoint, since_ms, until_ms, after, limit)

    async def due_deliveries(self, endpoint: str, *, limit: int) -> tuple[Delivery, ...]:
        return await self._read(webhooks.due, endpoint, limit)

    async def backlogs(self) -> tuple[Backlog, ...]:
        return await self._read(webhooks.backlogs)

    async def unreceived(self, *, appended_before_ms: int, limit: int) -> Examined:
        return await self._read(unreceived.unreceived, self._epoch, appended_before_ms, limit)

    async def held(self, *, until_ms: int, limit: int) -> tuple[Held, ...]:
        return await self._read(unreceived.held, self._epoch, until_ms, limit)

    async def audit_head(self) -> AuditHead:
        return await self._read(audit.head)

    async def audit(
        self, *, after: int, limit: int, matching: AuditFilter | None = None
    ) -> tuple[AuditRecord, ...]:
        return await self._read(audit.records, after, limit, matching)

    async def audit_checkpoints(self, *, after: int, limit: int) -> tuple[AuditCheckpoint, ...]:
        return await self._read(audit.checkpoints, after, limit)

    async def audit_anchor(self) -> AuditAnchor | None:
        return await self._read(audit.anchor)

    async def audit_kept(self, *, through: int, after: int = 0, limit: int) -> tuple[AuditRecord, ...]:
        return await self._read(audit.kept, through, after, limit)

    async def audit_holds(self, *, after: tuple[str, str] = ("", ""), limit: int) -> tuple[AuditHold, ...]:
        return await self._read(audit.holds, after, limit)

    async def grant(self, account: str, scope: str) -> Grant | None:
        return await self._read(audit.grant, account, scope)

    async def grants(self, *, until_ms: int, limit: int) -> tuple[Grant, ...]:
        return await self._read(audit.grants, until_ms, limit)

    async def sessions_of_account(
        self, account: str, *, after: SessionCursor, before_ms: int, limit: int
    ) -> tuple[Session, ...]:
        return await self._read(scheduling.sessions_of_account, account, after, before_ms, limit)

    async def series(self, series: str) -> SeriesRow | None:
        return await self._read(scheduling.series, series)

    async def series_of(self, room: str, *, after: str = "", limit: int) -> tuple[SeriesRow, ...]:
        return await self._read(scheduling.series_of, room, after, limit)

    async def series_due(self, *, until_ms: int, limit: int) -> tuple[SeriesRow, ...]:
        return await self._read(scheduling.series_due, until_ms, limit)

    async def calendar(self, digest: bytes) -> CalendarFeed | None:
        return await self._read(scheduling.calendar, digest)

    async def inbox(
        self,
        account: str,
        *,
        rooms: Collection[str] | None = None,
        starts_after_ms: int,
        over: Collection[str],
        limit: int,
    ) -> tuple[InboxRoom, ...]:
        return await self._read(inbox.inbox, self._epoch, account, rooms, starts_after_ms, over, limit)

    async def asked(self, *, after: str = "", limit: int) -> tuple[Asked, ...]:
        return await self._read(inbox.asked, after, limit)

    async def receipts(self, room: str) -> tuple[Receipt, ...]:
        return await self._read(receipts.receipts, self._epoch, room)

    async def doorbell(self, account: str, device: str) -> Doorbell | None:
        return await self._read(push.doorbell, account, device)

    async def unrung(self, *, appended_before_ms: int, limit: int) -> Unrung:
        return await self._read(push.unrung, self._epoch, appended_before_ms, limit)

    async def due_doorbells(self, *, until_ms: int, limit: int) -> tuple[DueDoorbell, ...]:
        return await self._read(push.due, self._epoch, until_ms, limit)

    async def documents(self, kind: str, ids: Collection[str]) -> Mapping[str, Document]:
        return await self._read(documents.documents, kind, ids)

    async def device_lists(self, accounts: Collection[str]) -> Mapping[str, DeviceListRow]:
        return await self._read(keys.device_lists, accounts)

    async def device_lists_in(self, room: str) -> Mapping[str, DeviceListRow]:
        return await self._read(keys.device_lists_in, room)

    async def devices_of(self, account: str) -> tuple[DeviceRow, ...]:
        return await self._read(keys.devices_of, account)

    async def stock(self, account: str, device: str) -> Stock:
        return await self._read(keys.stock, self._epoch, account, device)

    async def revocations_of(self, accounts: Collection[str]) -> tuple[Revocation, ...]:
        return await self._read(keys.revocations_of, accounts)

    async def blob(self, id: str) -> BlobRow | None:  # noqa: A002 - what rows call it
        return await self._read(blobs.blob, id)

    async def blobs_with(self, room: str, digest: bytes) -> tuple[BlobRow, ...]:
        return await self._read(blobs.blobs_with, room, digest)

    async def blobs_for(self, account: str, digest: bytes) -> tuple[BlobRow, ...]:
        return await self._read(blobs.blobs_for, account, digest)

    async def blobs_due(self, *, until_ms: int, limit: int) -> tuple[BlobRow, ...]:
        return await self._read(blobs.blobs_due, until_ms, limit)

    async def blobs_known(self, ids: Collection[str]) -> frozenset[str]:
        return await self._read(blobs.blobs_known, ids)

    async def blob_totals(self) -> BlobTotals:
        return await self._read(blobs.blob_totals)

    async def purgeable(self, room: str, *, before_ms: int, anyway_ms: int) -> Purgeable | None:
        return await self._read(retention.purgeable, self._epoch, room, before_ms, anyway_ms)

    async def obstacle(self, room: str, *, before_ms: int) -> Obstacle | None:
        return await self._read(retention.obstacle, room, before_ms)

    async def departures_of(self, account: str, *, after: str = "", limit: int) -> tuple[Departure, ...]:
        return await self._read(accounts.departures_of, self._epoch, account, after, limit)

    async def is_held(self, account: str) -> bool:
        return await self._read(accounts.is_held, account)

    async def remains(self, account: str) -> Remains:
        return await self._read(accounts.remains, account)

    async def statistics(self) -> StoreStatistics:
        size = await self._read(reads.size_bytes)
        if self._group is None or self._writer is None:
            raise StoreClosed("the store is not open")
        return StoreStatistics(
            commits=self._group.commits,
            batches=self._group.batches,
            appends=self._writer.appends,
            waiting=self._group.waiting,
            size_bytes=size,
        )

    async def _connect(self) -> Link:
        """A connection that reads, to the database that this store was opened with."""
        link = await connect(self._target)
        try:
            epoch = await check_epoch(link, synchronous=self._target.synchronous_standby)
        except BaseException:
            link.terminate()
            raise
        if epoch != self._epoch:
            link.terminate()
            raise StoreRestored("the store was restored while it was open")
        return link

    async def _read(
        self,
        query: Callable[Concatenate[Connection, _P], Awaitable[_T]],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        if self._pool is None or self._writer is None:
            raise StoreClosed("the store is not open")
        if self._writer.restored:
            raise StoreRestored("the store was restored while it was open")
        return await self._pool.run(query, *args, **kwargs)

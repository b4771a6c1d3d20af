"""Connecting, and the epoch: whether a database is the one it was, or was put back to an earlier state.

What a file beside the store tells about SQLite, PostgreSQL tells itself. Every epoch has a row that names
what wrote it: the server's system identifier and timeline, the database, the transaction. A dump that was
loaded has other transactions; another server has another identifier; a copy of the database has another
number; a recovery to a point in time and the promotion of a standby begin another timeline. A standby that
was synchronous has lost nothing that was acknowledged, and `synchronous_standby` says that this is so: then
only its own last batch makes a writer doubt (see `writer.py`).
"""

import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import asyncpg
import msgspec

from relay.errors import StoreError
from relay.postgres import locks
from relay.postgres.connection import Connection
from relay.postgres.errors import FAILURES, translated
from relay.postgres.migrating import check_current, migrate

_SLOW_SECONDS: Final = 60.0
_SERVER: Final = {
    "application_name": "rapport",
    "jit": "off",  # the queries are short, and compiling one takes longer than running it
    "tcp_user_timeout": "15000",  # ms
    "client_connection_check_interval": "5000",  # ms
}
_NOW: Final = (
    "SELECT system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint, "
    "(SELECT oid::bigint FROM pg_database WHERE datname = current_database()) FROM pg_control_system()"
)
_MARK: Final = (
    "SELECT epoch, system, timeline, database, xid = xmin::text::bigint FROM epochs "
    "ORDER BY epoch DESC LIMIT 1"
)
_XID: Final = "pg_current_xact_id()::xid::text::bigint"


class Target(msgspec.Struct, frozen=True):
    """Which database, and how to talk to it."""

    url: str  # several hosts may be named; the primary among them is meant
    password: str | None = None
    connections: int = 8  # that read; one more writes
    connect_seconds: float = 5.0
    statement_seconds: float = 10.0
    patience_seconds: float = 5.0  # for which calls wait for a database that cannot be reached
    # A transaction whose process was stopped in the middle holds its locks no longer: others wait for them
    # with all that they write, and are not to be taken for dead meanwhile.
    idle_seconds: float = 1.5
    synchronous_standby: bool = False


class Link(Connection, Protocol):
    """A connection with its end."""

    async def close(self, *, timeout: float | None = None) -> None:
        """Take leave."""

    def terminate(self) -> None:
        """Close it without a word: whatever is under way on it fails at once."""

    def is_closed(self) -> bool:
        """Whether it is gone."""

    def add_log_listener(self, callback: Callable[[object, Any], None], /) -> None:
        """Have what PostgreSQL remarks told, before the statement that it is about returns."""


async def connect(target: Target, *, idle_seconds: float = _SLOW_SECONDS) -> Link:
    """Connect to the primary. A transaction is ended when nothing is asked in it for `idle_seconds`.

    Raises `StoreError`, `StoreUnusable`.
    """
    settings = _SERVER | {
        "statement_timeout": str(round(target.statement_seconds * 1000)),
        "lock_timeout": str(round(target.statement_seconds * 200)),  # a deadlock is found after a second
        "idle_in_transaction_session_timeout": str(round(idle_seconds * 1000)),
    }
    try:
        db = await asyncpg.connect(
            target.url,
            password=target.password,
            timeout=target.connect_seconds,
            server_settings=settings,
            target_session_attrs="read-write",
            max_cached_statement_lifetime=0,
        )
    except (*FAILURES, ValueError) as error:
        raise translated(error) from None
    link = cast(Link, db)
    try:
        # What is acknowledged is on the disk, and on that of the standby if there is a synchronous one.
        await link.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') IN ('off', 'local')"
        )
    except BaseException as error:
        link.terminate()
        if isinstance(error, FAILURES):
            raise translated(error) from None
        raise
    return link


async def prepare(target: Target, *, migrating: bool = True) -> int:
    """Migrate, and begin an epoch if one is due: the epoch. Raises what `connect` and `migrate` do."""
    return await _settled(target, restored=False, migrating=migrating)


async def begin_epoch(target: Target) -> int:
    """Begin a new epoch, and return it. Nodes that have the store open find it lost, and open it again.

    For operators who have put the database back in a way that it cannot notice by itself, such as a
    snapshot of the disk. Raises as `prepare`.
    """
    return await _settled(target, restored=True, migrating=True)


async def check_epoch(
    db: Connection, *, synchronous: bool, restored: bool = False, ended: int | None = None
) -> int:
    """The epoch in force, after a new one was begun if that is due: if `ended` is still in force, it is."""
    mark, now = await db.fetchrow(_MARK), await db.fetchrow(_NOW)
    if (
        mark is not None
        and now is not None
        and not restored
        and mark[1:] == (*now, True)
        and mark[0] != ended
    ):
        return int(mark[0])
    async with db.transaction():
        await locks.lock(db, locks.MIGRATION)
        # Until now batches may have been written in the epoch that ends; they begin with a row of this table.
        await db.execute("LOCK TABLE writers IN ACCESS EXCLUSIVE MODE")
        return await _mark(db, synchronous=synchronous, restored=restored, ended=ended)


async def _settled(target: Target, *, restored: bool, migrating: bool) -> int:
    # A migration takes as long as it does, and whoever starts meanwhile waits for it.
    db = await connect(msgspec.structs.replace(target, statement_seconds=0.0))
    try:
        await (migrate if migrating else check_current)(db)
        return await check_epoch(db, synchronous=target.synchronous_standby, restored=restored)
    except FAILURES as error:
        raise translated(error) from None
    finally:
        db.terminate()


async def _mark(db: Connection, *, synchronous: bool, restored: bool, ended: int | None) -> int:
    """Write down where the epoch is in force, and begin another one first if the database is not what it was.

    Epochs are the second in which they began: so an epoch is higher than any before it even when nothing of
    the time since the backup is left.
    """
    row, now = await db.fetchrow(_MARK), await db.fetchrow(_NOW)
    if now is None:
        raise StoreError("the store's database does not tell what it is")
    system, timeline, database = now
    epoch = int(time.time())
    if row is None:
        await db.execute("INSERT INTO line (store_id) VALUES ($1)", secrets.token_bytes(16))
    else:
        last, *place, own = row
        same = own and (place[0], place[2]) == (system, database)
        if same and not restored and last != ended:
            if place[1] == timeline:
                return int(last)
            if synchronous:
                await db.execute(
                    f"UPDATE epochs SET timeline = $2, xid = {_XID} WHERE epoch = $1",  # noqa: S608 - a constant
                    last,
                    timeline,
                )
                return int(last)
        epoch = max(last + 1, epoch)
    await db.execute(
        "INSERT INTO epochs (epoch, system, timeline, database, xid) "  # noqa: S608 - a constant
        f"VALUES ($1, $2, $3, $4, {_XID})",
        epoch,
        system,
        timeline,
        database,
    )
    return epoch

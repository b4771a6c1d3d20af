"""Copying a store from SQLite into PostgreSQL, whole or not at all.

Everything happens in one transaction of PostgreSQL: whatever kills it leaves an empty store to begin again
with. What arrives is read back and compared, row by row, before it is committed. Values that the tables of
PostgreSQL have besides are computed; all others keep their numbers, so that offsets, epochs and whatever
devices remember go on as they were.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from relay.errors import StoreError, StoreInUse, StoreUnusable
from relay.postgres import locks
from relay.postgres.connection import Connection
from relay.postgres.maintenance import unhurried
from relay.postgres.opening import Target, prepare

TABLES: Final = {
    "rooms": ("no",),
    "members": ("room_no", "account"),
    "departures": ("account", "room_no"),
    "devices": ("no",),
    "events": ("seq",),
    "cursors": ("device_no", "room_no"),
    "flags": ("room_no", "offset_no"),
    "sender_epochs": ("room_no", "device_no"),
    "sessions": ("id",),
    "deadlines": ("session", "kind"),
    "guests": ("account", "session"),
    "ratings": ("session", "account"),
    "series": ("id",),
    "calendars": ("account",),
    "documents": ("kind", "id"),
    "nodes": ("name",),
    "graves": ("name",),
    "idempotency": ("key",),
    "revocations": ("account", "device"),
    "deliveries": ("position",),
    "audit": ("sequence",),
    "audit_checkpoints": ("sequence",),
    "audit_anchor": ("through",),
    "audit_holds": ("kind", "id"),
    "grants": ("account", "scope"),
    "device_lists": ("account",),
    "device_keys": ("no",),
    "prekeys": ("key_no", "id"),
    "last_resorts": ("key_no",),
    "claims": ("claimer", "claim"),
    "blobs": ("no",),
    "doorbells": ("no",),
}
"""What is copied, with the columns that tell its rows apart; a table comes behind those it refers to."""

NUMBERED: Final = {
    "rooms": "no",
    "devices": "no",
    "events": "seq",
    "deliveries": "position",
    "device_keys": "no",
    "blobs": "no",
    "doorbells": "no",
}
"""The columns that PostgreSQL gives numbers to."""

_COMPUTED: Final = frozenset({("rooms", "head"), ("rooms", "waits")})
_HEADS: Final = """
    UPDATE rooms r SET
        head = greatest(r.trimmed, coalesce((SELECT max(offset_no) FROM events WHERE room_no = r.no), 0)),
        waits = coalesce(
            (SELECT waits FROM events WHERE room_no = r.no ORDER BY offset_no DESC LIMIT 1), 0
        )
"""
_OTHERS: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_ROWS_AT_ONCE: Final = 1_000
_LOOKS: Final = 100  # for who else is connected
_PAUSE: Final = 0.1  # s, between them


async def copy(source: sqlite3.Connection, epoch: int, target: Target) -> dict[str, int]:
    """Copy everything, and give the number of rows of each table.

    Nobody else has the source open, and its tables are those of this version. `epoch` is that of its logs.
    Raises `StoreInUse` if somebody else is connected to the target, `StoreUnusable` if that is not empty,
    `StoreError` if what arrived is not what was sent, and what `unhurried` and `prepare` do.
    """
    await prepare(target)
    async with unhurried(target) as db, db.transaction():
        return await _copy(source, epoch, db)


async def _copy(source: sqlite3.Connection, epoch: int, db: Connection) -> dict[str, int]:
    await locks.lock(db, locks.MIGRATION)
    await _check_alone(db)
    for table in TABLES:
        if await db.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table})"):  # noqa: S608 - names of tables
            raise StoreUnusable("the store to copy to is not empty")
    copied = {table: await _copy_table(source, db, table) for table in TABLES}
    await db.execute(_HEADS)
    await _go_on_numbering(source, db)
    store_id, examined, rung = source.execute("SELECT store_id, examined, rung FROM line").fetchone()
    await db.execute("UPDATE line SET store_id = $1, examined = $2, rung = $3", store_id, examined, rung)
    # Nobody has seen an epoch of a store that was empty.
    await db.execute("DELETE FROM epochs WHERE epoch < (SELECT max(epoch) FROM epochs)")
    await db.execute("UPDATE epochs SET epoch = $1, xid = pg_current_xact_id()::xid::text::bigint", epoch)
    return copied


async def _check_alone(db: Connection) -> None:
    """Whether nobody else is connected, after a while for those who are leaving."""
    for _ in range(_LOOKS):
        await db.execute("SELECT pg_stat_clear_snapshot()")
        if not await db.fetchval(_OTHERS):
            return
        await asyncio.sleep(_PAUSE)
    raise StoreInUse("others are connected to the store to copy to")


async def _copy_table(source: sqlite3.Connection, db: Connection, table: str) -> int:
    columns = [row[1] for row in source.execute(f"PRAGMA table_info ({table})")]
    kinds = await db.fetch(
        "SELECT column_name::text, data_type::text FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = $1",
        table,
    )
    if {name for name, _ in kinds} != {*columns} | {name for of, name in _COMPUTED if of == table}:
        raise StoreUnusable(f"the table {table} has other columns there than here")
    booleans = {columns.index(name) for name, kind in kinds if kind == "boolean"}
    query = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(TABLES[table])}"  # noqa: S608 - names
    sent, arrived = _Digest(), _Digest()
    rows = _with_booleans(source.execute(query), booleans)
    await db.copy_records_to_table(table, records=sent.over(rows), columns=columns)
    async for row in db.cursor(query, prefetch=_ROWS_AT_ONCE):
        arrived.add(row)
    if (sent.rows, sent.digest()) != (arrived.rows, arrived.digest()):
        raise StoreError(f"what arrived of the table {table} is not what was sent")
    return sent.rows


class _Digest:
    """Counts rows, and makes one digest of them."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash: Final = hashlib.sha256()

    def add(self, row: Iterable[Any]) -> None:
        """The next one."""
        self.rows += 1
        self._hash.update(msgspec.msgpack.encode(tuple(row)))

    def over(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """The same rows, each added as it goes by."""
        for row in rows:
            self.add(row)
            yield row

    def digest(self) -> bytes:
        """The digest of those added."""
        return self._hash.digest()


def _with_booleans(rows: Iterable[tuple[Any, ...]], places: set[int]) -> Iterator[tuple[Any, ...]]:
    """SQLite has numbers for them."""
    if not places:
        yield from rows
        return
    for row in rows:
        yield tuple([bool(value) if place in places else value for place, value in enumerate(row)])


async def _go_on_numbering(source: sqlite3.Connection, db: Connection) -> None:
    """Numbers that were given are not given again."""
    (dropped,) = source.execute("SELECT dropped FROM line").fetchone()
    for table, column in NUMBERED.items():
        highest = await db.fetchval(f"SELECT coalesce(max({column}), 0) FROM {table}")  # noqa: S608 - names
        last = max(highest, dropped) if table == "events" else highest
        if last:
            await db.execute("SELECT setval(pg_get_serial_sequence($1, $2), $3)", table, column, last)

"""Bringing a database up to this program's schema: numbered migrations under a lock, each in a transaction.

`schema_version` tells which one the database has, and the oldest that a program must know to use it: during a
rolling restart nodes of the version before work on what a newer one has migrated, if that only added to it.
"""

from typing import Final

from relay.errors import SchemaTooNew, StoreUnusable
from relay.postgres import locks
from relay.postgres.connection import Connection
from relay.postgres.schema import MIGRATIONS

_TABLE: Final = "CREATE TABLE schema_version (version BIGINT NOT NULL, readable_by BIGINT NOT NULL)"
_FOREIGN: Final = (
    "SELECT EXISTS (SELECT 1 FROM pg_class "
    "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r')"
)


async def migrate(db: Connection) -> int:
    """Apply what is missing: how many migrations that were. Raises `SchemaTooNew`, `StoreUnusable`."""
    applied = 0
    while await _apply_next(db):
        applied += 1
    return applied


async def check_current(db: Connection) -> None:
    """Whether this program can use the database as it is. Raises `SchemaTooNew` or `StoreUnusable`."""
    version, readable_by = await _version(db)
    _check_known(version, readable_by)
    if version < len(MIGRATIONS):
        raise StoreUnusable(f"schema {version} is older than {len(MIGRATIONS)}: migrate the store first")


async def _apply_next(db: Connection) -> bool:
    async with db.transaction():
        await locks.lock(db, locks.MIGRATION)
        version, readable_by = await _version(db)
        _check_known(version, readable_by)
        if version >= len(MIGRATIONS):
            return False
        if version == 0:
            await _begin(db)
        migration = MIGRATIONS[version]
        for statement in migration.statements:
            await db.execute(statement)
        await db.execute(
            "UPDATE schema_version SET version = $1, readable_by = $2",
            version + 1,
            readable_by if migration.compatible else version + 1,
        )
    return True


async def _begin(db: Connection) -> None:
    if await db.fetchval(_FOREIGN):
        raise StoreUnusable("the database belongs to another program")
    encoding = await db.fetchval("SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise StoreUnusable(f"the database is encoded as {encoding}, not as UTF8")
    await db.execute(_TABLE)
    await db.execute("INSERT INTO schema_version VALUES (0, 0)")


async def _version(db: Connection) -> tuple[int, int]:
    """The schema of the database, and the oldest that has to be known to use it; zeros for an empty one."""
    if await db.fetchval("SELECT to_regclass('schema_version')::text") is None:
        return 0, 0
    row = await db.fetchrow("SELECT version, readable_by FROM schema_version")
    if row is None:
        raise StoreUnusable("the database does not tell its schema")
    return row[0], row[1]


def _check_known(version: int, readable_by: int) -> None:
    if version > len(MIGRATIONS) and readable_by > len(MIGRATIONS):
        raise SchemaTooNew(f"schema {version} is newer than {len(MIGRATIONS)}, the newest this version knows")

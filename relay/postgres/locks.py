"""Locks for what no row stands for: each is held until the transaction ends, or its savepoint is rolled back.

A statement sees what was committed before it began. So what a lock guards is read in a statement of its own,
after the one that waits for the lock.

Locks of two numbers and those of one are kept apart by PostgreSQL: the first are named here one by one, the
second are hashes of names. Two names with one hash wait for each other, and that is all.
"""

from collections.abc import Iterable
from typing import Final

from relay.postgres.connection import Connection

_CLASS: Final = 0x52505254  # "RPRT"

MIGRATION: Final = 1  # the schema
TRAIL: Final = 2  # the end of the audit trail, where entries are put
TRAIL_SEALS: Final = 3  # its anchor and its checkpoints
HOLDS: Final = 4  # legal holds: shared by whatever deletes what a hold would keep

_ACCOUNT_SEED: Final = 1
_LANE_SEED: Final = 2


async def lock(db: Connection, name: int) -> None:
    """Wait until nobody else has the lock, shared or not, and take it."""
    await db.execute("SELECT pg_advisory_xact_lock($1, $2)", _CLASS, name)


async def share(db: Connection, name: int) -> None:
    """Wait until nobody has the lock to himself, and share it."""
    await db.execute("SELECT pg_advisory_xact_lock_shared($1, $2)", _CLASS, name)


async def lock_account(db: Connection, account: str) -> None:
    """Keep others from counting what an account has, or from changing its memberships or its device list."""
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", account, _ACCOUNT_SEED)


async def share_account(db: Connection, account: str) -> None:
    """Keep others from having the account to themselves."""
    await db.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended($1, $2))", account, _ACCOUNT_SEED)


async def lock_lanes(db: Connection, lanes: Iterable[tuple[str, str]]) -> None:
    """Keep others from lanes of deliveries: endpoints and lanes, locked in one order by all."""
    endpoints, names = zip(*lanes, strict=True)
    await db.execute(
        "SELECT pg_advisory_xact_lock(hash) FROM ("
        "SELECT DISTINCT hashtextextended(lane, hashtextextended(endpoint, $3)) AS hash "
        "FROM unnest($1::text[], $2::text[]) AS l (endpoint, lane) ORDER BY hash OFFSET 0) hashes",
        endpoints,
        names,
        _LANE_SEED,
    )

"""What operators do with a store in PostgreSQL, for as long as it takes: looking whether it is sound."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from relay.invariants import RULES
from relay.postgres.connection import Connection, snapshot
from relay.postgres.errors import FAILURES, translated
from relay.postgres.migrating import check_current
from relay.postgres.opening import Target, connect

_RULES: Final = RULES | {
    "rooms that do not know the end of their log": """
        SELECT count(*) FROM rooms r WHERE r.head <> greatest(
            r.trimmed, coalesce((SELECT max(offset_no) FROM events e WHERE e.room_no = r.no), 0)
        )
    """,
}


@asynccontextmanager
async def unhurried(target: Target) -> AsyncIterator[Connection]:
    """A connection to a store of this version, whose statements may take as long as they do.

    Raises `StoreUnusable`, `SchemaTooNew`, and `StoreError` for whatever fails within.
    """
    link = await connect(msgspec.structs.replace(target, statement_seconds=0.0))
    try:
        await check_current(link)
        await link.execute("SET idle_in_transaction_session_timeout = 0")
        yield link
    except FAILURES as error:
        raise translated(error) from error
    finally:
        link.terminate()


async def faults(target: Target) -> tuple[str, ...]:
    """What is wrong with a store, a line each. Reads all of it. Raises what `unhurried` does."""
    async with unhurried(target) as db, snapshot(db):
        counts = {rule: await db.fetchval(query) for rule, query in _RULES.items()}
    return tuple([f"{count} {rule}" for rule, count in counts.items() if count])

"""How far the events of all logs together are complete, for those who search them by their number once.

Numbers come from a sequence: a transaction takes its numbers before it commits, so an event can become
visible after others with higher numbers. Who has examined the higher ones would never see it.
"""

import asyncio
from typing import Final

from relay.postgres.connection import Connection

_PATIENCE: Final = 200  # looks at what still runs, before the search is put off
_PAUSE: Final = 0.005  # s; a batch takes about as long


async def horizon(db: Connection) -> int:
    """A number up to which every event that will ever be is visible to the next statement; 0 if none can be
    told.

    Whoever takes a number has a transaction id already. So once all transactions have ended whose ids were
    given out by the time the last number was read, none of them can bring an event of that number or a
    lower one. A transaction that is open for long, in whatever database of the server, puts the search off.
    """
    last = await db.fetchval("SELECT coalesce(pg_sequence_last_value('events_seq_seq'), 0)")
    # In a statement of its own: a snapshot is taken before a statement looks at a sequence.
    begun = await db.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    for _ in range(_PATIENCE):
        running = await db.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        if running >= begun:
            return int(last)
        await asyncio.sleep(_PAUSE)
    return 0


async def examinable(db: Connection, after: int, appended_before_ms: int, limit: int) -> int:
    """The last of the next `limit` events that are older than an instant and behind which none can appear."""
    newer = await db.fetch(
        "SELECT seq, at_ms FROM events WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
        after,
        await horizon(db),
        limit,
    )
    through = after
    for seq, at_ms in newer:
        if at_ms >= appended_before_ms:
            break
        through = seq
    return through

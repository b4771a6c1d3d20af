"""Deliveries: writes and queries.

A lane is the deliveries of one endpoint that have to go out one after another. Only the first one that waits
has a time when it is due, so what is due is found through an index that holds no other, however many wait.
Whoever adds to a lane or takes from it locks it, so that positions in a lane rise in the order of the commits
and the first one is known.
"""

from collections.abc import Iterable
from typing import Final, assert_never

from relay.errors import Conflict
from relay.postgres import locks
from relay.postgres.connection import Connection, Row, count
from relay.webhooks import (
    Backlog,
    BuryDeliveries,
    DelayDelivery,
    Delivery,
    DeliveryCursor,
    DeliveryState,
    DeliveryWrite,
    DropDelivery,
    EndDelivery,
    ForgetDeliveries,
    HastenDeliveries,
    PutDelivery,
    ReplayDelivery,
)
from relay.writes import Applied, Write

_COLUMNS: Final = (
    "id, endpoint, lane, type, body, at_ms, state, since_ms, attempts, due_ms, failure, position"
)
_FIRST_DUE: Final = (
    "UPDATE deliveries SET due_ms = $3 WHERE position = ("
    "SELECT min(position) FROM deliveries WHERE endpoint = $1 AND lane = $2 AND state = 'waiting'"
    ") AND due_ms IS NULL"
)


async def apply(db: Connection, write: DeliveryWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case PutDelivery():
            return await _put(db, write)
        case DelayDelivery():
            done = await count(
                db,
                "UPDATE deliveries SET attempts = $2, due_ms = $3, failure = $4 "
                "WHERE id = $1 AND attempts = $2 - 1 AND due_ms IS NOT NULL",
                write.id,
                write.attempts,
                write.due_ms,
                write.failure,
            )
        case EndDelivery():
            return await _end(db, write)
        case ReplayDelivery():
            return await _replay(db, write)
        case DropDelivery():
            return await _drop(db, write)
        case HastenDeliveries():
            done = await count(
                db,
                "UPDATE deliveries SET due_ms = $2 WHERE endpoint = $1 AND due_ms > $2",
                write.endpoint,
                write.at_ms,
            )
        case BuryDeliveries():
            done = await _bury(db, write)
        case ForgetDeliveries():
            done = await count(
                db,
                "DELETE FROM deliveries WHERE position IN (SELECT position FROM deliveries "
                "WHERE state IN ('delivered', 'dead') AND since_ms < $1 LIMIT $2)",
                write.before_ms,
                write.limit,
            )
        case _:
            assert_never(write)
    return Applied(changed=done > 0)


async def lock_ahead(db: Connection, writes: Iterable[Write]) -> None:
    """Lock the lanes of all these writes at once, before they do so one by one."""
    puts: set[tuple[str, str]] = set()
    names: list[str] = []
    for write in writes:
        if isinstance(write, PutDelivery):
            puts.add((write.endpoint, write.lane))
        elif isinstance(write, EndDelivery | ReplayDelivery | DropDelivery):
            names.append(write.id)
    if names:
        known = "SELECT DISTINCT endpoint, lane FROM deliveries WHERE id = ANY($1::text[])"
        puts.update([(endpoint, lane) for endpoint, lane in await db.fetch(known, names)])
    if puts:
        await locks.lock_lanes(db, puts)


async def delivery(db: Connection, delivery: str) -> Delivery | None:
    """One delivery."""
    row = await db.fetchrow(f"SELECT {_COLUMNS} FROM deliveries WHERE id = $1", delivery)  # noqa: S608 - constants
    return Delivery(*row) if row is not None else None


async def listed(
    db: Connection,
    state: DeliveryState,
    endpoint: str | None,
    since_ms: int,
    until_ms: int | None,
    after: DeliveryCursor | None,
    limit: int,
) -> tuple[Delivery, ...]:
    """The deliveries of one state behind a place in their order."""
    place = (after.since_ms, after.position) if after is not None else (since_ms, 0)
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM deliveries WHERE state = $1 AND ($2::text IS NULL OR endpoint = $2) "  # noqa: S608 - constants
        "AND since_ms >= $3 AND ($4::bigint IS NULL OR since_ms < $4) AND (since_ms, position) > ($5, $6) "
        "ORDER BY since_ms, position LIMIT $7",
        state,
        endpoint,
        since_ms,
        until_ms,
        *place,
        limit,
    )
    return tuple([Delivery(*row) for row in rows])


async def due(db: Connection, endpoint: str, limit: int) -> tuple[Delivery, ...]:
    """The first of each lane, by when it is due."""
    rows = await db.fetch(
        f"SELECT {_COLUMNS} FROM deliveries WHERE endpoint = $1 AND due_ms IS NOT NULL "  # noqa: S608 - constants
        "ORDER BY due_ms, position LIMIT $2",
        endpoint,
        limit,
    )
    return tuple([Delivery(*row) for row in rows])


async def backlogs(db: Connection) -> tuple[Backlog, ...]:
    """What has not reached its endpoint."""
    rows = await db.fetch(
        "SELECT endpoint, count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'dead'), "
        "min(since_ms) FILTER (WHERE state = 'waiting') "
        "FROM deliveries WHERE state IN ('waiting', 'dead') GROUP BY endpoint ORDER BY endpoint"
    )
    return tuple([Backlog(*row) for row in rows])


async def _put(db: Connection, write: PutDelivery) -> Applied:
    await locks.lock_lanes(db, [(write.endpoint, write.lane)])
    done = await count(
        db,
        "INSERT INTO deliveries (id, endpoint, lane, type, body, at_ms, state, since_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $6) ON CONFLICT DO NOTHING",
        write.id,
        write.endpoint,
        write.lane,
        write.type,
        write.body,
        write.at_ms,
    )
    if not done:
        raise Conflict("the delivery exists already")
    await db.execute(_FIRST_DUE, write.endpoint, write.lane, write.at_ms)
    return Applied()


async def _end(db: Connection, write: EndDelivery) -> Applied:
    lane = await _lock_lane_of(db, write.id)
    done = await count(
        db,
        "UPDATE deliveries SET state = $3, attempts = $2, since_ms = $4, due_ms = NULL, failure = $5 "
        "WHERE id = $1 AND attempts = $2 - 1 AND due_ms IS NOT NULL",
        write.id,
        write.attempts,
        write.state,
        write.at_ms,
        write.failure,
    )
    return await _go_on(db, lane if done else None, write.at_ms)


async def _replay(db: Connection, write: ReplayDelivery) -> Applied:
    lane = await _lock_lane_of(db, write.id)
    done = await count(
        db,
        "UPDATE deliveries SET state = 'waiting', since_ms = $2, attempts = 0, failure = '', "
        "position = DEFAULT WHERE id = $1 AND state <> 'waiting'",
        write.id,
        write.at_ms,
    )
    return await _go_on(db, lane if done else None, write.at_ms)


async def _drop(db: Connection, write: DropDelivery) -> Applied:
    lane = await _lock_lane_of(db, write.id)
    done = await count(db, "DELETE FROM deliveries WHERE id = $1", write.id)
    return await _go_on(db, lane if done else None, write.at_ms)


async def _bury(db: Connection, write: BuryDeliveries) -> int:
    # All lanes at once, those included that are only being written: rare, so everybody may wait for it.
    await db.execute("LOCK TABLE deliveries IN SHARE ROW EXCLUSIVE MODE")
    return await count(
        db,
        "UPDATE deliveries SET state = 'dead', since_ms = $1, due_ms = NULL, failure = $2 "
        "WHERE state = 'waiting' AND endpoint <> ALL ($3)",
        write.at_ms,
        write.failure,
        list(write.endpoints),
    )


async def _lock_lane_of(db: Connection, delivery: str) -> Row | None:
    """Lock the lane of a delivery, which never moves to another: endpoint and lane."""
    lane = await db.fetchrow("SELECT endpoint, lane FROM deliveries WHERE id = $1", delivery)
    if lane is not None:
        await locks.lock_lanes(db, [(lane[0], lane[1])])
    return lane


async def _go_on(db: Connection, lane: Row | None, at_ms: int) -> Applied:
    """Have the first of what waits in a lane be due, unless it is already."""
    if lane is not None:
        await db.execute(_FIRST_DUE, *lane, at_ms)
    return Applied(changed=lane is not None)

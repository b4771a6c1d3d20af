"""Deliveries: writes and queries.

A lane is the deliveries of one endpoint that have to go out one after another. Only the first one that waits
has a time when it is due, so what is due is found through an index that holds no other, however many wait.
"""

import sqlite3
from typing import Final, assert_never

from relay.errors import Conflict
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
from relay.writes import Applied

_COLUMNS: Final = (
    "id, endpoint, lane, type, body, at_ms, state, since_ms, attempts, due_ms, failure, position"
)
_FIRST_DUE: Final = (
    "UPDATE deliveries SET due_ms = ?3 WHERE position = ("
    "SELECT min(position) FROM deliveries WHERE endpoint = ?1 AND lane = ?2 AND state = 'waiting'"
    ") AND due_ms IS NULL"
)


def apply(db: sqlite3.Connection, write: DeliveryWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case PutDelivery():
            return _put(db, write)
        case DelayDelivery():
            done = db.execute(
                "UPDATE deliveries SET attempts = ?2, due_ms = ?3, failure = ?4 "
                "WHERE id = ?1 AND attempts = ?2 - 1 AND due_ms IS NOT NULL",
                (write.id, write.attempts, write.due_ms, write.failure),
            )
        case EndDelivery():
            return _end(db, write)
        case ReplayDelivery():
            return _replay(db, write)
        case DropDelivery():
            return _drop(db, write)
        case HastenDeliveries():
            done = db.execute(
                "UPDATE deliveries SET due_ms = ?2 WHERE endpoint = ?1 AND due_ms > ?2",
                (write.endpoint, write.at_ms),
            )
        case BuryDeliveries():
            known = ", ".join("?" * len(write.endpoints))
            done = db.execute(
                "UPDATE deliveries SET state = 'dead', since_ms = ?, due_ms = NULL, failure = ? "  # noqa: S608 - question marks
                f"WHERE state = 'waiting' AND endpoint NOT IN ({known})",
                (write.at_ms, write.failure, *write.endpoints),
            )
        case ForgetDeliveries():
            done = db.execute(
                "DELETE FROM deliveries WHERE position IN (SELECT position FROM deliveries "
                "WHERE state IN ('delivered', 'dead') AND since_ms < ? LIMIT ?)",
                (write.before_ms, write.limit),
            )
        case _:
            assert_never(write)
    return Applied(changed=done.rowcount > 0)


def delivery(db: sqlite3.Connection, delivery: str) -> Delivery | None:
    """One delivery."""
    row = db.execute(f"SELECT {_COLUMNS} FROM deliveries WHERE id = ?", (delivery,)).fetchone()  # noqa: S608 - constants
    return Delivery(*row) if row is not None else None


def listed(
    db: sqlite3.Connection,
    state: DeliveryState,
    endpoint: str | None,
    since_ms: int,
    until_ms: int | None,
    after: DeliveryCursor | None,
    limit: int,
) -> tuple[Delivery, ...]:
    """The deliveries of one state behind a place in their order."""
    place = (after.since_ms, after.position) if after is not None else (since_ms, 0)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM deliveries WHERE state = ?1 AND (?2 IS NULL OR endpoint = ?2) "  # noqa: S608 - constants
        "AND since_ms >= ?3 AND (?4 IS NULL OR since_ms < ?4) AND (since_ms, position) > (?5, ?6) "
        "ORDER BY since_ms, position LIMIT ?7",
        (state, endpoint, since_ms, until_ms, *place, limit),
    )
    return tuple([Delivery(*row) for row in rows])


def due(db: sqlite3.Connection, endpoint: str, limit: int) -> tuple[Delivery, ...]:
    """The first of each lane, by when it is due."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM deliveries WHERE endpoint = ? AND due_ms IS NOT NULL "  # noqa: S608 - constants
        "ORDER BY due_ms, position LIMIT ?",
        (endpoint, limit),
    )
    return tuple([Delivery(*row) for row in rows])


def backlogs(db: sqlite3.Connection) -> tuple[Backlog, ...]:
    """What has not reached its endpoint."""
    rows = db.execute(
        "SELECT endpoint, sum(state = 'waiting'), sum(state = 'dead'), "
        "min(CASE WHEN state = 'waiting' THEN since_ms END) "
        "FROM deliveries WHERE state IN ('waiting', 'dead') GROUP BY endpoint ORDER BY endpoint"
    )
    return tuple([Backlog(*row) for row in rows])


def _put(db: sqlite3.Connection, write: PutDelivery) -> Applied:
    done = db.execute(
        "INSERT INTO deliveries (id, endpoint, lane, type, body, at_ms, state, since_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', ?6) ON CONFLICT DO NOTHING",
        (write.id, write.endpoint, write.lane, write.type, write.body, write.at_ms),
    )
    if not done.rowcount:
        raise Conflict("the delivery exists already")
    db.execute(_FIRST_DUE, (write.endpoint, write.lane, write.at_ms))
    return Applied()


def _end(db: sqlite3.Connection, write: EndDelivery) -> Applied:
    lane = db.execute(
        "UPDATE deliveries SET state = ?3, attempts = ?2, since_ms = ?4, due_ms = NULL, failure = ?5 "
        "WHERE id = ?1 AND attempts = ?2 - 1 AND due_ms IS NOT NULL RETURNING endpoint, lane",
        (write.id, write.attempts, write.state, write.at_ms, write.failure),
    ).fetchall()
    return _go_on(db, lane, write.at_ms)


def _replay(db: sqlite3.Connection, write: ReplayDelivery) -> Applied:
    lane = db.execute(
        "UPDATE deliveries SET state = 'waiting', since_ms = ?2, attempts = 0, failure = '', "
        "position = (SELECT max(position) + 1 FROM deliveries) "
        "WHERE id = ?1 AND state <> 'waiting' RETURNING endpoint, lane",
        (write.id, write.at_ms),
    ).fetchall()
    return _go_on(db, lane, write.at_ms)


def _drop(db: sqlite3.Connection, write: DropDelivery) -> Applied:
    lane = db.execute("DELETE FROM deliveries WHERE id = ? RETURNING endpoint, lane", (write.id,)).fetchall()
    return _go_on(db, lane, write.at_ms)


def _go_on(db: sqlite3.Connection, lane: list[tuple[str, str]], at_ms: int) -> Applied:
    """Have the first of what waits in a lane be due, unless it is already."""
    db.executemany(_FIRST_DUE, [(*one, at_ms) for one in lane])
    return Applied(changed=bool(lane))

"""Series, the sessions of an account and calendar feeds: writes and queries."""

from typing import Final, assert_never

import asyncpg

from relay.errors import Conflict, NotFound
from relay.postgres import rooms
from relay.postgres.connection import Connection, count
from relay.rows import Session, SessionCursor
from relay.scheduling import (
    CalendarFeed,
    DropCalendar,
    PutCalendar,
    PutSeries,
    ScheduleWrite,
    SeriesRow,
    SetGuests,
)
from relay.writes import Applied

_SERIES: Final = (
    "SELECT s.id, r.id, s.due_ms, s.version, s.body FROM series s JOIN rooms r ON r.no = s.room_no"
)
_COLUMNS: Final = "s.id, r.id, s.starts_ms, s.ends_ms, s.state, s.version, s.body"
_BETWEEN: Final = "(s.starts_ms, s.id) > ($2, $3) AND s.starts_ms < $4"
_OF_ACCOUNT: Final = f"""
    SELECT {_COLUMNS}
    FROM members m JOIN rooms r ON r.no = m.room_no JOIN sessions s ON s.room_no = m.room_no
    WHERE m.account = $1 AND {_BETWEEN}
    UNION ALL
    SELECT {_COLUMNS}
    FROM guests g JOIN sessions s ON s.id = g.session JOIN rooms r ON r.no = s.room_no
    WHERE g.account = $1 AND {_BETWEEN}
    AND NOT EXISTS (SELECT 1 FROM members m WHERE m.room_no = s.room_no AND m.account = $1)
    ORDER BY 3, 1 LIMIT $5
"""  # noqa: S608 - constants
_PUT_CALENDAR: Final = """
    INSERT INTO calendars (account, digest, since_ms) VALUES ($1, $2, $3)
    ON CONFLICT (account) DO UPDATE SET digest = excluded.digest, since_ms = excluded.since_ms
"""


async def apply(db: Connection, write: ScheduleWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case SetGuests():
            return await _set_guests(db, write)
        case PutSeries():
            return await _put_series(db, write)
        case PutCalendar(feed):
            try:
                await db.execute(_PUT_CALENDAR, feed.account, feed.digest, feed.since_ms)
            except asyncpg.UniqueViolationError:
                raise Conflict("the digest is taken") from None
            return Applied()
        case DropCalendar(account):
            done = await count(db, "DELETE FROM calendars WHERE account = $1", account)
            return Applied(changed=done > 0)
        case _:
            assert_never(write)


async def sessions_of_account(
    db: Connection, account: str, after: SessionCursor, before_ms: int, limit: int
) -> tuple[Session, ...]:
    """The sessions of an account behind a place in their order: those of its rooms, and those as a guest."""
    rows = await db.fetch(_OF_ACCOUNT, account, after.starts_ms, after.id, before_ms, limit)
    return tuple([Session(*row) for row in rows])


async def series(db: Connection, series: str) -> SeriesRow | None:
    """One series."""
    row = await db.fetchrow(f"{_SERIES} WHERE s.id = $1", series)
    return SeriesRow(*row) if row is not None else None


async def series_of(db: Connection, room: str, after: str, limit: int) -> tuple[SeriesRow, ...]:
    """A room's series behind an id."""
    rows = await db.fetch(
        f"{_SERIES} WHERE r.id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3", room, after, limit
    )
    return tuple([SeriesRow(*row) for row in rows])


async def series_due(db: Connection, until_ms: int, limit: int) -> tuple[SeriesRow, ...]:
    """What is to be looked at, the longest due first."""
    rows = await db.fetch(f"{_SERIES} WHERE s.due_ms <= $1 ORDER BY s.due_ms, s.id LIMIT $2", until_ms, limit)
    return tuple([SeriesRow(*row) for row in rows])


async def calendar(db: Connection, digest: bytes) -> CalendarFeed | None:
    """The feed at an address."""
    row = await db.fetchrow("SELECT account, digest, since_ms FROM calendars WHERE digest = $1", digest)
    return CalendarFeed(*row) if row is not None else None


async def _set_guests(db: Connection, write: SetGuests) -> Applied:
    session = "SELECT 1 FROM sessions WHERE id = $1 FOR NO KEY UPDATE"
    if await db.fetchval(session, write.session) is None:
        raise NotFound("no such session")
    await db.execute("DELETE FROM guests WHERE session = $1", write.session)
    await db.execute(
        "INSERT INTO guests (account, session) SELECT account, $2 FROM unnest($1::text[]) AS g (account)",
        list(dict.fromkeys(write.accounts)),
        write.session,
    )
    return Applied()


async def _put_series(db: Connection, write: PutSeries) -> Applied:
    series = write.series
    room_no = await rooms.keep(db, series.room)
    row = (room_no, series.due_ms, series.version, series.body, series.id)
    if write.expect_version is None:
        done = await count(
            db,
            "INSERT INTO series (room_no, due_ms, version, body, id) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT DO NOTHING",
            *row,
        )
    else:
        done = await count(
            db,
            "UPDATE series SET due_ms = $2, version = $3, body = $4 "
            "WHERE id = $5 AND version = $6 AND room_no = $1",
            *row,
            write.expect_version,
        )
    if not done:
        raise Conflict("the series stands at another version")
    return Applied()

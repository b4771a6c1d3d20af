"""Series, the sessions of an account and calendar feeds: writes and queries."""

import sqlite3
from typing import Final, assert_never

from relay.errors import Conflict, NotFound
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
from relay.sqlite.catalog import Catalog
from relay.writes import Applied

_SERIES: Final = (
    "SELECT s.id, r.id, s.due_ms, s.version, s.body FROM series s JOIN rooms r ON r.no = s.room_no"
)
_COLUMNS: Final = "s.id, r.id, s.starts_ms, s.ends_ms, s.state, s.version, s.body"
_BETWEEN: Final = "(s.starts_ms, s.id) > (?2, ?3) AND s.starts_ms < ?4"
_OF_ACCOUNT: Final = f"""
    SELECT {_COLUMNS}
    FROM members m JOIN rooms r ON r.no = m.room_no JOIN sessions s ON s.room_no = m.room_no
    WHERE m.account = ?1 AND {_BETWEEN}
    UNION ALL
    SELECT {_COLUMNS}
    FROM guests g JOIN sessions s ON s.id = g.session JOIN rooms r ON r.no = s.room_no
    WHERE g.account = ?1 AND {_BETWEEN}
    AND NOT EXISTS (SELECT 1 FROM members m WHERE m.room_no = s.room_no AND m.account = ?1)
    ORDER BY 3, 1 LIMIT ?5
"""  # noqa: S608 - constants


def apply(db: sqlite3.Connection, catalog: Catalog, write: ScheduleWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case SetGuests():
            return _set_guests(db, write)
        case PutSeries():
            return _put_series(db, catalog, write)
        case PutCalendar(feed):
            done = db.execute(
                "INSERT INTO calendars (account, digest, since_ms) VALUES (?1, ?2, ?3) "
                "ON CONFLICT (account) DO UPDATE SET digest = ?2, since_ms = ?3 "
                "WHERE NOT EXISTS (SELECT 1 FROM calendars WHERE digest = ?2 AND account <> ?1) "
                "ON CONFLICT (digest) DO NOTHING",
                (feed.account, feed.digest, feed.since_ms),
            )
            if not done.rowcount:
                raise Conflict("the digest is taken")
            return Applied()
        case DropCalendar(account):
            done = db.execute("DELETE FROM calendars WHERE account = ?", (account,))
            return Applied(changed=done.rowcount > 0)
        case _:
            assert_never(write)


def sessions_of_account(
    db: sqlite3.Connection, account: str, after: SessionCursor, before_ms: int, limit: int
) -> tuple[Session, ...]:
    """The sessions of an account behind a place in their order: those of its rooms, and those as a guest."""
    rows = db.execute(_OF_ACCOUNT, (account, after.starts_ms, after.id, before_ms, limit))
    return tuple([Session(*row) for row in rows])


def series(db: sqlite3.Connection, series: str) -> SeriesRow | None:
    """One series."""
    row = db.execute(f"{_SERIES} WHERE s.id = ?", (series,)).fetchone()
    return SeriesRow(*row) if row is not None else None


def series_of(db: sqlite3.Connection, room: str, after: str, limit: int) -> tuple[SeriesRow, ...]:
    """A room's series behind an id."""
    rows = db.execute(
        f"{_SERIES} WHERE r.id = ? AND s.id > ? ORDER BY s.id LIMIT ?",
        (room, after, limit),
    )
    return tuple([SeriesRow(*row) for row in rows])


def series_due(db: sqlite3.Connection, until_ms: int, limit: int) -> tuple[SeriesRow, ...]:
    """What is to be looked at, the longest due first."""
    rows = db.execute(f"{_SERIES} WHERE s.due_ms <= ? ORDER BY s.due_ms, s.id LIMIT ?", (until_ms, limit))
    return tuple([SeriesRow(*row) for row in rows])


def calendar(db: sqlite3.Connection, digest: bytes) -> CalendarFeed | None:
    """The feed at an address."""
    row = db.execute("SELECT account, digest, since_ms FROM calendars WHERE digest = ?", (digest,)).fetchone()
    return CalendarFeed(*row) if row is not None else None


def _set_guests(db: sqlite3.Connection, write: SetGuests) -> Applied:
    if db.execute("SELECT 1 FROM sessions WHERE id = ?", (write.session,)).fetchone() is None:
        raise NotFound("no such session")
    db.execute("DELETE FROM guests WHERE session = ?", (write.session,))
    db.executemany(
        "INSERT INTO guests (account, session) VALUES (?, ?)",
        [(account, write.session) for account in dict.fromkeys(write.accounts)],
    )
    return Applied()


def _put_series(db: sqlite3.Connection, catalog: Catalog, write: PutSeries) -> Applied:
    series = write.series
    row = (catalog.room(series.room).no, series.due_ms, series.version, series.body, series.id)
    if write.expect_version is None:
        done = db.execute(
            "INSERT INTO series (room_no, due_ms, version, body, id) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            row,
        )
    else:
        done = db.execute(
            "UPDATE series SET due_ms = ?2, version = ?3, body = ?4 "
            "WHERE id = ?5 AND version = ?6 AND room_no = ?1",
            (*row, write.expect_version),
        )
    if not done.rowcount:
        raise Conflict("the series stands at another version")
    return Applied()

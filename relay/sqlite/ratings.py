"""Ratings in SQLite: the write, applied in the transaction under way, and the query. Both block."""

import sqlite3

from relay.errors import Conflict, NotFound
from relay.ratings import PutRating, Rating, RatingCursor
from relay.writes import Applied


def apply(db: sqlite3.Connection, change: PutRating) -> Applied:
    """Keep a rating. Raises what the write names."""
    rating = change.rating
    if db.execute("SELECT 1 FROM sessions WHERE id = ?", (rating.session,)).fetchone() is None:
        raise NotFound("no such session")
    done = db.execute(
        "INSERT INTO ratings (session, account, kind, body, at_ms) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (rating.session, rating.account, rating.kind, rating.body, rating.at_ms),
    )
    if not done.rowcount:
        raise Conflict("the account has rated the session")
    return Applied()


def ratings(
    db: sqlite3.Connection, kind: str, from_ms: int, until_ms: int, after: RatingCursor | None, limit: int
) -> tuple[Rating, ...]:
    """Ratings of a kind within a time, behind a place in their order."""
    place = (after.at_ms, after.session, after.account) if after is not None else (from_ms, "", "")
    rows = db.execute(
        "SELECT session, account, kind, body, at_ms FROM ratings "
        # SQLite seeks to one lower bound only, and the place is what deep pages have to begin at.
        "WHERE kind = ? AND at_ms >= max(?, ?) AND at_ms < ? AND (at_ms, session, account) > (?, ?, ?) "
        "ORDER BY at_ms, session, account LIMIT ?",
        (kind, from_ms, place[0], until_ms, *place, limit),
    )
    return tuple([Rating(*row) for row in rows])


def ratings_of(db: sqlite3.Connection, account: str, after: str, limit: int) -> tuple[Rating, ...]:
    """An account's ratings behind a session."""
    rows = db.execute(
        "SELECT session, account, kind, body, at_ms FROM ratings WHERE account = ? AND session > ? "
        "ORDER BY session LIMIT ?",
        (account, after, limit),
    )
    return tuple([Rating(*row) for row in rows])

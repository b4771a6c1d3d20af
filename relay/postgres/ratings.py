"""Ratings in PostgreSQL: the write, applied in the transaction under way, and the queries."""

from relay.errors import Conflict, NotFound
from relay.postgres.connection import Connection, count
from relay.ratings import PutRating, Rating, RatingCursor
from relay.writes import Applied


async def apply(db: Connection, change: PutRating) -> Applied:
    """Keep a rating. Raises what the write names."""
    rating = change.rating
    session = "SELECT 1 FROM sessions WHERE id = $1 FOR KEY SHARE"
    if await db.fetchval(session, rating.session) is None:
        raise NotFound("no such session")
    done = await count(
        db,
        "INSERT INTO ratings (session, account, kind, body, at_ms) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT DO NOTHING",
        rating.session,
        rating.account,
        rating.kind,
        rating.body,
        rating.at_ms,
    )
    if not done:
        raise Conflict("the account has rated the session")
    return Applied()


async def ratings(
    db: Connection, kind: str, from_ms: int, until_ms: int, after: RatingCursor | None, limit: int
) -> tuple[Rating, ...]:
    """Ratings of a kind within a time, behind a place in their order."""
    place = (after.at_ms, after.session, after.account) if after is not None else (from_ms, "", "")
    rows = await db.fetch(
        "SELECT session, account, kind, body, at_ms FROM ratings "
        "WHERE kind = $1 AND at_ms >= $2 AND at_ms < $3 AND (at_ms, session, account) > ($4, $5, $6) "
        "ORDER BY at_ms, session, account LIMIT $7",
        kind,
        from_ms,
        until_ms,
        *place,
        limit,
    )
    return tuple([Rating(*row) for row in rows])


async def ratings_of(db: Connection, account: str, after: str, limit: int) -> tuple[Rating, ...]:
    """An account's ratings behind a session."""
    rows = await db.fetch(
        "SELECT session, account, kind, body, at_ms FROM ratings WHERE account = $1 AND session > $2 "
        "ORDER BY session LIMIT $3",
        account,
        after,
        limit,
    )
    return tuple([Rating(*row) for row in rows])

"""Ratings of sessions, for operators. Those about technical problems are a list of their own."""

from __future__ import annotations

from protocol import errors
from protocol.errors import ProtocolError
from relay.ratings import RatingCursor
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.pagination import cursor_of
from signaling.http.schemas import Page
from signaling.http.usage_schemas import RatingItem, RatingsQuery
from signaling.ratings.rating import CLINICAL, TECHNICAL, Kind, Rating


async def list_ratings(services: Services, call: Call[RatingsQuery]) -> Reply:
    """The ratings of one kind, by time."""
    if call.caller.claims.room is not None or call.caller.claims.session is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one room or session")
    query, place = call.body, call.page.place(int, str, str)
    after = RatingCursor(int(place[0]), str(place[1]), str(place[2])) if place else None
    kind: Kind = TECHNICAL if query.technical else CLINICAL
    found = await services.ratings.listed(kind, query.from_ms, query.until_ms, after, call.page.limit + 1)
    shown = found[: call.page.limit]
    last = shown[-1] if len(found) > len(shown) else None
    following = cursor_of(last.at_ms, last.session, last.account) if last else None
    return Reply(200, Page(tuple(map(_item, shown)), following))


def _item(rating: Rating) -> RatingItem:
    return RatingItem(
        session=rating.session,
        room=rating.room,
        account=rating.account,
        role=rating.role,
        score=rating.score,
        technical=rating.technical,
        at_ms=rating.at_ms,
    )

"""What webhooks tell of a rating."""

from __future__ import annotations

from signaling.ratings.rating import Rating
from signaling.webhooks.notices import Notice, RatingData


def notices_of(rating: Rating, low_score: int) -> tuple[Notice, ...]:
    """That it was given; and again, under a type of its own, if it is clinical and at most ``low_score``."""
    data = RatingData(rating.session, rating.account, rating.role, rating.score, rating.technical)
    given = Notice("session.rated", rating.at_ms, rating.room, data)
    if rating.technical or rating.score > low_score:
        return (given,)
    return given, Notice("session.rated_low", rating.at_ms, rating.room, data)

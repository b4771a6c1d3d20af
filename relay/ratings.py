"""What a store keeps of ratings: one for each session and account, apart from the log of the room.

Row, write and the reading part of the Store port. The store does not look into bodies.
"""

from typing import Protocol

import msgspec


class Rating(msgspec.Struct, frozen=True, gc=False):
    """What an account says of a session."""

    session: str
    account: str
    kind: str  # ratings of one kind are listed together
    body: bytes
    at_ms: int


class RatingCursor(msgspec.Struct, frozen=True, gc=False):
    """A place in the list of the ratings of one kind, ordered by time, session and account."""

    at_ms: int
    session: str
    account: str


class PutRating(msgspec.Struct, frozen=True, gc=False):
    """Keep a rating. `Conflict` if the account has rated the session, `NotFound` without the session.

    Outcome: `Applied`.
    """

    rating: Rating


class Ratings(Protocol):
    """The part of the Store port that reads ratings."""

    async def ratings(
        self, kind: str, *, from_ms: int, until_ms: int, after: RatingCursor | None = None, limit: int
    ) -> tuple[Rating, ...]:
        """Ratings of a kind from `from_ms` on and before `until_ms`, in their order, beginning behind
        `after`.
        """

    async def ratings_of(self, account: str, *, after: str = "", limit: int) -> tuple[Rating, ...]:
        """The ratings of an account in the order of their sessions, beginning behind `after`."""

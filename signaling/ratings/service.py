"""Ratings as the rest of the server asks for them: given by participants, listed for operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol import errors
from protocol.errors import ProtocolError
from relay.errors import Conflict
from relay.ratings import PutRating, RatingCursor
from relay.store import Store
from relay.writes import Write
from signaling.caller import Caller
from signaling.ratings.rating import Kind, Rating, from_row, rating_of, to_row
from signaling.sessions.ports import Ledger
from signaling.sessions.service import Sessions
from signaling.timebase import Timebase


class Ratings:
    """The ratings of this deployment.

    Every method raises :exc:`ProtocolError` for what is refused and :exc:`relay.errors.StoreError` when the
    store fails.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        sessions: Sessions,
        timebase: Timebase,
        tell: Callable[[Rating], Sequence[Write]],
        rated: Callable[[Kind, int], None],
    ) -> None:
        """``tell`` gives what has others told of a rating, for the commit of it.

        ``rated`` is told the kind and the score of every rating that was kept.
        """
        self._store = store
        self._ledger = ledger
        self._sessions = sessions
        self._timebase = timebase
        self._tell = tell
        self._rated = rated

    async def rate(self, caller: Caller, session_id: str, score: int, *, technical: bool) -> None:
        """Keep what the caller says of a session that is over and that they were in; once.

        ``no_such_session``, ``session_not_over``, ``not_a_participant``, ``already_rated``. Who was in it may
        rate it even if they are not a member of its room any more.
        """
        caller.check_session(session_id)
        session = await self._sessions.find(session_id)
        elsewhere = caller.claims.room not in {None, session.room}
        if elsewhere or caller.account not in session.roles:
            await self._sessions.get(caller, session_id)  # to the uninvited it does not exist
        rating = rating_of(session, caller.account, score, technical, self._timebase.now_ms())
        try:
            await self._ledger.commit(PutRating(to_row(rating)), *self._tell(rating))
        except Conflict:
            raise ProtocolError(errors.ALREADY_RATED) from None
        self._rated(rating.kind, rating.score)

    async def listed(
        self, kind: Kind, from_ms: int, until_ms: int, after: RatingCursor | None, limit: int
    ) -> tuple[Rating, ...]:
        """Ratings of a kind that were given within a time, by time, beginning behind ``after``."""
        rows = await self._store.ratings(kind, from_ms=from_ms, until_ms=until_ms, after=after, limit=limit)
        return tuple(map(from_row, rows))

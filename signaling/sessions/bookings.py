"""What else a therapist has agreed on, as the store knows it."""

from __future__ import annotations

from relay.rows import SessionCursor
from relay.store import Store
from signaling.sessions.session import Session, from_row

PAGE = 64


class StoredBookings:
    """Looks through the sessions of an account's rooms."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def next_start(self, account: str, *, after_ms: int, before_ms: int) -> int | None:
        """The start of the account's first session that starts within these bounds, both excluded."""
        place = SessionCursor(after_ms + 1, "")
        while rows := await self._store.sessions_of_account(
            account, after=place, before_ms=before_ms, limit=PAGE
        ):
            for session in map(from_row, rows):
                if _expected(session, account):
                    return session.starts_ms
            place = SessionCursor(rows[-1].starts_ms, rows[-1].id)
        return None


def _expected(session: Session, account: str) -> bool:
    return not session.over and session.expects(account)

"""Calendar feeds of accounts: their addresses, and what is read there.

An address holds 256 random bits and is a secret: whoever has it reads the feed. Only its digest is stored, so
the store cannot tell it, and a lookup by digest takes no time that would say anything about an address.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from config.settings import ScheduleSettings
from relay.rows import SessionCursor
from relay.scheduling import CalendarFeed, DropCalendar, PutCalendar
from relay.store import Store
from relay.writes import Applied
from signaling.memberships import memberships_of
from signaling.schedule.calendar import Entry, feed
from signaling.sessions.ports import Ledger
from signaling.sessions.session import Session, from_row
from signaling.timebase import Timebase

DAY_MS = 86_400_000
KEY_BYTES = 32
PAGE = 256
MAX_ENTRIES = 2000
"""What lies further ahead is left out."""


class Feeds:
    """The calendar feeds of this deployment. Raises :exc:`relay.errors.StoreError` when the store fails."""

    def __init__(self, store: Store, ledger: Ledger, timebase: Timebase, settings: ScheduleSettings) -> None:
        self._store = store
        self._ledger = ledger
        self._timebase = timebase
        self._settings = settings

    async def give(self, account: str) -> str:
        """The key of a new address for the account's feed; an older address stops working."""
        key = secrets.token_urlsafe(KEY_BYTES)
        await self._ledger.commit(PutCalendar(CalendarFeed(account, _digest(key), self._timebase.now_ms())))
        return key

    async def take(self, account: str) -> bool:
        """Close the account's feed; whether it had one."""
        (outcome,) = await self._ledger.commit(DropCalendar(account))
        return isinstance(outcome, Applied) and outcome.changed

    async def text(self, key: str) -> bytes | None:
        """What is read at an address; None if there is no feed, or its account is barred."""
        known = await self._store.calendar(_digest(key))
        if known is None or await self._store.revocation(known.account, "") is not None:
            return None
        roles = await self._roles(known.account)
        found = await self._sessions(known.account)
        entries = [entry(session, _zone(session, roles.get(session.room))) for session in found]
        return feed(entries, self._settings.calendar_summary)

    async def _sessions(self, account: str) -> Sequence[Session]:
        now_ms = self._timebase.now_ms()
        place = SessionCursor(max(0, now_ms - self._settings.calendar_past_days * DAY_MS), "")
        before_ms = now_ms + self._settings.calendar_ahead_days * DAY_MS
        found: list[Session] = []
        while len(found) < MAX_ENTRIES:
            page = await self._store.sessions_of_account(
                account, after=place, before_ms=before_ms, limit=PAGE
            )
            found += [session for session in map(from_row, page) if session.expects(account)]
            if len(page) < PAGE:
                break
            place = SessionCursor(page[-1].starts_ms, page[-1].id)
        return found[:MAX_ENTRIES]

    async def _roles(self, account: str) -> dict[str, str]:
        """What the account is in its rooms."""
        return {one.room: one.role for one in await memberships_of(self._store, account)}


def entry(session: Session, zone: str) -> Entry:
    """A session as a calendar shows it: nothing of what has gone on in it."""
    starts_ms, ends_ms, cancelled = session.timing
    return Entry(session.id, starts_ms, ends_ms, session.revision, session.revised_ms, cancelled, zone)


def _zone(session: Session, role: str | None) -> str:
    """The reader's own time zone: where the other side is stands in nobody's calendar."""
    if session.zones is None:
        return ""
    return {"therapist": session.zones.therapist, "client": session.zones.client}.get(role or "", "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

"""Erasing an account: everything that is its alone goes in one step, whatever belongs to others stays.

What stays, and why, is in ``docs/retention.md``.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol import errors
from protocol.errors import ProtocolError
from relay.accounts import EraseAccount, Remains
from relay.errors import Conflict
from relay.rows import Membership
from relay.store import Store
from relay.writes import Revoke, Write
from signaling.hours.service import HOURS
from signaling.inbox.preferences import PREFERENCES
from signaling.keys.vault import VAULT
from signaling.memberships import memberships_of
from signaling.notes import is_notes
from signaling.rooms import Rooms
from signaling.sessions.service import Sessions
from signaling.storage_errors import RETRY_AFTER_MS
from signaling.timebase import Timebase

PAGE = 256
"""Rooms that are read together."""

ATTEMPTS = 5
"""How often it is tried while somebody adds the account to rooms."""


class Erasure:
    """Erases accounts. Raises :exc:`ProtocolError` and :exc:`relay.errors.StoreError`."""

    def __init__(self, store: Store, rooms: Rooms, sessions: Sessions, timebase: Timebase) -> None:
        self._store = store
        self._rooms = rooms
        self._sessions = sessions
        self._timebase = timebase

    async def remains(self, account: str) -> Remains:
        """How much there is of an account that stays."""
        return await self._store.remains(account)

    async def erase(self, account: str, also: Sequence[Write]) -> None:
        """Bar an account, take it out of its rooms and forget what is its alone, all in one commit.

        ``also`` is written in the same step. Doing it twice does no harm. ``legal_hold``; ``overloaded``
        if it is added to a room again and again.
        """
        for _ in range(ATTEMPTS):
            if await self._store.is_held(account):
                raise ProtocolError(errors.LEGAL_HOLD)
            memberships = await memberships_of(self._store, account)
            try:
                await self._rooms.commit(*self._writes(account, memberships), *also)
            except Conflict:  # it was added to a room this very moment, or a hold was placed
                continue
            for one in memberships:
                await self._sessions.evict(account, one.room)
            return
        raise ProtocolError(
            errors.OVERLOADED, "the account is added to rooms meanwhile", retry_after_ms=RETRY_AFTER_MS
        )

    def _writes(self, account: str, memberships: Sequence[Membership]) -> list[Write]:
        now_ms = self._timebase.now_ms()
        rooms = frozenset(one.room for one in memberships)
        # Nothing tells of rooms of notes.
        told = [self._rooms.left(one.room, account, one) for one in memberships if not is_notes(one.room)]
        erase = EraseAccount(account, rooms, (HOURS, PREFERENCES, VAULT), now_ms)
        return [Revoke(account, None, now_ms), erase, *told]

"""Private notes of therapists: beside each care room one room of their own, which only they are in.

Its id says what it is, and has a form that no back end can write into an address or a body
(:mod:`signaling.ids`): over HTTP nobody can be added to it, nothing scheduled in it, nothing read of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from protocol import errors
from protocol.errors import ProtocolError
from relay.errors import Conflict
from relay.store import Store
from relay.writes import AddMember, CreateRoom, Write
from signaling.sessions.ports import Ledger
from signaling.timebase import Timebase

PREFIX = "notes:"
"""What the ids of such rooms begin with."""


def is_notes(room: str) -> bool:
    """Whether a room is one of notes."""
    return room.startswith(PREFIX)


def notes_beside(room: str, account: str) -> str:
    """The room of an account's notes about a care room: always the same, so that there is one at most."""
    names = b"".join(len(name).to_bytes(4, "big") + name for name in (room.encode(), account.encode()))
    return PREFIX + hashlib.sha256(b"rapport notes 1\0" + names).hexdigest()[:48]


class Notes:
    """Makes rooms of notes. Raises :exc:`ProtocolError` and :exc:`relay.errors.StoreError`."""

    def __init__(self, store: Store, ledger: Ledger, timebase: Timebase) -> None:
        self._store = store
        self._ledger = ledger
        self._timebase = timebase

    async def open(self, room: str, account: str, also: Sequence[Write] = ()) -> str:
        """The room of a therapist's notes about a room of theirs, made if there is none.

        ``also`` is written in any case. ``no_such_room``, ``forbidden``. No event tells of it, so that no
        back end is told either.
        """
        roles = {member.account: member.role for member in await self._store.members(room)}
        if account not in roles or is_notes(room):
            raise ProtocolError(errors.NO_SUCH_ROOM)
        if roles[account] != "therapist":
            raise ProtocolError(errors.FORBIDDEN, "only a therapist of the room keeps notes about it")
        notes, now_ms = notes_beside(room, account), self._timebase.now_ms()
        made = (CreateRoom(notes, b"", now_ms), AddMember(notes, account, "therapist", now_ms))
        if await self._store.room(notes) is None:
            try:
                await self._ledger.commit(*made, *also)
            except Conflict:
                if await self._store.room(notes) is None:
                    raise
            else:
                return notes
        await self._ledger.commit(*also)
        return notes

"""Sessions as the rest of the server asks for them: who may, and what it means.

How a change is made is the matter of :mod:`signaling.sessions.changes`, what it does of the core.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import cast

import msgspec
import structlog

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import Role
from protocol.frames import SessionView
from relay.errors import StoreError
from relay.rows import Deadline, SessionCursor
from relay.store import Store
from relay.writes import Write
from signaling.caller import Caller
from signaling.sessions import core
from signaling.sessions.changes import Changes
from signaling.sessions.commands import Agreed, Drop, End, Join, Leave, Policy, Rehost, Stop
from signaling.sessions.session import Session, from_row, view
from signaling.timebase import Timebase

DAY_MS = 86_400_000
PAGE = 256
MANY = 1 << 20
"""More running sessions than any deployment has: they are asked for at once, when a node starts."""

_log = structlog.get_logger("rapport.sessions")


class Sessions:
    """The sessions of this deployment, as one node serves them.

    Every method raises :exc:`ProtocolError` for what is refused and :exc:`relay.errors.StoreError` when the
    store fails.
    """

    def __init__(self, store: Store, changes: Changes, timebase: Timebase, policy: Policy) -> None:
        self._store = store
        self._changes = changes
        self._timebase = timebase
        self._policy = policy
        self._joined: dict[str, set[str]] = {}  # sessions by connection of this node
        self._unsaid: list[tuple[str, Leave | Drop]] = []  # one for each connection and session at most

    # --- For people ---

    async def get(self, caller: Caller, session_id: str) -> SessionView:
        """How a session stands. ``no_such_session`` for who is not invited, as if it did not exist."""
        session, _ = await self._as_invited(caller, session_id)
        return view(session, self._timebase.now_ms())

    async def join(self, caller: Caller, session_id: str) -> SessionView:
        """Bring the caller's connection into a session.

        ``session_not_open`` before its join window, ``session_over`` after its end, ``session_full``.
        """
        _, role = await self._as_invited(caller, session_id)
        connection = _connection(caller)
        self._joined.setdefault(connection, set()).add(session_id)
        joined = await self._changes.change(session_id, Join(caller.account, role, connection))
        if connection not in self._joined:  # it was closed while the store was writing
            joined = await self._changes.change(session_id, Drop(frozenset({connection})))
        try:
            await self._as_invited(caller, session_id)
        except ProtocolError:  # it was removed from the room while the store was writing
            await self._changes.change(session_id, Leave(caller.account, None))
            raise
        return view(joined, self._timebase.now_ms())

    async def leave(self, caller: Caller, session_id: str) -> SessionView:
        """Take the caller's connection out of a session; with the account's last one the account is out."""
        await self._as_invited(caller, session_id)
        connection = _connection(caller)
        left = await self._changes.change(session_id, Leave(caller.account, connection))
        self._joined.get(connection, set()).discard(session_id)
        return view(left, self._timebase.now_ms())

    async def end(self, caller: Caller, session_id: str) -> SessionView:
        """End a session for everyone. ``forbidden`` for who is not a therapist of its room."""
        _, role = await self._as_invited(caller, session_id)
        if role != "therapist" or caller.role != "therapist":
            raise ProtocolError(errors.FORBIDDEN, "only a therapist of the room ends its sessions")
        ended = await self._changes.change(session_id, End(caller.account))
        return view(ended, self._timebase.now_ms())

    async def joined(self, caller: Caller, session_id: str) -> Session:
        """The session, if the caller's connection is in it. ``not_joined``, ``session_over``."""
        session, _ = await self._as_invited(caller, session_id)
        if session.over:
            raise ProtocolError(errors.SESSION_OVER)
        place = session.participant(caller.account)
        if place is None or _connection(caller) not in place.connections:
            raise ProtocolError(errors.NOT_JOINED)
        return session

    async def connection_closed(self, caller: Caller, *, for_good: bool = False) -> None:
        """A connection is gone: whoever has no other one in a session is absent from now on.

        With ``for_good``, for a device that may not come back, no absence is bridged.
        """
        connection = _connection(caller)
        gone = Leave(caller.account, connection) if for_good else Drop(frozenset({connection}))
        for session_id in self._joined.pop(connection, set()):
            await self._gone(session_id, gone)

    # --- For back ends ---

    async def create(self, agreed: Agreed, also: Callable[[Session], Sequence[Write]]) -> Session:
        """Schedule a session; the writes of ``also`` go into the same commit.

        ``session_times``, ``no_such_room``, ``no_such_member`` for an invited account that is none,
        ``already_exists``.
        """
        members = {member.account for member in await self._store.members(agreed.room)}
        if not members.issuperset(agreed.invited):
            raise ProtocolError(errors.NO_SUCH_MEMBER, "an invited account is not a member of the room")
        now_ms = self._timebase.now_ms()
        decision = core.schedule(agreed, self._policy, now_ms)
        await self._changes.begin(decision, now_ms, also(decision.session))
        return decision.session

    async def find(self, session_id: str) -> Session:
        """A session by its id. ``no_such_session``."""
        return await self._changes.find(session_id)

    async def of_room(self, room: str, after: SessionCursor | None, limit: int) -> tuple[Session, ...]:
        """The sessions of a room by start, then id, beginning behind ``after``."""
        return tuple(map(from_row, await self._store.sessions_of(room, after=after, limit=limit)))

    async def stop(self, session_id: str) -> Session:
        """Cancel a session, or end it if it is live; one that is over stays as it is."""
        return await self._changes.change(session_id, Stop())

    async def evict(self, account: str, room: str) -> None:
        """Take an account out of whatever is going on in a room, because it may not be there any more."""
        # Nothing that began earlier is still going on: no session is longer than a day.
        page = SessionCursor(self._timebase.now_ms() - 2 * DAY_MS, "")
        while sessions := await self.of_room(room, page, PAGE):
            for session in sessions:
                if session.participant(account):
                    await self._changes.change(session.id, Leave(account, None))
            page = SessionCursor(sessions[-1].starts_ms, sessions[-1].id)

    # --- For the media plane and the clock ---

    async def rehost(self, session_id: str) -> Session:
        """Count up the generation of a session's media: another worker carries it from now on."""
        return await self._changes.change(session_id, Rehost())

    async def fire(self, deadlines: Sequence[Deadline]) -> tuple[BaseException | None, ...]:
        """Carry out deadlines, no two of the same session, and commit them in this order.

        For each None, or why it has to be tried again. One that is stale changes nothing.
        """
        stored = await asyncio.gather(*(self._store.session(one.session) for one in deadlines))
        carried_out = map(self._changes.elapse, deadlines, stored)
        return tuple(await asyncio.gather(*carried_out, return_exceptions=True))

    async def recover(self) -> None:
        """Take everyone whom an earlier life of this process has left in a session for absent from now on."""
        running = await self._store.deadlines(due_before_ms=self._timebase.now_ms() + 2 * DAY_MS, limit=MANY)
        for session_id in dict.fromkeys(one.session for one in running if one.kind != "window_opened"):
            try:
                session = await self.find(session_id)
            except msgspec.MsgspecError:
                _log.error("session_not_readable", session=session_id)
                continue
            if left := frozenset(chain.from_iterable(one.connections for one in session.participants)):
                await self._changes.change(session_id, Drop(left))

    async def tick(self) -> None:
        """To be called about once a second: repeats what the store did not take, sends due countdowns."""
        unsaid, self._unsaid = self._unsaid, []
        for session_id, gone in unsaid:
            await self._gone(session_id, gone)
        await self._changes.remind()

    # --- Inside ---

    async def _as_invited(self, caller: Caller, session_id: str) -> tuple[Session, Role]:
        """The session and the caller's role in its room, if the caller may know of it."""
        caller.check_session(session_id)
        session = await self.find(session_id)
        members = await self._store.members(session.room)
        member = next((one for one in members if one.account == caller.account), None)
        elsewhere = caller.claims.room not in {None, session.room}
        if member is None or elsewhere or not session.invites(caller.account):
            raise ProtocolError(errors.NO_SUCH_SESSION)
        return session, cast(Role, member.role)

    async def _gone(self, session_id: str, gone: Leave | Drop) -> None:
        """Note that somebody is gone, now or as soon as the store takes it: nobody is left to be told."""
        try:
            await self._changes.change(session_id, gone)
        except StoreError:
            self._unsaid.append((session_id, gone))
        except ProtocolError as error:
            if error.kind.temporary:
                self._unsaid.append((session_id, gone))


def _connection(caller: Caller) -> str:
    if caller.connection is None:
        raise ProtocolError(errors.FORBIDDEN, "only a connection takes part in sessions")
    return caller.connection

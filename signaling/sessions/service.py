"""Sessions as the rest of the server asks for them: who asks, whether they may know of the session, what for.

What a command does is decided in :mod:`signaling.sessions.core`, made durable by
:mod:`signaling.sessions.changes` and told by :mod:`signaling.sessions.telling`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

import msgspec
import structlog

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import SessionRole
from protocol.sessions import (
    SessionExtend,
    SessionExtended,
    SessionGet,
    SessionJoin,
    SessionLeave,
    SessionRequest,
    SessionView,
)
from relay import rows
from relay.cluster import Grave
from relay.errors import StoreError
from relay.rows import Deadline, SessionCursor
from relay.store import Store
from relay.writes import Write
from signaling.caller import Caller
from signaling.cluster.names import node_of
from signaling.sessions import core, moves, views
from signaling.sessions.changes import Changes
from signaling.sessions.commands import Agreed, Cancel, Drop, Join, Leave, Move, Policy, Rehost, Stop
from signaling.sessions.ports import Bookings
from signaling.sessions.requests import AnyonesRequest, TherapistRequest, command_of
from signaling.sessions.session import Session, from_row
from signaling.sessions.terms import decode_wishes
from signaling.timebase import Timebase

DAY_MS = 86_400_000
PAGE = 256
RUNNING = ("open", "live", "overrun")
"""The states in which somebody can be in a session."""


_log = structlog.get_logger("rapport.sessions")


class Sessions:
    """The sessions of this deployment, as one node serves them.

    Every method raises :exc:`ProtocolError` for what is refused and :exc:`relay.errors.StoreError` when the
    store fails. To those who are not invited a session does not exist: ``no_such_session``.
    """

    def __init__(
        self,
        store: Store,
        changes: Changes,
        bookings: Bookings,
        timebase: Timebase,
        policy: Policy,
    ) -> None:
        self._store = store
        self._changes = changes
        self._bookings = bookings
        self._timebase = timebase
        self._policy = policy
        self._joined: dict[str, set[str]] = {}  # sessions by connection of this node
        self._unsaid: list[tuple[str, Leave | Drop]] = []  # one for each connection and session at most

    # --- For people ---

    async def perform(self, caller: Caller, request: SessionRequest) -> SessionView | SessionExtended:
        """Carry out a request; the session after it, as the caller may see it."""
        match request:
            case SessionGet(session=session_id):
                return await self.get(caller, session_id)
            case SessionJoin(session=session_id):
                return await self.join(caller, session_id)
            case SessionLeave(session=session_id):
                return await self.leave(caller, session_id)
            case SessionExtend():
                return await self._extend(caller, request)
            case _:
                return await self._ask(caller, request)

    async def get(self, caller: Caller, session_id: str) -> SessionView:
        """How a session stands, as far as the caller may see it."""
        session, role = await self._as_invited(caller, session_id)
        return self._view(session, caller, role)

    async def join(self, caller: Caller, session_id: str) -> SessionView:
        """Bring the caller's connection into a session, or into its waiting room.

        ``session_not_open`` before its join window, ``session_over`` after its end, ``session_full``,
        ``consent_required``, ``not_observable``.
        """
        _, role = await self._as_invited(caller, session_id)
        connection = _connection(caller)
        self._joined.setdefault(connection, set()).add(session_id)
        await self._changes.change(session_id, Join(caller.account, role, connection))
        if connection not in self._joined:  # it was closed while the store was writing
            await self._changes.change(session_id, Drop(frozenset({connection})))
        try:
            # Read again: by now it may have been admitted, or removed from the room.
            joined, role = await self._as_invited(caller, session_id)
        except ProtocolError:
            await self._changes.change(session_id, Leave(caller.account, None))
            raise
        return self._view(joined, caller, role)

    async def leave(self, caller: Caller, session_id: str) -> SessionView:
        """Take the caller's connection out of a session; with the account's last one the account is out."""
        _, role = await self._as_invited(caller, session_id)
        connection = _connection(caller)
        left = await self._changes.change(session_id, Leave(caller.account, connection))
        self._joined.get(connection, set()).discard(session_id)
        return self._view(left, caller, role)

    async def joined(self, caller: Caller, session_id: str) -> Session:
        """The session, if the caller's connection is in it.

        ``not_joined``, ``not_admitted`` while the account waits, ``session_over``.
        """
        session, _ = await self._as_invited(caller, session_id)
        if session.over:
            raise ProtocolError(errors.SESSION_OVER)
        if _connection(caller) not in moves.inside(session, caller.account).connections:
            raise ProtocolError(errors.NOT_JOINED)
        return session

    async def waiting(self, account: str, rooms: Sequence[str]) -> dict[str, str]:
        """The sessions of these rooms before which an account waits, and the room of each."""
        return {
            session.id: room
            for room in rooms
            for session in await self._recent(room)
            if session.waiter(account)
        }

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
        attendees = [one.account for one in agreed.attendees]
        if len({*attendees, *agreed.invited}) < len(attendees) + len(agreed.invited):
            raise ProtocolError(errors.INVALID_FIELD, "an account is invited twice")
        room = await self._store.room(agreed.room)
        if room is None:
            raise ProtocolError(errors.NO_SUCH_ROOM)
        members = {member.account for member in await self._store.members(agreed.room)}
        if not members.issuperset(agreed.invited):
            raise ProtocolError(errors.NO_SUCH_MEMBER, "an invited account is not a member of the room")
        terms = self._policy.terms.with_wishes(decode_wishes(room.body))
        policy = Policy(terms, self._policy.limits)
        now_ms = self._timebase.now_ms()
        decision = core.schedule(agreed, policy, now_ms)
        await self._changes.begin(decision, now_ms, also(decision.session))
        return decision.session

    async def find(self, session_id: str) -> Session:
        """A session by its id. ``no_such_session``."""
        return await self._changes.find(session_id)

    async def of_room(self, room: str, after: SessionCursor | None, limit: int) -> tuple[Session, ...]:
        """The sessions of a room by start, then id, beginning behind ``after``."""
        return tuple(map(from_row, await self._store.sessions_of(room, after=after, limit=limit)))

    async def move(
        self, session_id: str, starts_ms: int, length_ms: int, *, by: str | None = None
    ) -> Session:
        """Hold a session at another time. ``session_times``, ``session_begun``, ``session_over``.

        ``by`` is the therapist who asks; None for a back end.
        """
        command = Move(starts_ms, length_ms, self._policy.limits, by)
        return await self._changes.change(session_id, command)

    async def cancel(self, session_id: str, *, by: str | None = None) -> Session:
        """Cancel a session that has not begun. ``session_begun``, ``session_over``.

        ``by`` is the therapist who asks; None for a back end.
        """
        return await self._changes.change(session_id, Cancel(by))

    async def stop(self, session_id: str) -> Session:
        """Cancel a session, or end it if it is live; one that is over stays as it is."""
        return await self._changes.change(session_id, Stop())

    async def evict(self, account: str, room: str) -> None:
        """Take an account out of whatever is going on in a room, because it may not be there any more."""
        for session in await self._recent(room):
            if session.participant(account) or session.waiter(account):
                await self._changes.change(session.id, Leave(account, None))

    # --- For the media plane and the clock ---

    async def rehost(self, session_id: str, host: str, generation: int) -> Session:
        """Begin a new life of a session's media, on a node; ``generation`` is the life that it follows.

        If another has begun meanwhile, that one holds: the session that is returned says which.
        ``session_over``.
        """
        return await self._changes.change(session_id, Rehost(host, generation))

    async def running(self) -> AsyncIterator[tuple[Session, ...]]:
        """The sessions in which somebody can be, page by page; those that cannot be read are left out."""
        for state in RUNNING:
            after = ""
            while page := await self._store.sessions_in(state, after=after, limit=PAGE):
                yield tuple(filter(None, map(_readable, page)))
                after = page[-1].id

    async def fire(self, deadlines: Sequence[Deadline]) -> tuple[BaseException | None, ...]:
        """Carry out deadlines, no two of the same session, and commit them in this order.

        For each None, or why it has to be tried again. One that is stale changes nothing.
        """
        stored = await asyncio.gather(*(self._store.session(one.session) for one in deadlines))
        carried_out = map(self._changes.elapse, deadlines, stored)
        return tuple(await asyncio.gather(*carried_out, return_exceptions=True))

    async def node_died(self, grave: Grave) -> None:
        """Take whoever was in a session by way of a node that is gone for absent since its last sign of life.

        Repeatable. What else has fallen due since then is best fired after this.
        """
        # A sign of life lies ahead if the machine's clock has been set back since, or goes behind that of the
        # node: there nobody has been absent yet.
        alive_ms = min(grave.at_ms, self._timebase.now_ms())
        for state in RUNNING:
            after = ""
            while page := await self._store.sessions_in(state, after=after, limit=PAGE):
                # Read after the sessions, so that no node is missing that has brought somebody into one.
                others = await self._nodes_besides(grave.name)
                for row in page:
                    await self._lose(row, others, alive_ms)
                after = page[-1].id

    @property
    def settled(self) -> bool:
        """Whether no connection of this node is in a session any more, as far as the store knows, too."""
        return not self._joined and not self._unsaid

    async def tick(self) -> None:
        """To be called about once a second: repeats what the store did not take, sends due countdowns."""
        unsaid, self._unsaid = self._unsaid, []
        for session_id, gone in unsaid:
            await self._gone(session_id, gone)
        await self._changes.remind()

    # --- Inside ---

    async def _ask(self, caller: Caller, request: TherapistRequest | AnyonesRequest) -> SessionView:
        _, role = await self._as_invited(caller, request.session)
        command = command_of(request, caller.account, role, self._policy.limits)
        return self._view(await self._changes.change(request.session, command), caller, role)

    async def _extend(self, caller: Caller, request: SessionExtend) -> SessionExtended:
        """Extend a session, with a warning if it runs into the therapist's next one."""
        before, _ = await self._as_invited(caller, request.session)
        duplicate = any(one.key == request.mid for one in before.extensions)
        view = await self._ask(caller, request)
        overlaps_ms = await self._bookings.next_start(
            caller.account, after_ms=view.starts_ms, before_ms=view.agreed_end_ms
        )
        return SessionExtended(view, overlaps_ms, duplicate)

    async def _as_invited(self, caller: Caller, session_id: str) -> tuple[Session, SessionRole]:
        """The session and the caller's role in it, if the caller may know of it."""
        caller.check_session(session_id)
        session = await self.find(session_id)
        if caller.claims.room in {None, session.room}:
            if attendee := session.attendee(caller.account):
                return session, attendee.role
            members = await self._store.members(session.room)
            member = next((one for one in members if one.account == caller.account), None)
            if member is not None and session.invites(caller.account):
                # A token never gives more than its own role.
                weaker = member.role == "therapist" and caller.role != "therapist"
                return session, "guest" if weaker else cast(SessionRole, member.role)
        raise ProtocolError(errors.NO_SUCH_SESSION)

    def _view(self, session: Session, caller: Caller, role: SessionRole) -> SessionView:
        return views.view(session, caller.account, role, self._timebase.now_ms())

    async def _recent(self, room: str) -> list[Session]:
        """The sessions of a room in which somebody may be: none is longer than a day."""
        now_ms = self._timebase.now_ms()
        recent: list[Session] = []
        page = SessionCursor(now_ms - 2 * DAY_MS, "")
        while found := await self.of_room(room, page, PAGE):
            recent += found
            page = SessionCursor(found[-1].starts_ms, found[-1].id)
            if len(found) < PAGE or page.starts_ms > now_ms + DAY_MS:
                break
        return recent

    async def _gone(self, session_id: str, gone: Leave | Drop) -> None:
        """Note that somebody is gone, now or as soon as the store takes it: nobody is left to be told."""
        try:
            await self._changes.change(session_id, gone)
        except StoreError:
            self._unsaid.append((session_id, gone))
        except ProtocolError as error:
            if error.kind.temporary:
                self._unsaid.append((session_id, gone))

    async def _nodes_besides(self, gone: str) -> frozenset[str]:
        """The nodes whose connections may live, or are another grave's."""
        nodes = await self._store.nodes()
        return frozenset({one.name for one in nodes.living} | {one.name for one in nodes.buried}) - {gone}

    async def _lose(self, row: rows.Session, others: frozenset[str], alive_ms: int) -> None:
        try:
            connections = from_row(row).connections
        except msgspec.MsgspecError:
            _log.error("session_not_readable", session=row.id)
            return
        gone = frozenset(one for one in connections if node_of(one) not in others)
        if gone:
            await self._changes.lose(row, gone, alive_ms)


def _readable(row: rows.Session) -> Session | None:
    try:
        return from_row(row)
    except msgspec.MsgspecError:
        _log.error("session_not_readable", session=row.id)
        return None


def _connection(caller: Caller) -> str:
    if caller.connection is None:
        raise ProtocolError(errors.FORBIDDEN, "only a connection takes part in sessions")
    return caller.connection

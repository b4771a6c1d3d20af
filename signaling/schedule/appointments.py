"""What people ask about their appointments over the WebSocket: a day's list, and what therapists change."""

from __future__ import annotations

from typing import assert_never

from protocol import errors
from protocol.errors import ProtocolError
from protocol.schedule import (
    Overlap,
    ScheduleRequest,
    SessionCancel,
    SessionDay,
    SessionList,
    SessionMove,
    SessionSchedule,
    SessionScheduled,
)
from protocol.sessions import SessionView
from relay.store import Store
from signaling.caller import Caller
from signaling.schedule.service import Schedule, booking, day_span
from signaling.schedule.zones import known_zones
from signaling.sessions.commands import Agreed
from signaling.sessions.service import Sessions
from signaling.sessions.session import Session

MAX_LISTED = 200


class Appointments:
    """When a caller's sessions are held. Refusals are :exc:`ProtocolError`."""

    def __init__(self, store: Store, sessions: Sessions, schedule: Schedule) -> None:
        self._store = store
        self._sessions = sessions
        self._schedule = schedule

    async def perform(
        self, caller: Caller, request: ScheduleRequest
    ) -> SessionScheduled | SessionView | SessionDay:
        """Carry out a request about when sessions are held."""
        match request:
            case SessionSchedule():
                return await self._arrange(caller, request)
            case SessionMove():
                await self._check_therapist(caller, (await self._sessions.get(caller, request.session)).room)
                moved = await self._sessions.move(
                    request.session, request.starts_ms, request.length_ms, by=caller.account
                )
                return await self._scheduled(caller, moved)
            case SessionCancel(session=session):
                await self._check_therapist(caller, (await self._sessions.get(caller, session)).room)
                await self._sessions.cancel(session, by=caller.account)
                return await self._sessions.get(caller, session)
            case SessionList():
                return await self._list(caller, request)
            case _:
                assert_never(request)

    async def _arrange(self, caller: Caller, request: SessionSchedule) -> SessionScheduled:
        if caller.claims.session is not None:
            raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one session")
        await self._check_therapist(caller, request.room)
        session_id = request.mid.hex
        agreed = Agreed(
            session_id,
            request.room,
            request.starts_ms,
            request.length_ms,
            request.modality,
            tuple(dict.fromkeys((caller.account, *request.invited))) if request.invited else (),
            zones=known_zones(request.zones),
        )
        try:
            created = await self._sessions.create(agreed, lambda _: ())
        except ProtocolError as error:
            if error.kind is not errors.ALREADY_EXISTS:
                raise
            return await self._repeated(caller, agreed)
        return await self._scheduled(caller, created)

    async def _repeated(self, caller: Caller, agreed: Agreed) -> SessionScheduled:
        """The same request once more: its session may have been moved meanwhile, and stays as it is."""
        known = await self._sessions.find(agreed.session)
        same = (known.room, known.agreed_modality, known.invited)
        if same != (agreed.room, agreed.modality, agreed.invited):
            raise ProtocolError(errors.MID_DIFFERS)
        return await self._scheduled(caller, known, duplicate=True)

    async def _scheduled(
        self, caller: Caller, session: Session, *, duplicate: bool = False
    ) -> SessionScheduled:
        overlaps = await self._schedule.overlaps(
            session.room, session.invited, [booking(session)], therapist=caller.account
        )
        view = await self._sessions.get(caller, session.id)
        return SessionScheduled(
            view, tuple(Overlap(o.session, o.starts_ms, o.ends_ms) for o in overlaps), duplicate
        )

    async def _list(self, caller: Caller, request: SessionList) -> SessionDay:
        span = day_span(request.day, request.zone)
        found = await self._schedule.of_account(caller.account, span, None, MAX_LISTED + 1)
        shown = [
            await self._sessions.get(caller, session.id)
            for session in found[:MAX_LISTED]
            if caller.claims.room in {None, session.room} and caller.claims.session in {None, session.id}
        ]
        return SessionDay(span.from_ms, span.before_ms, tuple(shown), len(found) <= MAX_LISTED)

    async def _check_therapist(self, caller: Caller, room: str) -> None:
        caller.check_room(room)
        members = {member.account: member.role for member in await self._store.members(room)}
        if caller.account not in members:
            raise ProtocolError(errors.NO_SUCH_ROOM)
        if members[caller.account] != "therapist" or caller.role != "therapist":
            raise ProtocolError(errors.FORBIDDEN, "only a therapist of the room does that")

"""What people ask about their appointments over the WebSocket: a day's list, and what therapists change."""

from __future__ import annotations

from typing import assert_never

from protocol import errors
from protocol.errors import ProtocolError
from protocol.schedule import (
    ScheduleRequest,
    ScheduleResult,
    SeriesCut,
    SeriesList,
    SeriesPlan,
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
from signaling.schedule.planning import Planning, overlap
from signaling.schedule.rights import check_not_for_one_session, check_therapist
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
        self._planning = Planning(store, schedule)

    async def perform(self, caller: Caller, request: ScheduleRequest) -> ScheduleResult | SessionView:
        """Carry out a request about when sessions are held."""
        match request:
            case SessionSchedule():
                return await self._arrange(caller, request)
            case SessionMove():
                await self._check(caller, request.session)
                moved = await self._sessions.move(
                    request.session, request.starts_ms, request.length_ms, by=caller.account
                )
                return await self._scheduled(caller, moved)
            case SessionCancel(session=session):
                await self._check(caller, session)
                await self._sessions.cancel(session, by=caller.account)
                return await self._sessions.get(caller, session)
            case SessionList():
                return await self._list(caller, request)
            case SeriesPlan() | SeriesCut() | SeriesList():
                return await self._planning.perform(caller, request)
            case _:
                assert_never(request)

    async def _check(self, caller: Caller, session_id: str) -> None:
        """Whether the caller may change a session; one of a series is made now if it is not near yet."""
        series, dot, name = session_id.rpartition(".")
        if dot and await self._store.session(session_id) is None and await self._store.series(series):
            caller.check_session(session_id)
            await self._planning.check_series(caller, series)
            await self._schedule.occurrence(series, name)
        await check_therapist(self._store, caller, (await self._sessions.get(caller, session_id)).room)

    async def _arrange(self, caller: Caller, request: SessionSchedule) -> SessionScheduled:
        check_not_for_one_session(caller)
        await check_therapist(self._store, caller, request.room)
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
        return SessionScheduled(view, tuple(map(overlap, overlaps)), duplicate)

    async def _list(self, caller: Caller, request: SessionList) -> SessionDay:
        span = day_span(request.day, request.zone)
        found = await self._schedule.of_account(caller.account, span, None, MAX_LISTED + 1)
        shown = [await self._shown(caller, session) for session in found[:MAX_LISTED]]
        views = tuple(view for view in shown if view is not None)
        return SessionDay(span.from_ms, span.before_ms, views, len(found) <= MAX_LISTED)

    async def _shown(self, caller: Caller, session: Session) -> SessionView | None:
        """The session as the caller sees it; None if the token is for others, or the caller is just gone."""
        if caller.claims.session not in {None, session.id}:
            return None
        try:
            return await self._sessions.get(caller, session.id)
        except ProtocolError as error:
            if error.kind is not errors.NO_SUCH_SESSION:
                raise
            return None

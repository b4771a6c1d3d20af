"""Sessions, for back ends."""

from __future__ import annotations

import uuid

from protocol import errors
from protocol.errors import ProtocolError
from relay.rows import SessionCursor
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.pagination import cursor_of
from signaling.http.schemas import Page, SessionItem, SessionSpec
from signaling.sessions.commands import Agreed
from signaling.sessions.session import Session


async def create_session(services: Services, call: Call[SessionSpec]) -> Reply:
    """Schedule a session in a room."""
    spec, room = call.body, call.path["room"]
    call.caller.check_room(room)
    session_id = spec.session or uuid.uuid4().hex
    call.caller.check_session(session_id)
    starts_ms = services.timebase.now_ms() if spec.starts_ms is None else spec.starts_ms
    agreed = Agreed(session_id, room, starts_ms, spec.length_seconds * 1000, spec.modality, spec.invited)
    created = await services.sessions.create(agreed, lambda session: call.keep(_created(session)))
    return _created(created)


async def list_sessions(services: Services, call: Call[None]) -> Reply:
    """The sessions of a room, by start."""
    room = call.path["room"]
    call.caller.check_room(room)
    if await services.store.room(room) is None:
        raise ProtocolError(errors.NO_SUCH_ROOM)
    place = call.page.place(int, str)
    after = SessionCursor(int(place[0]), str(place[1])) if place else None
    sessions = await services.sessions.of_room(room, after, call.page.limit + 1)
    shown = sessions[: call.page.limit]
    following = cursor_of(shown[-1].starts_ms, shown[-1].id) if len(sessions) > len(shown) else None
    return Reply(200, Page(tuple(map(session_item, shown)), following))


async def get_session(services: Services, call: Call[None]) -> Reply:
    """One session."""
    return Reply(200, session_item(await _session(services, call)))


async def stop_session(services: Services, call: Call[None]) -> Reply:
    """Cancel a session, or end it if it is live; one that is over stays as it is."""
    session = await _session(services, call)
    return Reply(200, session_item(await services.sessions.stop(session.id)))


async def _session(services: Services, call: Call[None]) -> Session:
    call.caller.check_session(call.path["session"])
    session = await services.sessions.find(call.path["session"])
    call.caller.check_room(session.room)
    return session


def _created(session: Session) -> Reply:
    return Reply(201, session_item(session), f"/v1/sessions/{session.id}")


def session_item(session: Session) -> SessionItem:
    """A session as back ends see it."""
    return SessionItem(
        session=session.id,
        room=session.room,
        state=session.state,
        modality=session.modality,
        starts_ms=session.starts_ms,
        opens_ms=session.opens_ms,
        agreed_end_ms=session.agreed_end_ms,
        cap_ms=session.cap_ms,
        invited=session.invited,
        present=session.present,
        live_ms=session.live_ms,
        ended_ms=session.ended_ms,
        reason=session.reason,
    )

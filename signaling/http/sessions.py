"""Sessions, for back ends."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec

from protocol import errors
from protocol.errors import ProtocolError
from protocol.sessions import Zones
from relay.rows import SessionCursor
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.pagination import cursor_of
from signaling.http.policies import wishes_of
from signaling.http.schedule_schemas import DayQuery, MoveSpec
from signaling.http.schemas import AttendeeSpec, OverlapItem, Page, SessionItem, SessionSpec, ZonesSpec
from signaling.schedule.overlap import Booking
from signaling.schedule.service import ALWAYS, Span, booking, day_span
from signaling.schedule.zones import known_zones
from signaling.sessions.commands import Agreed
from signaling.sessions.session import Attendee, Session


async def create_session(services: Services, call: Call[SessionSpec]) -> Reply:
    """Schedule a session in a room."""
    spec, room = call.body, call.path["room"]
    call.caller.check_room(room)
    session_id = spec.session or uuid.uuid4().hex
    call.caller.check_session(session_id)
    starts_ms = services.timebase.now_ms() if spec.starts_ms is None else spec.starts_ms
    agreed = Agreed(
        session_id,
        room,
        starts_ms,
        spec.length_seconds * 1000,
        spec.modality,
        spec.invited,
        tuple(Attendee(one.account, one.role) for one in spec.attendees),
        wishes_of(spec.policy),
        zones_of(spec.zones),
    )
    planned = Booking(starts_ms, starts_ms + agreed.length_ms, session_id)
    overlaps = await services.schedule.overlaps(room, spec.invited, [planned])
    created = await services.sessions.create(agreed, lambda one: call.keep(_created(one, overlaps)))
    return _created(created, overlaps)


async def list_sessions(services: Services, call: Call[DayQuery]) -> Reply:
    """The sessions of a room, by start."""
    room = call.path["room"]
    call.caller.check_room(room)
    if await services.store.room(room) is None:
        raise ProtocolError(errors.NO_SUCH_ROOM)
    span = span_of(call.body)
    return page_of(call, await services.schedule.of_room(room, span, place_of(call), call.page.limit + 1))


async def list_account_sessions(services: Services, call: Call[DayQuery]) -> Reply:
    """The sessions that an account may join, in all its rooms, by start."""
    if call.caller.claims.room is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one room")
    account, span = call.path["account"], span_of(call.body)
    return page_of(
        call, await services.schedule.of_account(account, span, place_of(call), call.page.limit + 1)
    )


def span_of(query: DayQuery) -> Span:
    """The day that is asked for, or all of time. ``invalid_field``, ``no_such_zone``."""
    if not query.day and not query.zone:
        return ALWAYS
    if not query.day or not query.zone:
        raise ProtocolError(errors.INVALID_FIELD, "`day` and `zone` go together")
    return day_span(query.day, query.zone)


def place_of(call: Call[DayQuery]) -> SessionCursor | None:
    """Behind which session the page begins."""
    place = call.page.place(int, str)
    return SessionCursor(int(place[0]), str(place[1])) if place else None


def page_of(call: Call[DayQuery], found: Sequence[Session]) -> Reply:
    """A page of what was found, which is one more than the page may hold if there is a next one."""
    shown = found[: call.page.limit]
    following = cursor_of(shown[-1].starts_ms, shown[-1].id) if len(found) > len(shown) else None
    return Reply(200, Page(tuple(map(session_item, shown)), following))


async def get_session(services: Services, call: Call[None]) -> Reply:
    """One session."""
    return Reply(200, session_item(await _session(services, call)))


async def move_session(services: Services, call: Call[MoveSpec]) -> Reply:
    """Hold a session at another time, before it has begun."""
    return await moved(services, call, await _session(services, call))


async def moved(services: Services, call: Call[MoveSpec], session: Session) -> Reply:
    """The session, held at another time."""
    seconds = call.body.length_seconds
    length_ms = session.length_ms if seconds is None else seconds * 1000
    elsewhen = await services.sessions.move(session.id, call.body.starts_ms, length_ms)
    overlaps = await services.schedule.overlaps(session.room, session.invited, [booking(elsewhen)])
    return Reply(200, _with_warnings(elsewhen, overlaps))


async def stop_session(services: Services, call: Call[None]) -> Reply:
    """Cancel a session, or end it if it is live; one that is over stays as it is."""
    session = await _session(services, call)
    return Reply(200, session_item(await services.sessions.stop(session.id)))


async def _session(services: Services, call: Call[None] | Call[MoveSpec]) -> Session:
    call.caller.check_session(call.path["session"])
    session = await services.sessions.find(call.path["session"])
    call.caller.check_room(session.room)
    return session


def _created(session: Session, overlaps: Sequence[Booking]) -> Reply:
    item = _with_warnings(session, overlaps)
    return Reply(201, item, f"/v1/sessions/{session.id}")


def _with_warnings(session: Session, overlaps: Sequence[Booking]) -> SessionItem:
    return msgspec.structs.replace(session_item(session), warnings=tuple(map(overlap_item, overlaps)))


def zones_of(spec: ZonesSpec | None) -> Zones | None:
    """The time zones that a back end gives. ``no_such_zone``."""
    return known_zones(Zones(spec.therapist, spec.client)) if spec else None


def zones_item(zones: Zones | None) -> ZonesSpec | None:
    """Time zones as back ends see them."""
    return ZonesSpec(zones.therapist, zones.client) if zones else None


def overlap_item(overlap: Booking) -> OverlapItem:
    """An overlap as back ends see it."""
    return OverlapItem(overlap.session, overlap.starts_ms, overlap.ends_ms)


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
        attendees=tuple(AttendeeSpec(one.account, one.role) for one in session.attendees),
        zones=zones_item(session.zones),
        present=session.present,
        waiting=tuple(one.account for one in session.waiting),
        urgent=session.urgent,
        live_ms=session.live_ms,
        ended_ms=session.ended_ms,
        reason=session.reason,
    )

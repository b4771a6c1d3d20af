"""What therapists ask about when sessions are held, over the WebSocket, and what they are told."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from protocol.base import Request
from protocol.fields import AccountId, MessageId, Milliseconds, Modality, RoomId, SessionId
from protocol.sessions import SessionView, Zones

Length: TypeAlias = Annotated[int, Meta(ge=1, le=86_400_000)]
"""In milliseconds; the deployment sets bounds of its own."""


class Overlap(Struct, frozen=True, gc=False):
    """Another session of the therapist at the same time."""

    session: SessionId
    """Which session."""
    starts_ms: Milliseconds
    """Its start."""
    ends_ms: Milliseconds
    """Its agreed end."""


class SessionSchedule(Request, frozen=True, tag="session.schedule"):
    """Schedule a session. For therapists of the room.

    After a lost reply send the same again: it is scheduled once.
    """

    room: RoomId
    """In which room."""
    mid: MessageId
    """UUIDv7, made once for this session."""
    starts_ms: Milliseconds
    """When it starts."""
    length_ms: Length
    """How long it is."""
    modality: Modality
    """How people talk in it."""
    invited: Annotated[tuple[AccountId, ...], Meta(max_length=64)] = ()
    """The members who may join besides the therapist; all members of the room if it is empty."""
    zones: Zones | None = None
    """The time zones to show its times in."""


class SessionMove(Request, frozen=True, tag="session.move"):
    """Hold a session at another time, before it has begun. For therapists of its room."""

    session: SessionId
    """Which session."""
    starts_ms: Milliseconds
    """When it starts."""
    length_ms: Length
    """How long it is."""


class SessionCancel(Request, frozen=True, tag="session.cancel"):
    """Cancel a session before it has begun. For therapists of its room; doing it again changes nothing."""

    session: SessionId
    """Which session."""


class SessionList(Request, frozen=True, tag="session.list"):
    """Which sessions may this account join that start on a day?"""

    day: Annotated[str, Meta(max_length=10)]
    """The day, as in ``2026-03-29``."""
    zone: Annotated[str, Meta(max_length=64)]
    """The IANA time zone whose day it is, as in ``Europe/Berlin``."""


ScheduleRequest: TypeAlias = SessionSchedule | SessionMove | SessionCancel | SessionList


class SessionScheduled(
    Struct, frozen=True, gc=False, tag_field="of", tag="session.scheduled", omit_defaults=True
):
    """The session is scheduled, or moved."""

    view: SessionView
    """The session after it."""
    warnings: tuple[Overlap, ...] = ()
    """What else the therapist has at the same time."""
    duplicate: bool = False
    """It had been scheduled before, by an earlier request with the same ``mid``."""


class SessionDay(Struct, frozen=True, gc=False, tag_field="of", tag="session.day", omit_defaults=True):
    """The sessions of a day."""

    starts_ms: Milliseconds
    """When the day begins."""
    ends_ms: Milliseconds
    """When the next one begins: mostly, but not always, 24 hours later."""
    sessions: tuple[SessionView, ...] = ()
    """By start; at most 200 of them."""
    complete: bool = True
    """Whether that is all."""

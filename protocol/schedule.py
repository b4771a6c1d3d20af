"""What therapists ask about when sessions are held, over the WebSocket, and what they are told."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from protocol.base import Request
from protocol.fields import AccountId, MessageId, Milliseconds, Modality, RoomId, SessionId
from protocol.sessions import SessionView, Zones

Length: TypeAlias = Annotated[int, Meta(ge=1, le=86_400_000)]
"""In milliseconds; the deployment sets bounds of its own."""


ZoneName: TypeAlias = Annotated[str, Meta(max_length=64)]
"""An IANA time zone, as in ``Europe/Berlin``."""

OccurrenceName: TypeAlias = Annotated[str, Meta(max_length=13)]
"""A session of a series: the local time that the series has given it, as in ``20260329T0900``."""


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
    zone: ZoneName
    """The IANA time zone whose day it is, as in ``Europe/Berlin``."""


class SeriesPlan(Request, frozen=True, tag="series.plan"):
    """Begin a series of sessions. For therapists of the room.

    Its sessions have ids made of its own, a dot and their names; they are moved and cancelled like others.
    After a lost reply send the same again: it is begun once.
    """

    room: RoomId
    """In which room."""
    mid: MessageId
    """UUIDv7, made once for this series."""
    starts: Annotated[str, Meta(max_length=16)]
    """When the first one starts on a clock of the zone, as in ``2026-03-29T09:00``."""
    zone: ZoneName
    """The IANA time zone whose clock it keeps to."""
    rule: Annotated[str, Meta(max_length=128)]
    """When it recurs: a part of RFC 5545, 3.3.10, as in ``FREQ=WEEKLY;COUNT=20``."""
    length_ms: Length
    """How long each session is."""
    modality: Modality
    """How people talk in them."""
    invited: Annotated[tuple[AccountId, ...], Meta(max_length=64)] = ()
    """The members who may join besides the therapist; all members of the room if it is empty."""
    skipped: Annotated[tuple[OccurrenceName, ...], Meta(max_length=366)] = ()
    """Those that are left out."""
    zones: Zones | None = None
    """The time zones to show the times of its sessions in."""


class SeriesCut(Request, frozen=True, tag="series.cut"):
    """Cancel a session of a series and all that follow it. For therapists of its room."""

    series: SessionId
    """Which series."""
    occurrence: OccurrenceName
    """The first session that is not held any more."""


class SeriesList(Request, frozen=True, tag="series.list"):
    """Which series does a room have? For therapists of it."""

    room: RoomId
    """Which room."""
    after: Annotated[str, Meta(max_length=64)] = ""
    """The last series that is known already, to go on behind it."""


ScheduleRequest: TypeAlias = (
    SessionSchedule | SessionMove | SessionCancel | SessionList | SeriesPlan | SeriesCut | SeriesList
)


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


class SeriesView(Struct, frozen=True, gc=False, tag_field="of", tag="series", omit_defaults=True):
    """A series of sessions."""

    series: SessionId
    """Which one."""
    room: RoomId
    """The room it belongs to."""
    starts: str
    """When the first one starts, on a clock of the zone."""
    zone: str
    """The time zone whose clock it keeps to."""
    rule: str
    """When it recurs."""
    length_ms: Milliseconds
    """How long each session is."""
    modality: Modality
    """How people talk in them."""
    invited: tuple[AccountId, ...] = ()
    """The members who may join; empty for all members of the room."""
    skipped: tuple[str, ...] = ()
    """Those that were left out when it was planned."""
    before: str | None = None
    """There are none from this one on."""
    zones: Zones | None = None
    """The time zones to show the times of its sessions in."""
    warnings: tuple[Overlap, ...] = ()
    """What else the therapist has at the time of its sessions of the near future; told when it is planned."""
    duplicate: bool = False
    """It had been begun before, by an earlier request with the same ``mid``."""


class RoomSeries(Struct, frozen=True, gc=False, tag_field="of", tag="series.list", omit_defaults=True):
    """The series of a room."""

    series: tuple[SeriesView, ...] = ()
    """By id; at most 50 of them."""
    complete: bool = True
    """Whether that is all."""


ScheduleResult: TypeAlias = SessionScheduled | SessionDay | SeriesView | RoomSeries
"""What these requests give, except for a session itself."""

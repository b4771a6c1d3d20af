"""The bodies of scheduling, both ways."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from protocol.fields import Milliseconds, Modality
from signaling.http.schemas import MAX_MEMBERS, Body, Id, OverlapItem, ZonesSpec

LocalTime: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?![\s\S])")
]
"""What a clock on the wall shows, as in `2026-03-29T09:00`."""

ZoneName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
"""A time zone of the IANA database, as in `Europe/Berlin`."""

OccurrenceName: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{8}T[0-9]{4}(?![\s\S])")]
"""A session of a series: the local time that the series has given it, as in `20260329T0900`."""

SeriesId: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_~-][A-Za-z0-9_.~-]{0,47}(?![\s\S])")]
"""Shorter than other ids: those of its sessions are made of it."""

MAX_SKIPPED = 366
"""Sessions of a series that may be left out from the beginning."""


class DayQuery(Body, frozen=True):
    """One day of a time zone, or all days."""

    day: Annotated[str, Meta(max_length=10)] = ""
    """Only sessions that start on this day, as in `2026-03-29`; goes with `zone`."""
    zone: Annotated[str, Meta(max_length=64)] = ""
    """The time zone whose day it is."""


class SeriesSpec(Body, frozen=True):
    """A series of sessions."""

    starts: LocalTime
    """When the first one starts, on a clock of the zone."""
    zone: ZoneName
    """The time zone whose clock the series keeps to."""
    rule: Annotated[str, Meta(min_length=1, max_length=128)]
    """When it recurs (RFC 5545, 3.3.10): `FREQ` of `DAILY`, `WEEKLY`, `MONTHLY`, and `INTERVAL`, `BYDAY`,
    `COUNT`, `UNTIL`."""
    length_seconds: Annotated[int, Meta(ge=1, le=86_400)]
    """How long each session is."""
    modality: Modality
    """How people talk in them."""
    series: SeriesId | None = None
    """Its id; the server chooses one if it is left out."""
    invited: Annotated[tuple[Id, ...], Meta(max_length=MAX_MEMBERS)] = ()
    """The members who may join; all members of the room if it is empty."""
    skipped: Annotated[tuple[OccurrenceName, ...], Meta(max_length=MAX_SKIPPED)] = ()
    """Those that are left out, by their local times."""
    zones: ZonesSpec | None = None
    """The time zones to show the times of its sessions in."""


class MoveSpec(Body, frozen=True):
    """Another time for a session."""

    starts_ms: Milliseconds
    """When it starts."""
    length_seconds: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    """How long it is; as long as before if it is left out."""


class CutSpec(Body, frozen=True):
    """Where a series ends."""

    occurrence: OccurrenceName
    """The first session that is not held any more."""


class SplitSpec(Body, frozen=True):
    """How a series goes on."""

    occurrence: OccurrenceName
    """The first session that is not held as it was planned."""
    then: SeriesSpec
    """The series that is held from there on instead."""


class SeriesItem(Body, frozen=True):
    """A series of sessions."""

    series: str
    """Its id. Its sessions have ids made of it, a dot and their names."""
    room: str
    """The room it belongs to."""
    starts: str
    """When the first one starts, on a clock of the zone."""
    zone: str
    """The time zone whose clock it keeps to."""
    rule: str
    """When it recurs."""
    length_seconds: int
    """How long each session is."""
    modality: Modality
    """How people talk in them."""
    invited: tuple[str, ...] = ()
    """The members who may join; empty for all members of the room."""
    skipped: tuple[str, ...] = ()
    """Those that were left out when it was planned."""
    zones: ZonesSpec | None = None
    """The time zones to show the times of its sessions in."""
    before: str | None = None
    """There are none from this one on."""
    warnings: tuple[OverlapItem, ...] = ()
    """What the therapists have at the same time as its sessions of the near future, when it is planned."""


class CalendarItem(Body, frozen=True):
    """Where an account's calendar feed is. It is shown once, and kept nowhere."""

    path: str
    """Its address below the server's own. Whoever has it can read the feed."""

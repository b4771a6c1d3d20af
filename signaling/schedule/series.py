"""A series: sessions of a room that recur, and what has to be done for them by now. Pure.

A series is a rule and what was taken out of it. Its sessions are made some time ahead, each once: the id of a
session follows from the series and the local time that the rule has given it, which names it for good, also
after it was moved (RFC 5545, 3.8.4.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice, takewhile

import msgspec
from msgspec import Struct

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import Modality
from protocol.sessions import Zones
from relay.scheduling import SeriesRow
from signaling.schedule.overlap import Booking
from signaling.schedule.recurrence import Occurrence, check_first, occurrences, parse
from signaling.schedule.zones import known_zones, wall_time, zone_of
from signaling.sessions.commands import Agreed

_NAME = "%Y%m%dT%H%M"
FOREVER_MS = 1 << 53
MAX_OCCURRENCES = 5000
"""A series ends here at the latest: a daily one after 13 years."""


class Series(Struct, frozen=True):
    """What was agreed on for a series. Spans are in milliseconds."""

    id: str
    room: str
    first: str
    """The local time of the first one, as in ``2026-03-29T09:00``."""
    zone: str
    rule: str
    length_ms: int
    modality: Modality
    invited: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """The names of the occurrences that are left out."""
    zones: Zones | None = None
    """The time zones to show the times of its sessions in."""
    before: str | None = None
    """There are none from this name on."""

    def holds(self, name: str) -> bool:
        """Whether an occurrence of this name has not been taken out."""
        return name not in self.skipped and (self.before is None or name < self.before)


def new_series(series: Series) -> Series:
    """The series, if it is a possible one. ``invalid_field``, ``no_such_zone``, ``recurrence_invalid``."""
    first = wall_time(series.first)
    check_first(parse(series.rule), first, zone_of(series.zone))
    known_zones(series.zones)
    skipped = tuple(sorted(set(series.skipped)))
    if name_of(first) in skipped:
        raise ProtocolError(errors.RECURRENCE_INVALID, "the first time cannot be left out: begin later")
    last = max(skipped, default="")
    known = takewhile(lambda name: name <= last, map(name_of, (one.local for one in _all(series))))
    if not set(skipped) <= set(known):
        raise ProtocolError(errors.NO_SUCH_OCCURRENCE, "what is left out is not one of the series")
    return msgspec.structs.replace(series, skipped=skipped)


def name_of(local: datetime) -> str:
    """The name of an occurrence, as in ``20260329T0900``: names sort as times do."""
    return local.strftime(_NAME)


def session_id(series: Series, occurrence: Occurrence) -> str:
    """The id of the session that an occurrence becomes."""
    return f"{series.id}.{name_of(occurrence.local)}"


def agreed(series: Series, occurrence: Occurrence) -> Agreed:
    """The session that an occurrence becomes."""
    return Agreed(
        session_id(series, occurrence),
        series.room,
        occurrence.starts_ms,
        series.length_ms,
        series.modality,
        series.invited,
        zones=series.zones,
    )


def booking(series: Series, occurrence: Occurrence) -> Booking:
    """When the session of an occurrence is."""
    starts_ms = occurrence.starts_ms
    return Booking(starts_ms, starts_ms + series.length_ms, session_id(series, occurrence))


def first_of(series: Series) -> Occurrence:
    """The first occurrence of the rule."""
    return next(_all(series))


def find(series: Series, name: str) -> Occurrence:
    """What the rule names at this time, taken out or not. ``no_such_occurrence``."""
    for occurrence in takewhile(lambda one: name_of(one.local) <= name, _all(series)):
        if name_of(occurrence.local) == name:
            return occurrence
    raise ProtocolError(errors.NO_SUCH_OCCURRENCE)


def held(series: Series, from_ms: int, before_ms: int) -> Iterator[Occurrence]:
    """What the series has between two instants, the second excluded."""
    uncut = takewhile(
        lambda one: series.before is None or name_of(one.local) < series.before,
        _within(series, from_ms, before_ms),
    )
    return (one for one in uncut if series.holds(name_of(one.local)))


def taken_out(series: Series, from_ms: int, before_ms: int) -> Iterator[Occurrence]:
    """What the rule names between two instants and the series does not have."""
    return (one for one in _within(series, from_ms, before_ms) if not series.holds(name_of(one.local)))


def cut(series: Series, name: str) -> Series:
    """The series without an occurrence and all that follow it. ``no_such_occurrence``."""
    find(series, name)
    return msgspec.structs.replace(series, before=min(name, series.before or name))


def continued(series: Series, name: str, others: Series) -> Series:
    """``others``, which goes on instead of ``series`` from there on, without the days left out so far."""
    days = {one[:8] for one in series.skipped if one >= name}
    first = name_of(wall_time(others.first))
    found = takewhile(lambda one: name_of(one.local)[:8] <= max(days, default=""), _all(others))
    names = [one for one in (name_of(occurrence.local) for occurrence in found) if one[:8] in days]
    return msgspec.structs.replace(others, skipped=tuple(one for one in names if one != first))


def due_ms(series: Series, made_before_ms: int, ahead_ms: int) -> int | None:
    """When the next session has to be made, once all before ``made_before_ms`` have been; None: never."""
    following = next(held(series, made_before_ms, FOREVER_MS), None)
    return None if following is None else following.starts_ms - ahead_ms


def to_row(series: Series, due_ms: int | None, version: int) -> SeriesRow:
    """The series as the store keeps it."""
    return SeriesRow(series.id, series.room, due_ms, version, msgspec.msgpack.encode(series))


def from_row(row: SeriesRow) -> Series:
    """The inverse of :func:`to_row`; :exc:`msgspec.MsgspecError` if the row was not written by it."""
    return msgspec.msgpack.decode(row.body, type=Series)


def _within(series: Series, from_ms: int, before_ms: int) -> Iterator[Occurrence]:
    known = takewhile(lambda one: one.starts_ms < before_ms, _all(series))
    return (one for one in known if one.starts_ms >= from_ms)


def _all(series: Series) -> Iterator[Occurrence]:
    known = occurrences(parse(series.rule), wall_time(series.first), zone_of(series.zone))
    return islice(known, MAX_OCCURRENCES)

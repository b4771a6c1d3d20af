"""Wall clocks and instants: the only place where one becomes the other.

A wall-clock time is a ``datetime`` without a zone; an instant is in integer milliseconds since 1970 (UTC).
Zones are those of the IANA database: of the system, or else of the package ``tzdata``.

Around a change to or from daylight-saving time RFC 5545, 3.3.5 holds: a time that happens twice is the first
of the two, and a time that does not happen is read with the offset from before the gap. PEP 495 says the same
with ``fold=0``.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from protocol import errors
from protocol.errors import ProtocolError
from protocol.sessions import Zones

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_YEARS = range(1971, 2200)
_NAMES = available_timezones()


def zone_of(name: str) -> ZoneInfo:
    """The zone of this name. ``no_such_zone``."""
    # Only a name of the list may reach the file system.
    if name not in _NAMES:
        raise ProtocolError(errors.NO_SUCH_ZONE)
    return ZoneInfo(name)


def known_zones(zones: Zones | None) -> Zones | None:
    """These, if they exist. ``no_such_zone``."""
    for name in (zones.therapist, zones.client) if zones else ():
        if name:
            zone_of(name)
    return zones


def wall_time(text: str) -> datetime:
    """A wall-clock time written as ``2026-03-29T09:00``. ``invalid_field``."""
    try:
        local = datetime.strptime(text, "%Y-%m-%dT%H:%M")  # noqa: DTZ007 - the zone comes with it separately
    except ValueError:
        raise ProtocolError(errors.INVALID_FIELD, "a local time is written as 2026-03-29T09:00") from None
    return datetime.combine(_in_range(local.date()), local.time())


def calendar_day(text: str) -> date:
    """A day written as ``2026-03-29``. ``invalid_field``."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise ProtocolError(errors.INVALID_FIELD, "a day is written as 2026-03-29") from None
    return _in_range(day)


def instant_ms(local: datetime, zone: ZoneInfo) -> int:
    """The instant at which a clock in the zone shows this time; see above for the two special cases."""
    return (local.replace(tzinfo=zone, fold=0) - _EPOCH) // _MILLISECOND


def wall_clock(at_ms: int, zone: ZoneInfo) -> datetime:
    """What a clock in the zone shows at an instant."""
    return (_EPOCH + at_ms * _MILLISECOND).astimezone(zone).replace(tzinfo=None, fold=0)


def day_bounds_ms(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """When a day begins in the zone, and when the next one does: mostly, but not always, 24 hours later."""
    following = day + timedelta(days=1)
    return instant_ms(datetime.combine(day, time()), zone), instant_ms(
        datetime.combine(following, time()), zone
    )


def _in_range(day: date) -> date:
    if day.year not in _YEARS:
        raise ProtocolError(errors.INVALID_FIELD, f"years are {_YEARS[0]} to {_YEARS[-1]}")
    return day

"""A feed of sessions for calendar programs: iCalendar (RFC 5545), built with the ``icalendar`` library. Pure.

Whoever has the address of a feed can read it, and calendars are shared and printed: it says when somebody is
busy, and neither with whom, nor about what, nor how to get into a session.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from icalendar import Calendar, Event

from signaling.schedule.zones import wall_clock, zone_of

_PRODUCT = "-//Rapport//Sessions//EN"
_REFRESH = timedelta(minutes=30)
_NAMESPACE = uuid.UUID("5d0b2c4e-8f3b-5c51-9a0e-6f4f5d2f7c11")


class Entry(NamedTuple):
    """A session as a calendar shows it; times are milliseconds since 1970."""

    session: str
    starts_ms: int
    ends_ms: int
    revision: int
    """How often it was moved, extended or cancelled (``SEQUENCE``)."""
    revised_ms: int
    """When that was the last time (``LAST-MODIFIED``)."""
    cancelled: bool
    zone: str = ""
    """The time zone in which its reader thinks of it; empty if that is not known."""


def feed(entries: Iterable[Entry], summary: str) -> bytes:
    """The text of a feed; the same for the same entries. ``summary`` is what each of them is called."""
    calendar = Calendar()
    calendar.add("PRODID", _PRODUCT)
    calendar.add("VERSION", "2.0")
    # RFC 7986, 5.7, and the older name that many programs look for instead.
    calendar.add("REFRESH-INTERVAL", _REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("X-PUBLISHED-TTL", _REFRESH)
    for entry in entries:
        calendar.add_component(_event(entry, summary))
    text: bytes = calendar.to_ical()
    return text


def _event(entry: Entry, summary: str) -> Event:
    event = Event()
    # Stable, and not the id by which the session is joined.
    event.add("UID", str(uuid.uuid5(_NAMESPACE, entry.session)))
    event.add("SEQUENCE", entry.revision)
    # Without a METHOD both are the time of the last revision (RFC 5545, 3.8.7.2).
    event.add("DTSTAMP", _instant(entry.revised_ms))
    event.add("LAST-MODIFIED", _instant(entry.revised_ms))
    event.add("DTSTART", _instant(entry.starts_ms))
    event.add("DTEND", _instant(entry.ends_ms))
    event.add("SUMMARY", summary)
    if entry.zone:
        # In words: times with a TZID could not tell the second of two equal ones when clocks go back.
        starts = wall_clock(entry.starts_ms, zone_of(entry.zone))
        event.add("DESCRIPTION", f"{starts:%Y-%m-%d %H:%M} {entry.zone}")
    event.add("STATUS", "CANCELLED" if entry.cancelled else "CONFIRMED")
    event.add("CLASS", "PRIVATE")
    return event


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)

"""When a room is closed, from the office hours of its therapists. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.around import Hours
from signaling.hours import calendar


@dataclass(frozen=True, slots=True)
class Office:
    """Whether a room is closed, since when, and until when that is sure; None: always, or not known."""

    closed: bool
    since_ms: int | None
    until_ms: int | None

    @property
    def window(self) -> int:
        """What tells this closed time from every other one of the room; later ones have higher numbers."""
        return self.since_ms or 0


def office_of(hours: Iterable[Hours], at_ms: int) -> Office:
    """A room whose therapists keep ``hours``: it is closed when all of those who keep office hours are away.

    A room in which nobody keeps office hours is never closed.
    """
    standings = [calendar.office(one, at_ms) for one in hours if one.office is not None]
    changes = [one.until_ms for one in standings if one.until_ms is not None]
    until_ms = min(changes, default=None)
    if not standings or any(one.within for one in standings):
        return Office(False, None, until_ms)
    return Office(True, max((one.since_ms or 0 for one in standings), default=None), until_ms)

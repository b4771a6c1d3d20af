"""When something recurs: the part of RFC 5545's recurrence rules (3.3.10) that appointments need.

    FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;COUNT=20
    FREQ=DAILY;UNTIL=20261231T235959Z
    FREQ=MONTHLY;BYDAY=-1FR

Times are those of a wall clock, so that nine o'clock stays nine o'clock when daylight-saving time begins or
ends. Everything else that a rule may contain is refused, and so is a first time that the rule itself does not
name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from dateutil import rrule

from protocol import errors
from protocol.errors import ProtocolError
from signaling.schedule.zones import instant_ms

MAX_RULE_CHARACTERS = 128
MAX_INTERVAL = 52
MAX_COUNT = 1000
LAST = datetime(2199, 12, 31)  # noqa: DTZ001 - a wall clock's

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY"]
_FREQUENCIES: Mapping[Frequency, Literal[1, 2, 3]] = {
    "DAILY": rrule.DAILY,
    "WEEKLY": rrule.WEEKLY,
    "MONTHLY": rrule.MONTHLY,
}
_DAYS = {
    "MO": rrule.MO,
    "TU": rrule.TU,
    "WE": rrule.WE,
    "TH": rrule.TH,
    "FR": rrule.FR,
    "SA": rrule.SA,
    "SU": rrule.SU,
}
_PARTS = frozenset({"FREQ", "INTERVAL", "BYDAY", "COUNT", "UNTIL"})
_NUMBER = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
_DAY = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNTIL = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)


class Day(NamedTuple):
    """A day of the week, or of those of a month the ``nth`` (from its end if negative)."""

    name: str
    nth: int | None = None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule, taken apart."""

    frequency: Frequency
    interval: int = 1
    days: tuple[Day, ...] = ()
    """Empty: on the day of the first time."""
    count: int | None = None
    until_ms: int | None = None
    """The last instant at which something may begin."""


class Occurrence(NamedTuple):
    """One of the times at which something recurs."""

    local: datetime
    """What the wall clock shows."""
    starts_ms: int


def parse(rule: str) -> Recurrence:
    """A rule from its text, without the leading ``RRULE:``. ``recurrence_invalid``."""
    if len(rule) > MAX_RULE_CHARACTERS:
        raise _refused(f"a rule has at most {MAX_RULE_CHARACTERS} characters")
    parts = _parts(rule)
    frequency = _frequency(parts.get("FREQ", ""))
    if "COUNT" in parts and "UNTIL" in parts:
        raise _refused("COUNT and UNTIL exclude each other")
    return Recurrence(
        frequency,
        _number(parts.get("INTERVAL", "1"), "INTERVAL", MAX_INTERVAL),
        _days(parts["BYDAY"], frequency) if "BYDAY" in parts else (),
        _number(parts["COUNT"], "COUNT", MAX_COUNT) if "COUNT" in parts else None,
        _until_ms(parts["UNTIL"]) if "UNTIL" in parts else None,
    )


def occurrences(recurrence: Recurrence, first: datetime, zone: ZoneInfo) -> Iterator[Occurrence]:
    """All the times from ``first`` on, in order; they may go on to the end of the 22nd century."""
    rule = rrule.rrule(
        _FREQUENCIES[recurrence.frequency],
        dtstart=first,
        interval=recurrence.interval,
        wkst=rrule.MO,
        count=recurrence.count,
        until=None if recurrence.count else LAST,
        byweekday=[_DAYS[name](nth) if nth else _DAYS[name] for name, nth in recurrence.days] or None,
    )
    for local in rule:
        starts_ms = instant_ms(local, zone)
        if local > LAST or (recurrence.until_ms is not None and starts_ms > recurrence.until_ms):
            return
        yield Occurrence(local, starts_ms)


def check_first(recurrence: Recurrence, first: datetime, zone: ZoneInfo) -> None:
    """``recurrence_invalid`` if the rule does not name the first time itself (RFC 5545, 3.8.5.3)."""
    if next(occurrences(recurrence, first, zone), (None, 0))[0] != first:
        raise _refused("the first time is not one of those that the rule names")


def _parts(rule: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in rule.upper().split(";")]
    names = [name for name, _, _ in pairs]
    if not _PARTS.issuperset(names):
        raise _refused(f"a rule is made of {', '.join(sorted(_PARTS))} only")
    if len(set(names)) < len(names):
        raise _refused("a part of the rule stands twice")
    return {name: value for name, _, value in pairs}


def _frequency(text: str) -> Frequency:
    for frequency in get_args(Frequency):
        if text == frequency:
            return text  # type: ignore[return-value]  # it is one of them
    raise _refused("FREQ is DAILY, WEEKLY or MONTHLY")


def _number(text: str, name: str, most: int) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise _refused(f"{name} is 1 to {most}")
    return int(text)


def _days(text: str, frequency: Frequency) -> tuple[Day, ...]:
    found = [_DAY.fullmatch(one) for one in text.split(",")]
    days = [Day(one[2], int(one[1]) if one[1] else None) for one in found if one]
    if len(days) < len(found) or len(set(days)) < len(days):
        raise _refused("BYDAY names days as MO,TU,..., each once")
    # An interval and a weekday that never meet would be searched for until the end of time.
    if frequency == "DAILY":
        raise _refused("BYDAY goes with WEEKLY and MONTHLY")
    if frequency == "WEEKLY" and any(day.nth for day in days):
        raise _refused("days are numbered with MONTHLY only")
    return tuple(days)


def _until_ms(text: str) -> int:
    if _UNTIL.fullmatch(text):
        try:
            until = datetime.strptime(text, "%Y%m%dT%H%M%S%z")
        except ValueError:
            pass  # no such day or hour: refused below like any other text
        else:
            return int(until.timestamp()) * 1000
    raise _refused("UNTIL is an instant in UTC, as in 20261231T225959Z")


def _refused(problem: str) -> ProtocolError:
    return ProtocolError(errors.RECURRENCE_INVALID, problem)

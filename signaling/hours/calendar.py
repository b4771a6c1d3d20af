"""Weekly times in a zone as spans of instants. Pure: the instant is an argument.

A time that the clocks leave out when they are put forward is taken as if they had not been; of one that comes
twice when they are put back the first is meant (RFC 5545, 3.3.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from protocol import errors
from protocol.around import MINUTES_OF_DAY, DayException, Hours, Span, WeeklySpan
from protocol.errors import ProtocolError

_REACH = 9
"""Days on either side that hold the next weekly time: a week, and what reaches into the next days."""

_FIRST, _LAST = date(2000, 1, 1), date(2199, 12, 31)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an instant is within some weekly times; ``since_ms`` and ``until_ms`` bound that state.

    Either is None when there is nothing on that side.
    """

    within: bool
    since_ms: int | None
    until_ms: int | None


def check(hours: Hours) -> None:
    """:exc:`ProtocolError` ``hours_invalid`` unless the hours can be kept."""
    _zone(hours.zone)
    spans: list[Span | WeeklySpan] = [*(hours.office or ()), *hours.quiet]
    spans += [span for one in hours.exceptions for span in one.office]
    if any(not 0 < span.ends - span.starts <= MINUTES_OF_DAY for span in spans):
        raise ProtocolError(errors.HOURS_INVALID, "a time ends after its begin, and within a day of it")
    days = [_date(one.date) for one in hours.exceptions]
    if len(set(days)) < len(days):
        raise ProtocolError(errors.HOURS_INVALID, "a date stands twice among the exceptions")


def office(hours: Hours, at_ms: int) -> Standing:
    """How an instant stands to the office hours, exceptions included. The hours have passed :func:`check`."""
    return _standing(hours, hours.office or (), hours.exceptions, at_ms)


def quiet(hours: Hours, at_ms: int) -> Standing:
    """How an instant stands to the quiet hours."""
    return _standing(hours, hours.quiet, (), at_ms)


def _standing(
    hours: Hours, weekly: tuple[WeeklySpan, ...], exceptions: tuple[DayException, ...], at_ms: int
) -> Standing:
    zone = ZoneInfo(hours.zone)
    today = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).date()
    special = {_date(one.date): one.office for one in exceptions}
    days = _around(today, _REACH)
    standing = _among(_merged(_instants(days, weekly, special, zone)), at_ms)
    if special and (standing.since_ms is None or standing.until_ms is None):
        # Exceptions lie between, each of which may take the only day of a week; or nothing is weekly.
        days = _around(today, _REACH + 7 * len(special)) | special.keys()
        standing = _among(_merged(_instants(days, weekly, special, zone)), at_ms)
    return standing


def _around(today: date, reach: int) -> set[date]:
    return {today + timedelta(days=day) for day in range(-reach, reach + 1)}


def _instants(
    days: Iterable[date],
    weekly: tuple[WeeklySpan, ...],
    special: dict[date, tuple[Span, ...]],
    zone: ZoneInfo,
) -> Iterator[tuple[int, int]]:
    for day in days:
        spans = special.get(day)
        for span in [one for one in weekly if one.day == day.weekday()] if spans is None else spans:
            yield _instant(day, span.starts, zone), _instant(day, span.ends, zone)


def _instant(day: date, minute: int, zone: ZoneInfo) -> int:
    on_the_wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    return round(on_the_wall.replace(tzinfo=zone).timestamp()) * 1000


def _merged(spans: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same in order, those that touch as one; what a change of clocks leaves empty is gone."""
    merged: list[tuple[int, int]] = []
    for starts, ends in sorted(span for span in spans if span[0] < span[1]):
        if merged and starts <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(ends, merged[-1][1])
        else:
            merged.append((starts, ends))
    return merged


def _among(spans: list[tuple[int, int]], at_ms: int) -> Standing:
    for starts, ends in spans:
        if starts <= at_ms < ends:
            return Standing(True, starts, ends)
    return Standing(
        False,
        max((ends for _, ends in spans if ends <= at_ms), default=None),
        min((starts for starts, _ in spans if starts > at_ms), default=None),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a name may also lead to a folder, or out of them
        raise ProtocolError(errors.HOURS_INVALID, "there is no such time zone") from None


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ProtocolError(errors.HOURS_INVALID, "a date is written `YYYY-MM-DD`") from None
    if not _FIRST <= day <= _LAST or day.isoformat() != text:
        raise ProtocolError(errors.HOURS_INVALID, "a date is written `YYYY-MM-DD`, from 2000 to 2199")
    return day

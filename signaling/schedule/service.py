"""Scheduling as the rest of the server asks for it: lists by day, series and their sessions, what overlaps.

A series is the truth, its sessions follow from it: :meth:`Schedule.roll` makes those that have come near and
cancels those that were taken out. It can be repeated at any time and by any node, because the id of a session
follows from its series: each is made once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import structlog

from config.settings import ScheduleSettings
from protocol import errors
from protocol.errors import ProtocolError
from relay.errors import Conflict
from relay.rows import SessionCursor
from relay.scheduling import PutSeries, SeriesRow
from relay.store import Store
from relay.writes import Write
from signaling.schedule import series as core
from signaling.schedule.overlap import Booking, overlapping
from signaling.schedule.recurrence import Occurrence
from signaling.schedule.series import Series
from signaling.schedule.zones import calendar_day, day_bounds_ms, zone_of
from signaling.sessions.ports import Ledger
from signaling.sessions.service import Sessions
from signaling.sessions.session import Session, from_row
from signaling.timebase import Timebase

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
PAGE = 256
LEFT_ALONE = frozenset({errors.NO_SUCH_SESSION, errors.SESSION_BEGUN, errors.SESSION_OVER})
"""Why a session that was taken out of a series is not cancelled: it was not made, or has begun."""

_log = structlog.get_logger("rapport.schedule")


@dataclass(frozen=True, slots=True)
class Span:
    """From an instant on and before another, in milliseconds since 1970."""

    from_ms: int
    before_ms: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A series as it is planned now."""

    series: Series
    overlaps: tuple[Booking, ...] = ()
    """What the therapists have at the same time as its sessions of the near future."""


Also = Callable[[Planned], Sequence[Write]]
"""What to write in the commit that makes it so."""

ALWAYS = Span(0, core.FOREVER_MS)


def day_span(day: str, zone: str) -> Span:
    """A calendar day of a time zone. ``invalid_field``, ``no_such_zone``."""
    known = zone_of(zone)
    return Span(*day_bounds_ms(calendar_day(day), known))


class Schedule:
    """When the sessions of this deployment are held.

    Every method raises :exc:`ProtocolError` for what is refused and :exc:`relay.errors.StoreError` when the
    store fails.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        sessions: Sessions,
        timebase: Timebase,
        settings: ScheduleSettings,
        max_ahead_days: int,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._sessions = sessions
        self._timebase = timebase
        self._ahead_ms = settings.series_ahead_days * DAY_MS
        self._max_ahead_ms = max_ahead_days * DAY_MS
        self._max_series = settings.max_series_per_room

    # --- Lists ---

    async def of_account(
        self, account: str, span: Span, after: SessionCursor | None, limit: int
    ) -> tuple[Session, ...]:
        """The sessions that an account may join and that start within the span, by start, then id."""
        found: list[Session] = []
        async for session in self._of_account(account, span, after):
            found.append(session)
            if len(found) == limit:
                break
        return tuple(found)

    async def of_room(
        self, room: str, span: Span, after: SessionCursor | None, limit: int
    ) -> tuple[Session, ...]:
        """The sessions of a room that start within the span, by start, then id."""
        place = after or SessionCursor(span.from_ms, "")
        found = await self._sessions.of_room(room, place, limit)
        return tuple(session for session in found if session.starts_ms < span.before_ms)

    async def overlaps(
        self, room: str, invited: Sequence[str], booked: Sequence[Booking], *, therapist: str | None = None
    ) -> tuple[Booking, ...]:
        """Other sessions that the therapists of a room have at the same time; a warning that forbids nothing.

        ``invited`` are those who may join what is booked, nobody for all members; only the sessions of one
        therapist are looked at if ``therapist`` is given.
        """
        if not booked:
            return ()
        # No session is longer than a day.
        span = Span(min(one.starts_ms for one in booked) - DAY_MS, max(one.ends_ms for one in booked))
        therapists = [
            member.account
            for member in await self._store.members(room)
            if member.role == "therapist"
            and therapist in {None, member.account}
            and (not invited or member.account in invited)
        ]
        others = [
            booking(session)
            for account in therapists
            for session in [one async for one in self._of_account(account, span, None)]
            if not session.over
        ]
        return overlapping(booked, others)

    # --- Series ---

    async def find(self, series_id: str) -> Series:
        """A series. ``no_such_series``."""
        return core.from_row(await self._row(series_id))

    async def series_of(self, room: str, after: str, limit: int) -> tuple[Series, ...]:
        """The series of a room by id, beginning behind ``after``."""
        return tuple(map(core.from_row, await self._store.series_of(room, after=after, limit=limit)))

    async def create(self, series: Series, also: Also, *, therapist: str | None = None) -> Planned:
        """Begin a series, with its first session.

        What overlaps is looked for among the sessions of one therapist if ``therapist`` is given.

        What :func:`~signaling.schedule.series.new_series` and the creation of a session are refused with,
        ``too_many_series``.
        """
        new = core.new_series(series)
        await self._check_room_for_one_more(new.room)
        return await self._begin(new, also, therapist)

    async def cut(self, series_id: str, name: str, also: Also, *, by: str | None = None) -> Planned:
        """Cancel an occurrence and all that follow it. ``no_such_occurrence``, ``series_changed``.

        Sessions that have begun are left alone. ``by`` is the therapist who asks; None for a back end.
        """
        row = await self._row(series_id)
        planned = Planned(core.cut(core.from_row(row), name))
        await self._commit(self._put(planned.series, row, self._timebase.now_ms()), *also(planned))
        await self._reconcile(await self._row(series_id), by)
        return planned

    async def split(self, series_id: str, name: str, others: Series, also: Also) -> Planned:
        """Go on from an occurrence with another series, which keeps the days that were left out so far."""
        row = await self._row(series_id)
        before = core.from_row(row)
        put = self._put(core.cut(before, name), row, self._timebase.now_ms())
        new = core.new_series(core.continued(before, name, others))
        try:
            planned = await self._begin(new, lambda planned: (put, *also(planned)))
        except ProtocolError:
            if (await self._row(series_id)).version != row.version:
                raise ProtocolError(errors.SERIES_CHANGED) from None
            raise
        await self._reconcile(await self._row(series_id))
        return planned

    async def occurrence(self, series_id: str, name: str) -> Session:
        """The session of an occurrence, made now if it is not near yet. ``no_such_occurrence``."""
        series = await self.find(series_id)
        occurrence = core.find(series, name)
        if not series.holds(name):
            raise ProtocolError(errors.NO_SUCH_OCCURRENCE)
        await self._make(series, occurrence)
        return await self._sessions.find(core.session_id(series, occurrence))

    async def roll(self) -> None:
        """Make the sessions that have come near; to be called when the node starts, and every hour or so."""
        while due := await self._store.series_due(until_ms=self._timebase.now_ms(), limit=PAGE):
            for row in due:
                try:
                    await self._reconcile(row)
                except ProtocolError as error:
                    _log.warning("series_not_continued", series=row.id, error=error.kind.name)
                    later_ms = self._timebase.now_ms() + HOUR_MS
                    await self._note(core.from_row(row), row, later_ms)

    # --- Inside ---

    async def _of_account(
        self, account: str, span: Span, after: SessionCursor | None
    ) -> AsyncIterator[Session]:
        place = after or SessionCursor(span.from_ms, "")
        while page := await self._store.sessions_of_account(
            account, after=place, before_ms=span.before_ms, limit=PAGE
        ):
            for session in map(from_row, page):
                if session.expects(account):
                    yield session
            place = SessionCursor(page[-1].starts_ms, page[-1].id)

    async def _check_room_for_one_more(self, room: str) -> None:
        going_on, after = 0, ""
        while page := await self._store.series_of(room, after=after, limit=PAGE):
            going_on += sum(row.due_ms is not None for row in page)
            if going_on >= self._max_series:
                raise ProtocolError(errors.TOO_MANY_SERIES)
            after = page[-1].id

    async def _begin(self, series: Series, also: Also, therapist: str | None = None) -> Planned:
        """Write a new series and its first session in one commit, then make those that are near."""
        now_ms = self._timebase.now_ms()
        near = core.held(series, now_ms, now_ms + self._ahead_ms)
        booked = [core.booking(series, occurrence) for occurrence in near]
        overlaps = await self.overlaps(series.room, series.invited, booked, therapist=therapist)
        planned = Planned(series, overlaps)
        begun = PutSeries(core.to_row(series, now_ms, 1), None)
        first = core.agreed(series, core.first_of(series))
        await self._sessions.create(first, lambda _: (begun, *also(planned)))
        await self._reconcile(await self._row(series.id))
        return planned

    async def _reconcile(self, row: SeriesRow, by: str | None = None) -> None:
        """Have the sessions be as the series says, as far as they are near."""
        series, now_ms = core.from_row(row), self._timebase.now_ms()
        for occurrence in core.held(series, now_ms, now_ms + self._ahead_ms):
            await self._make(series, occurrence)
        for occurrence in core.taken_out(series, now_ms, now_ms + self._max_ahead_ms):
            await self._cancel(core.session_id(series, occurrence), by)
        due_ms = core.due_ms(series, now_ms + self._ahead_ms, self._ahead_ms)
        await self._note(series, row, due_ms)

    async def _note(self, series: Series, row: SeriesRow, due_ms: int | None) -> None:
        """Note when to look at a series again: nothing that anybody has done, so only the store is told."""
        try:
            await self._store.commit(self._put(series, row, due_ms))
        except Conflict:
            return  # whoever has changed it meanwhile has looked at it, too

    async def _make(self, series: Series, occurrence: Occurrence) -> None:
        if await self._store.session(core.session_id(series, occurrence)) is not None:
            return
        try:
            await self._sessions.create(core.agreed(series, occurrence), lambda _: ())
        except ProtocolError as error:
            if error.kind is not errors.ALREADY_EXISTS:  # another node was faster
                raise

    async def _cancel(self, session_id: str, by: str | None) -> None:
        try:
            await self._sessions.cancel(session_id, by=by)
        except ProtocolError as error:
            if error.kind not in LEFT_ALONE:
                raise

    async def _row(self, series_id: str) -> SeriesRow:
        row = await self._store.series(series_id)
        if row is None:
            raise ProtocolError(errors.NO_SUCH_SERIES)
        return row

    def _put(self, series: Series, row: SeriesRow, due_ms: int | None) -> PutSeries:
        return PutSeries(core.to_row(series, due_ms, row.version + 1), row.version)

    async def _commit(self, *writes: Write) -> None:
        try:
            await self._ledger.commit(*writes)
        except Conflict:
            raise ProtocolError(errors.SERIES_CHANGED) from None


def booking(session: Session) -> Booking:
    """When a session is."""
    return Booking(session.starts_ms, session.agreed_end_ms, session.id)

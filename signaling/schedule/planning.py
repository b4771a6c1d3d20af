"""What therapists ask about series over the WebSocket.

What a series is stands in :mod:`signaling.schedule.series`.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from protocol import errors
from protocol.errors import ProtocolError
from protocol.schedule import Overlap, RoomSeries, SeriesCut, SeriesList, SeriesPlan, SeriesView
from relay.store import Store
from signaling.caller import Caller
from signaling.schedule.overlap import Booking
from signaling.schedule.rights import check_not_for_one_session, check_therapist
from signaling.schedule.series import Series, new_series
from signaling.schedule.service import Planned, Schedule

MAX_LISTED = 50


class Planning:
    """The series of a caller's rooms. Refusals are :exc:`ProtocolError`."""

    def __init__(self, store: Store, schedule: Schedule) -> None:
        self._store = store
        self._schedule = schedule

    async def perform(
        self, caller: Caller, request: SeriesPlan | SeriesCut | SeriesList
    ) -> SeriesView | RoomSeries:
        """Carry out a request about series."""
        check_not_for_one_session(caller)
        match request:
            case SeriesPlan():
                await check_therapist(self._store, caller, request.room)
                return await self._plan(caller, _series(caller, request))
            case SeriesCut(series=series, occurrence=occurrence):
                await self.check_series(caller, series)
                return _view(await self._schedule.cut(series, occurrence, lambda _: (), by=caller.account))
            case SeriesList(room=room, after=after):
                await check_therapist(self._store, caller, room)
                found = await self._schedule.series_of(room, after, MAX_LISTED + 1)
                shown = tuple(_view(Planned(one)) for one in found[:MAX_LISTED])
                return RoomSeries(shown, len(found) <= MAX_LISTED)
            case _:
                assert_never(request)

    async def check_series(self, caller: Caller, series_id: str) -> None:
        """``no_such_series`` for who is not a member of its room, and what they are refused with who are."""
        series = await self._schedule.find(series_id)
        try:
            await check_therapist(self._store, caller, series.room)
        except ProtocolError as error:
            hidden = error.kind is errors.NO_SUCH_ROOM
            raise ProtocolError(errors.NO_SUCH_SERIES) if hidden else error from None

    async def _plan(self, caller: Caller, series: Series) -> SeriesView:
        if await self._store.series(series.id) is None:
            try:
                return _view(await self._schedule.create(series, lambda _: (), therapist=caller.account))
            except ProtocolError as error:
                if error.kind is not errors.ALREADY_EXISTS:  # by the same request, on another connection
                    raise
        return await self._repeated(new_series(series))

    async def _repeated(self, series: Series) -> SeriesView:
        """The same request once more: its series may have been cut meanwhile, and stays as it is."""
        known = await self._schedule.find(series.id)
        if msgspec.structs.replace(known, before=None) != series:
            raise ProtocolError(errors.MID_DIFFERS)
        return _view(Planned(known), duplicate=True)


def _series(caller: Caller, request: SeriesPlan) -> Series:
    invited = tuple(dict.fromkeys((caller.account, *request.invited))) if request.invited else ()
    return Series(
        id=request.mid.hex,
        room=request.room,
        first=request.starts,
        zone=request.zone,
        rule=request.rule,
        length_ms=request.length_ms,
        modality=request.modality,
        invited=invited,
        skipped=request.skipped,
        zones=request.zones,
    )


def _view(planned: Planned, *, duplicate: bool = False) -> SeriesView:
    series = planned.series
    return SeriesView(
        series=series.id,
        room=series.room,
        starts=series.first,
        zone=series.zone,
        rule=series.rule,
        length_ms=series.length_ms,
        modality=series.modality,
        invited=series.invited,
        skipped=series.skipped,
        before=series.before,
        zones=series.zones,
        warnings=tuple(map(overlap, planned.overlaps)),
        duplicate=duplicate,
    )


def overlap(other: Booking) -> Overlap:
    """What is at the same time, as therapists are told of it."""
    return Overlap(other.session, other.starts_ms, other.ends_ms)

"""The endpoints of scheduling; part of the table in :mod:`signaling.http.api`."""

from __future__ import annotations

from protocol import errors
from signaling.http import schedule, sessions
from signaling.http.endpoint import AnyEndpoint, Endpoint
from signaling.http.schedule_schemas import CalendarItem, CutSpec, DayQuery, SeriesItem, SeriesSpec, SplitSpec
from signaling.http.schemas import Page, SessionItem

_PLAN = (
    errors.NO_SUCH_ROOM,
    errors.NO_SUCH_MEMBER,
    errors.NO_SUCH_ZONE,
    errors.NO_SUCH_OCCURRENCE,
    errors.RECURRENCE_INVALID,
    errors.SESSION_TIMES,
    errors.ALREADY_EXISTS,
)
_CHANGE = (errors.NO_SUCH_SERIES, errors.SERIES_CHANGED, errors.SESSION_CHANGED)
_ONE = (errors.NO_SUCH_SERIES, errors.NO_SUCH_OCCURRENCE, errors.NO_SUCH_MEMBER, errors.SESSION_TIMES)

SCHEDULE: tuple[AnyEndpoint, ...] = (
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/sessions",
        name="listAccountSessions",
        summary="List the sessions that an account may join, in all its rooms, by start.",
        scope="sessions",
        handle=sessions.list_account_sessions,
        status=200,
        result=Page[SessionItem],
        query=DayQuery,
        paged=True,
        errors=(errors.NO_SUCH_ZONE,),
    ),
    Endpoint(
        method="POST",
        path="/v1/rooms/{room}/series",
        name="createSeries",
        summary="Begin a series of sessions in a room.",
        scope="sessions",
        handle=schedule.create_series,
        body=SeriesSpec,
        status=201,
        result=SeriesItem,
        errors=(*_PLAN, errors.TOO_MANY_SERIES),
    ),
    Endpoint(
        method="GET",
        path="/v1/rooms/{room}/series",
        name="listSeries",
        summary="List the series of a room, by id.",
        scope="sessions",
        handle=schedule.list_series,
        status=200,
        result=Page[SeriesItem],
        paged=True,
        errors=(errors.NO_SUCH_ROOM,),
    ),
    Endpoint(
        method="GET",
        path="/v1/series/{series}",
        name="getSeries",
        summary="Show a series.",
        scope="sessions",
        handle=schedule.get_series,
        status=200,
        result=SeriesItem,
        errors=(errors.NO_SUCH_SERIES,),
    ),
    Endpoint(
        method="POST",
        path="/v1/series/{series}/cut",
        name="cutSeries",
        summary="Cancel a session of a series and all that follow it.",
        scope="sessions",
        handle=schedule.cut_series,
        body=CutSpec,
        status=200,
        result=SeriesItem,
        errors=(*_PLAN, *_CHANGE),
    ),
    Endpoint(
        method="POST",
        path="/v1/series/{series}/split",
        name="splitSeries",
        summary="Hold a session of a series and all that follow it at other times.",
        scope="sessions",
        handle=schedule.split_series,
        body=SplitSpec,
        status=201,
        result=SeriesItem,
        errors=(*_PLAN, *_CHANGE),
    ),
    Endpoint(
        method="GET",
        path="/v1/series/{series}/occurrences/{occurrence}",
        name="getOccurrence",
        summary="Show a session of a series by its local time; it is made if it is not near yet.",
        scope="sessions",
        handle=schedule.get_occurrence,
        status=200,
        result=SessionItem,
        errors=(*_ONE, errors.STORE_FULL),
    ),
    Endpoint(
        method="DELETE",
        path="/v1/series/{series}/occurrences/{occurrence}",
        name="cancelOccurrence",
        summary="Cancel one session of a series.",
        scope="sessions",
        handle=schedule.cancel_occurrence,
        status=200,
        result=SessionItem,
        errors=(*_ONE, errors.SESSION_CHANGED),
    ),
    Endpoint(
        method="PUT",
        path="/v1/accounts/{account}/calendar",
        name="giveCalendar",
        summary="Give an account's calendar feed a new address; an older one stops working.",
        scope="accounts",
        handle=schedule.give_calendar,
        status=200,
        result=CalendarItem,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/accounts/{account}/calendar",
        name="takeCalendar",
        summary="Close an account's calendar feed.",
        scope="accounts",
        handle=schedule.take_calendar,
        status=204,
        result=None,
    ),
)

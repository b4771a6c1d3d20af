"""Series of sessions and calendar feeds, for back ends; and the feeds themselves."""

from __future__ import annotations

import hashlib
import re
import uuid

from aiohttp import web

from protocol import errors
from protocol.errors import ProtocolError
from signaling.caller import Caller
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.pagination import cursor_of
from signaling.http.schedule_schemas import CalendarItem, CutSpec, MoveSpec, SeriesItem, SeriesSpec, SplitSpec
from signaling.http.schemas import Page
from signaling.http.sessions import moved, overlap_item, session_item, zones_item, zones_of
from signaling.schedule.feeds import Feeds
from signaling.schedule.series import Series
from signaling.schedule.service import Planned

FEED_PATH = "/v1/calendar/{key}.ics"
_FEED_HEADERS = {"Cache-Control": "private, no-cache", "Referrer-Policy": "no-referrer"}
_KEY = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


async def create_series(services: Services, call: Call[SeriesSpec]) -> Reply:
    """Begin a series of sessions in a room."""
    call.caller.check_room(call.path["room"])
    series = _series(call.caller, call.path["room"], call.body)
    return _created(await services.schedule.create(series, lambda planned: call.keep(_created(planned))))


async def list_series(services: Services, call: Call[None]) -> Reply:
    """The series of a room, by id."""
    room = call.path["room"]
    call.caller.check_room(room)
    if await services.store.room(room) is None:
        raise ProtocolError(errors.NO_SUCH_ROOM)
    place = call.page.place(str)
    found = await services.schedule.series_of(room, str(place[0]) if place else "", call.page.limit + 1)
    shown = found[: call.page.limit]
    following = cursor_of(shown[-1].id) if len(found) > len(shown) else None
    return Reply(200, Page(tuple(_item(Planned(one)) for one in shown), following))


async def get_series(services: Services, call: Call[None]) -> Reply:
    """One series."""
    return Reply(200, _item(Planned(await _known(services, call))))


async def cut_series(services: Services, call: Call[CutSpec]) -> Reply:
    """Cancel a session of a series and all that follow it."""
    series = await _known(services, call)
    planned = await services.schedule.cut(
        series.id, call.body.occurrence, lambda planned: call.keep(Reply(200, _item(planned)))
    )
    return Reply(200, _item(planned))


async def split_series(services: Services, call: Call[SplitSpec]) -> Reply:
    """Hold a session of a series and all that follow it at other times."""
    series = await _known(services, call)
    following = _series(call.caller, series.room, call.body.then)
    planned = await services.schedule.split(
        series.id, call.body.occurrence, following, lambda planned: call.keep(_created(planned))
    )
    return _created(planned)


async def get_occurrence(services: Services, call: Call[None]) -> Reply:
    """A session of a series by its local time, made now if it is not near yet."""
    series = await _known(services, call)
    return Reply(200, session_item(await services.schedule.occurrence(series.id, call.path["occurrence"])))


async def move_occurrence(services: Services, call: Call[MoveSpec]) -> Reply:
    """Hold one session of a series at another time."""
    series = await _known(services, call)
    session = await services.schedule.occurrence(series.id, call.path["occurrence"])
    return await moved(services, call, session)


async def cancel_occurrence(services: Services, call: Call[None]) -> Reply:
    """Cancel one session of a series."""
    series = await _known(services, call)
    session = await services.schedule.occurrence(series.id, call.path["occurrence"])
    return Reply(200, session_item(await services.sessions.stop(session.id)))


async def give_calendar(services: Services, call: Call[None]) -> Reply:
    """A new address for an account's calendar feed; an older one stops working."""
    _check_account(call.caller)
    return Reply(200, CalendarItem(FEED_PATH.format(key=await services.feeds.give(call.path["account"]))))


async def take_calendar(services: Services, call: Call[None]) -> Reply:
    """Close an account's calendar feed; one that has none stays without."""
    _check_account(call.caller)
    await services.feeds.take(call.path["account"])
    return Reply(204)


def feed_route(feeds: Feeds) -> web.RouteDef:
    """The feeds: no token but the address, which therefore stands in no log and no metric."""

    async def serve(request: web.Request) -> web.Response:
        key = request.match_info["key"]
        text = await feeds.text(key) if _KEY.fullmatch(key) else None
        if text is None:
            raise ProtocolError(errors.NOT_FOUND)
        etag = hashlib.sha256(text).hexdigest()[:32]
        headers = {
            "ETag": f'"{etag}"',
            "Cache-Control": "private, no-cache",
            "Referrer-Policy": "no-referrer",
        }
        if any(known.value in {etag, "*"} for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=text, headers=headers, content_type="text/calendar", charset="utf-8")

    return web.get(FEED_PATH.replace("{key}", "{key:[^/]+}"), serve)


def _check_account(caller: Caller) -> None:
    if caller.claims.room is not None or caller.claims.session is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is not for all rooms of the account")


def _series(caller: Caller, room: str, spec: SeriesSpec) -> Series:
    if caller.claims.session is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one session")
    return Series(
        id=spec.series or uuid.uuid4().hex,
        room=room,
        first=spec.starts,
        zone=spec.zone,
        rule=spec.rule,
        length_ms=spec.length_seconds * 1000,
        modality=spec.modality,
        invited=spec.invited,
        skipped=spec.skipped,
        zones=zones_of(spec.zones),
    )


async def _known(
    services: Services, call: Call[CutSpec] | Call[SplitSpec] | Call[MoveSpec] | Call[None]
) -> Series:
    series = await services.schedule.find(call.path["series"])
    call.caller.check_room(series.room)
    if call.caller.claims.session is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one session")
    return series


def _created(planned: Planned) -> Reply:
    return Reply(201, _item(planned), f"/v1/series/{planned.series.id}")


def _item(planned: Planned) -> SeriesItem:
    series = planned.series
    return SeriesItem(
        series=series.id,
        room=series.room,
        starts=series.first,
        zone=series.zone,
        rule=series.rule,
        length_seconds=series.length_ms // 1000,
        modality=series.modality,
        invited=series.invited,
        skipped=series.skipped,
        zones=zones_item(series.zones),
        before=series.before,
        warnings=tuple(map(overlap_item, planned.overlaps)),
    )

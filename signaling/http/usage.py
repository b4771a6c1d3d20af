"""Usage of sessions, for billing: in pages as JSON, or whole as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator

from protocol import errors
from protocol.errors import ProtocolError
from relay.rows import SessionCursor
from signaling.http.endpoint import CSV, Call, Download, Reply, Services
from signaling.http.pagination import PageRequest, cursor_of
from signaling.http.schemas import Page
from signaling.http.usage_schemas import (
    AbsenceItem,
    AttendanceItem,
    ConsentItem,
    SegmentItem,
    UsageItem,
    UsageQuery,
)
from signaling.usage import table
from signaling.usage.records import Absence, UsageRecord
from signaling.usage.service import Asked


async def list_usage(services: Services, call: Call[UsageQuery]) -> Reply:
    """The usage of sessions, by start."""
    asked = _asked(call)
    if _as_csv(call):
        if call.page != PageRequest():
            raise ProtocolError(errors.INVALID_FIELD, "CSV comes whole: without `limit` and `cursor`")
        return Reply(200, download=Download(CSV, "usage.csv", _lines(services, asked)))
    place = call.page.place(int, str)
    after = SessionCursor(int(place[0]), str(place[1])) if place else None
    page = await services.usage.page(asked, after, call.page.limit)
    following = cursor_of(page.next.starts_ms, page.next.id) if page.next else None
    return Reply(200, Page(tuple(map(usage_item, page.records)), following))


def usage_item(record: UsageRecord) -> UsageItem:
    """The usage of a session as back ends see it."""
    return UsageItem(
        session=record.session,
        room=record.room,
        final=record.final,
        state=record.state,
        reason=record.reason,
        starts_ms=record.starts_ms,
        length_ms=record.length_ms,
        extended_ms=record.extended_ms,
        agreed_modality=record.agreed_modality,
        live_ms=record.live_ms,
        ended_ms=record.ended_ms,
        both_ms=record.both_ms,
        minutes=record.minutes,
        video_ms=record.together_ms["video"],
        audio_ms=record.together_ms["audio"],
        chat_ms=record.together_ms["chat"],
        therapist_ms=record.therapist_ms,
        client_ms=record.client_ms,
        code=record.suggestion.code if record.suggestion else None,
        modifier=record.suggestion.modifier if record.suggestion else None,
        segments=tuple(
            SegmentItem(one.starts_ms, one.modality, one.present, one.ends_ms) for one in record.segments
        ),
        attendances=tuple(
            AttendanceItem(one.account, one.role, one.came_ms, one.left_ms, one.present_ms)
            for one in record.attendances
        ),
        no_show=_absence_item(record.absence) if record.absence else None,
        consents=tuple(
            ConsentItem(one.account, one.kind, one.version, one.given, one.at_ms) for one in record.consents
        ),
    )


def _as_csv(call: Call[UsageQuery]) -> bool:
    if call.body.format is None:
        return call.accepts == CSV
    return call.body.format == "csv"


def _asked(call: Call[UsageQuery]) -> Asked:
    query = call.body
    if call.caller.claims.session is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one session")
    if call.caller.claims.room is not None and query.room is None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one room: name it")
    if query.room is not None:
        call.caller.check_room(query.room)
    return Asked(query.from_ms, query.until_ms, query.room, query.account)


def _absence_item(absence: Absence) -> AbsenceItem:
    return AbsenceItem(absence.verdict == "holds", absence.verdict, absence.waited_ms)


async def _lines(services: Services, asked: Asked) -> AsyncIterator[bytes]:
    yield table.header()
    async for records in services.usage.everything(asked):
        if records:
            yield table.lines(records)

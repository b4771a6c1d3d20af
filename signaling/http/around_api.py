"""The endpoints about office hours and automatic replies."""

from __future__ import annotations

from protocol import errors
from signaling.http import around
from signaling.http.around_schemas import HoursItem, HoursSpec, ReplyWordsSpec
from signaling.http.endpoint import AnyEndpoint, Endpoint

AROUND: tuple[AnyEndpoint, ...] = (
    Endpoint(
        method="GET",
        path="/v1/rooms/{room}/reply",
        name="getReply",
        summary="Show what a room answers with outside office hours.",
        scope="rooms",
        handle=around.get_words,
        status=200,
        result=ReplyWordsSpec,
        errors=(errors.NO_SUCH_ROOM,),
    ),
    Endpoint(
        method="POST",
        path="/v1/rooms/{room}/reply",
        name="setReply",
        summary="Give a room words of its own to answer with outside office hours.",
        scope="rooms",
        handle=around.set_words,
        body=ReplyWordsSpec,
        status=200,
        result=ReplyWordsSpec,
        errors=(errors.NO_SUCH_ROOM,),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/hours",
        name="getHours",
        summary="Show the office and quiet hours of an account.",
        scope="accounts",
        handle=around.get_hours,
        status=200,
        result=HoursItem,
    ),
    Endpoint(
        method="POST",
        path="/v1/accounts/{account}/hours",
        name="setHours",
        summary="Replace the office and quiet hours of an account.",
        scope="accounts",
        handle=around.set_hours,
        body=HoursSpec,
        status=200,
        result=HoursItem,
        errors=(errors.HOURS_INVALID,),
    ),
)

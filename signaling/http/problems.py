"""Refusals as problem documents (RFC 9457), for every path, whoever raised them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from protocol import errors
from protocol.errors import ProtocolError
from relay.errors import StoreError
from signaling.http.schemas import Problem
from signaling.observe.logs import failure
from signaling.storage_errors import refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_OF_STATUS = {
    404: errors.NOT_FOUND,
    405: errors.METHOD_NOT_ALLOWED,
    413: errors.TOO_LARGE,
}
"""aiohttp's own refusals."""

_log = structlog.get_logger("rapport.http")


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what a handler refuses, or fails with, by a problem document."""
    try:
        return await handler(request)
    except (ProtocolError, StoreError) as error:
        refused = refusal(error) if isinstance(error, StoreError) else error
        if refused.kind.status >= 500:
            _log.error("request_not_served", path=route_of(request), error=refused.kind.name)
        return problem_response(refused)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        kind = _OF_STATUS.get(answer.status, errors.MALFORMED)
        response = problem_response(ProtocolError(kind))
        if "Allow" in answer.headers:
            response.headers["Allow"] = answer.headers["Allow"]
        return response
    except Exception as error:  # noqa: BLE001 - the process lives on, whatever one request runs into
        _log.error("request_failed", path=route_of(request), error=failure(error))
        return problem_response(ProtocolError(errors.INTERNAL))


def problem_response(error: ProtocolError) -> web.Response:
    """The problem document of a refusal."""
    kind = error.kind
    problem = Problem(
        type=f"/v1/errors#{kind.name}",
        title=kind.meaning,
        status=kind.status,
        detail=error.detail,
        code=kind.code,
        name=kind.name,
        temporary=kind.temporary,
        hint=kind.hint,
        retry_after_ms=error.retry_after_ms,
    )
    response = web.Response(
        status=kind.status, body=msgspec.json.encode(problem), content_type="application/problem+json"
    )
    if error.retry_after_ms is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_ms / 1000))
    if kind.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def route_of(request: web.Request) -> str:
    """The pattern of the address, which has no ids in it."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"

"""From the declaration of an endpoint to its route: who asks, for what, and one reply per idempotency key."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from protocol import errors
from protocol.codec import explain
from protocol.errors import ProtocolError
from relay.errors import StoreError
from signaling.access import Access
from signaling.audit.actions import BREAK_GLASS, OK, REFUSALS
from signaling.audit.origin import acting, actor_of, origin_of
from signaling.caller import Caller
from signaling.http.downloading import download
from signaling.http.endpoint import AnyEndpoint, Call, Reply, Services
from signaling.http.idempotency import Attempt, Sent, attempt, sent
from signaling.http.queries import accepted, parameters
from signaling.ids import is_id


def route(endpoint: AnyEndpoint, services: Services, access: Access) -> web.RouteDef:
    """The route that serves an endpoint."""
    decode = msgspec.json.Decoder(endpoint.body).decode if endpoint.body else None

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = Caller.of(await access.verify(bearer(request)))
        with _recorded(services, caller, endpoint, request.match_info) as opened:
            opened.by_break_glass = await _check_back_end(services, caller, endpoint)
            _check_session(caller, request.match_info)
            return await serve(request, caller)

    async def serve(request: web.Request, caller: Caller) -> web.StreamResponse:
        path = {name: _checked_id(name, value) for name, value in request.match_info.items()}
        page, query = parameters(endpoint, request.query.items())
        if decode is None:
            accepts = accepted(endpoint.media_types, request.headers.get("Accept", ""))
            call = Call(caller, path, query, page, keep=lambda _: (), accepts=accepts)
            reply = await endpoint.handle(services, call)
            if reply.download is not None:
                return await download(request, reply.download)
            return _response(sent(reply))
        body = await json_body(request, decode)
        if endpoint.method == "PATCH":  # says how it is to be, so it can be repeated as it is
            call = Call(caller, path, body, page, keep=lambda _: ())
            return _response(sent(await endpoint.handle(services, call)))
        tried = attempt(
            request.headers.get("Idempotency-Key"),
            caller.issuer,
            f"{request.method} {request.path}",
            body,
            services.timebase.now_ms(),
        )
        call = Call(caller, path, body, page, keep=tried.keep)
        return _response(await _once(services, tried, lambda: endpoint.handle(services, call)))

    # aiohttp's own pattern leaves out braces; what is no id is for `_checked_id` to say.
    return web.route(endpoint.method, re.sub(r"{(\w+)}", r"{\1:[^/]+}", endpoint.path), handle)


def bearer(request: web.Request) -> str:
    """The token of a request (RFC 6750, 2.1); empty if there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(slots=True)
class _Opened:
    """What is known of a request only once it is let in."""

    by_break_glass: bool = False


@contextmanager
def _recorded(
    services: Services, caller: Caller, endpoint: AnyEndpoint, path: Mapping[str, str]
) -> Iterator[_Opened]:
    """Carry a request out on the caller's behalf; record what is read, and what is refused.

    What a request changes is recorded with the change.
    """
    by, opened, outcome = origin_of(caller), _Opened(), errors.INTERNAL.name
    reads = endpoint.method == "GET"
    try:
        with acting(by):
            yield opened
        outcome = OK
    except ProtocolError as error:
        reads = reads or error.kind in REFUSALS
        outcome = error.kind.name
        raise
    finally:
        if reads:
            kind, name = _object_of(path)
            reason = BREAK_GLASS if opened.by_break_glass else ""
            room = path.get("room", "") if name else ""
            action = f"http.{endpoint.name}"
            services.recorder.note(by, action, kind, name, outcome, room=room, reason=reason)


def _object_of(path: Mapping[str, str]) -> tuple[str, str]:
    """The innermost thing that an address names, if it names things as they are named."""
    if not path or not all(map(is_id, path.values())):
        return "", ""
    return list(path.items())[-1]


async def _check_back_end(services: Services, caller: Caller, endpoint: AnyEndpoint) -> bool:
    """Whether the request may be made, and only because the caller has broken the glass."""
    if caller.role != "operator":
        raise ProtocolError(errors.FORBIDDEN, "the API takes tokens with the role `operator`")
    if caller.claims.allows(endpoint.scope):
        return False
    if endpoint.method == "GET":
        grant = await services.store.grant(actor_of(caller), endpoint.scope)
        if grant is not None and services.timebase.now_ms() < grant.until_ms:
            return True
    raise ProtocolError(errors.TOKEN_SCOPE, f"the token does not have the scope `{endpoint.scope}`")


def _check_session(caller: Caller, path: Mapping[str, str]) -> None:
    """A token for one session reaches what has that session in its address, and nothing else."""
    if caller.claims.session not in {None, path.get("session")}:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one session")


def _checked_id(name: str, value: str) -> str:
    if not is_id(value):
        raise ProtocolError(errors.INVALID_FIELD, f"`{name}` in the address is not an id")
    return value


async def json_body(request: web.Request, decode: Callable[[bytes], Any]) -> Any:
    """The body of a request, decoded."""
    if request.content_type != "application/json":
        raise ProtocolError(errors.UNSUPPORTED_MEDIA_TYPE)
    try:
        return decode(await request.read())  # bounded by the application's `client_max_size`
    except msgspec.ValidationError as error:
        raise ProtocolError(errors.INVALID_FIELD, explain(error)) from None
    except RecursionError:
        raise ProtocolError(errors.TOO_DEEP) from None
    except (msgspec.MsgspecError, UnicodeError, ValueError):
        raise ProtocolError(errors.MALFORMED, "the body is not JSON") from None


async def _once(services: Services, tried: Attempt, perform: Callable[[], Awaitable[Reply]]) -> Sent:
    """The reply kept under the key, or else the one that is made now."""
    if known := await services.store.idempotency(tried.key):
        return tried.repeated(known)
    try:
        return sent(await perform())
    except (ProtocolError, StoreError):
        # The same request may have been carried out a moment ago, and this one refused because of it.
        if known := await services.store.idempotency(tried.key):
            return tried.repeated(known)
        raise


def _response(what: Sent) -> web.Response:
    response = web.Response(status=what.status, body=what.body or None)
    if what.body:
        response.content_type = "application/json"
    if what.location is not None:
        response.headers["Location"] = what.location
    return response

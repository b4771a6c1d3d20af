"""How an operation for the members of rooms is declared: its route and its description are made of it.

Members ask with the token that they connect with. Their requests carry bytes of any number, so they are
handed over unread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web
from msgspec import Struct

from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from signaling.access import Access
from signaling.audit.actions import REFUSALS
from signaling.audit.origin import acting, origin_of
from signaling.blobs.service import BlobService
from signaling.caller import Caller
from signaling.http.serving import bearer
from signaling.services import Recorder

DEVICE_HEADER = "Rapport-Device"
"""Names the device that asks: needed with a token that is for one device only."""

MAX_DEVICE_CHARACTERS = 64

Handler = Callable[[BlobService, Caller, web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEndpoint:
    """One operation for members."""

    method: Literal["POST", "HEAD", "PATCH", "DELETE", "GET"]
    path: str
    name: str
    """Its ``operationId``."""
    summary: str
    handle: Handler
    answers: Mapping[int, str]
    """What each status of success means."""
    body: type[Struct] | None = None
    result: type[Struct] | None = None
    takes_bytes: bool = False
    gives_bytes: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the headers of the request say."""
    answered: Mapping[str, str] = field(default_factory=dict)
    """What the headers of the answer say."""
    errors: tuple[ErrorKind, ...] = ()
    """What it refuses, besides what every operation does."""


def route(endpoint: MemberEndpoint, blobs: BlobService, access: Access, recorder: Recorder) -> web.RouteDef:
    """The route that serves an operation."""

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = Caller.of(await access.verify(bearer(request), _device(request), http=True))
        with acting(origin_of(caller)), _recorded(recorder, caller, endpoint):
            if caller.claims.session is not None:
                raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one session")
            return await endpoint.handle(blobs, caller, request)

    if endpoint.method == "GET":
        return web.get(endpoint.path, handle, allow_head=False)  # HEAD is an operation of its own
    return web.route(endpoint.method, endpoint.path, handle)


def _device(request: web.Request) -> str | None:
    device = request.headers.get(DEVICE_HEADER)
    if device is not None and not (0 < len(device) <= MAX_DEVICE_CHARACTERS and device.isprintable()):
        raise ProtocolError(errors.INVALID_FIELD, f"`{DEVICE_HEADER}` is no id of a device")
    return device


@contextmanager
def _recorded(recorder: Recorder, caller: Caller, endpoint: MemberEndpoint) -> Iterator[None]:
    """Record what is refused because the caller may not do it. Ids in the address are not known to be ids."""
    try:
        yield
    except ProtocolError as error:
        if error.kind in REFUSALS:
            recorder.note(origin_of(caller), f"http.{endpoint.name}", "", "", error.kind.name)
        raise

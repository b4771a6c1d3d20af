"""Only in development mode: a session to try, with two links that bring two people into it.

This mints tokens for whoever asks, so it answers callers on the same machine only, and only at the names of
this machine: a page of somewhere else that has its name point here does not get an answer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from config import DEVELOPMENT_KEY
from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import Modality, Role
from protocol.tokens import Claims, mint
from signaling.http.endpoint import Services
from signaling.http.health import is_local
from signaling.sessions.commands import Agreed
from signaling.sessions.terms import NO_WISHES, WaitingRoomFor, Wishes, encode_wishes

TOKEN_SECONDS = 4 * 3600
_NAMES = {"127.0.0.1", "localhost", "::1"}


class TrialSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The session to try."""

    length_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 50 * 60
    modality: Modality = "video"
    waiting_room: WaitingRoomFor = "nobody"


class Links(Struct, frozen=True):
    """The pages of the two, each with its token behind the ``#``, which no browser sends to a server."""

    session: str
    room: str
    therapist: str
    client: str


def route(services: Services, key: str, secret: str) -> web.RouteDef:
    """``POST /dev/session``: a room, a session in it that begins now, and the links. The body is optional."""

    async def handle(request: web.Request) -> web.Response:
        if not is_local(request) or urlsplit(f"//{request.host}").hostname not in _NAMES:
            raise ProtocolError(errors.FORBIDDEN, "development mode answers this machine only")
        links = await _trial(services, await _spec(request), key, secret)
        return web.Response(status=201, body=msgspec.json.encode(links), content_type="application/json")

    return web.post("/dev/session", handle)


async def _spec(request: web.Request) -> TrialSpec:
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=TrialSpec)
    except msgspec.MsgspecError:
        raise ProtocolError(
            errors.INVALID_FIELD, "the body takes `length_seconds`, `modality` and `waiting_room`"
        ) from None


async def _trial(services: Services, spec: TrialSpec, key: str, secret: str) -> Links:
    room, session = uuid.uuid4().hex, uuid.uuid4().hex
    people: list[tuple[str, Role]] = [
        (f"therapist-{room[:8]}", "therapist"),
        (f"client-{room[:8]}", "client"),
    ]
    await services.rooms.create(room, encode_wishes(NO_WISHES), people)
    now_ms = services.timebase.now_ms()
    wishes = Wishes(waiting_room=spec.waiting_room)
    length_ms = spec.length_seconds * 1000
    agreed = Agreed(session, room, now_ms, length_ms, spec.modality, wishes=wishes)
    await services.sessions.create(agreed, lambda _: ())
    therapist, client = (_link(key, secret, account, role, session) for account, role in people)
    return Links(session, room, therapist, client)


def _link(key: str, secret: str, account: str, role: Role, session: str) -> str:
    token = mint(Claims(key, account, role, exp=int(time.time()) + TOKEN_SECONDS), secret)
    return f"/app/{role}.html#{urlencode({'token': token, 'session': session})}"


def key_of(keys: Mapping[str, str]) -> tuple[str, str]:
    """The key to mint with: the one that development mode made up, or else the first of the settings."""
    key = DEVELOPMENT_KEY if DEVELOPMENT_KEY in keys else next(iter(keys))
    return key, keys[key]

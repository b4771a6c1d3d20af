"""The part of a platform's back end: rooms, members and sessions over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import uuid4

import aiohttp

from loadtest.call import Modality
from loadtest.errors import Refused, ServerFault, Unreachable
from loadtest.target import Target
from loadtest.wire import Map, check

ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 0.5
"""Between attempts, unless the server names a time."""


class BackEnd:
    """The HTTP API with one key. The ``http`` session is the caller's to open and close."""

    def __init__(self, target: Target, http: aiohttp.ClientSession) -> None:
        self._target = target
        self._http = http

    async def create_room(self, members: Mapping[str, str]) -> str:
        """A new room with these accounts in these roles: its id."""
        listed = [{"account": account, "role": role} for account, role in members.items()]
        room: str = (await self._post("/v1/rooms", {"members": listed}, {"room": str}))["room"]
        return room

    async def create_session(
        self,
        room: str,
        modality: Modality,
        length_seconds: int,
        *,
        waiting_room: str = "nobody",
        attendees: Sequence[Mapping[str, str]] = (),
    ) -> str:
        """A session that starts now, for all members of the room, and has no overrun: its id.

        ``waiting_room`` is whom it is for: ``everyone`` but therapists, ``guests``, or ``nobody``;
        ``attendees`` come besides, each as ``{"account": ..., "role": ...}``.
        """
        policy = {"waiting_room": waiting_room, "hard_end": True}
        body: Map = {"modality": modality, "length_seconds": length_seconds, "policy": policy}
        if attendees:
            body["attendees"] = list(attendees)
        session: str = (await self._post(f"/v1/rooms/{room}/sessions", body, {"session": str}))["session"]
        return session

    async def session(self, session: str) -> Map:
        """How a session stands."""
        return await self._once("GET", f"/v1/sessions/{session}", {"state": str})

    async def _post(self, path: str, body: Map, required: Mapping[str, type]) -> Map:
        """A POST that is safe to repeat: all attempts carry one ``Idempotency-Key``."""
        key = uuid4().hex
        for remaining in reversed(range(ATTEMPTS)):
            try:
                return await self._once("POST", path, required, body=body, key=key)
            except Refused as refusal:
                if not refusal.temporary or not remaining:
                    raise
                wait_ms = refusal.retry_after_ms
                await asyncio.sleep(PAUSE_SECONDS if wait_ms is None else wait_ms / 1000)
            except Unreachable:
                if not remaining:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    async def _once(
        self, method: str, path: str, required: Mapping[str, type], *, body: Map | None = None, key: str = ""
    ) -> Map:
        headers = {"Authorization": f"Bearer {self._target.back_end_token()}"}
        if key:
            headers["Idempotency-Key"] = key
        try:
            async with self._http.request(
                method, self._target.http + path, json=body, headers=headers, allow_redirects=False
            ) as response:
                status, answer = response.status, await json_of(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(type(error).__name__) from None
        if status >= 300:
            raise refusal_of(status, answer)
        check(answer, required, path.rpartition("/")[2])
        return answer


async def json_of(response: aiohttp.ClientResponse) -> Map:
    """The object in an answer; :exc:`ServerFault` if there is none."""
    try:
        answer = await response.json(content_type=None)
    except ValueError:
        raise ServerFault(f"HTTP {response.status} with a body that is not JSON") from None
    check(answer, {}, "body")
    return dict(answer)


def refusal_of(status: int, problem: Map) -> Refused:
    """The refusal that a problem document (RFC 9457) tells of."""
    check(problem, {"code": int, "name": str}, f"problem document of HTTP {status}")
    retry_after_ms = problem.get("retry_after_ms")
    return Refused(
        problem["code"],
        problem["name"],
        temporary=problem.get("temporary") is True,
        retry_after_ms=retry_after_ms if isinstance(retry_after_ms, int) else None,
    )

"""The HTTP calls of a back end, against a server that plays a script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from loadtest.backend import ATTEMPTS, BackEnd
from loadtest.errors import Refused, ServerFault, Unreachable
from loadtest.target import Target

SECRET = "s" * 32
PROBLEM = {"code": 1503, "name": "overloaded", "temporary": True, "retry_after_ms": 1}


class Script:
    """Answers one request after the other, and keeps what was asked."""

    def __init__(self, answers: tuple[tuple[int, Any], ...]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, Any, str | None]] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        assert request.headers["Authorization"].startswith("Bearer ")
        self.asked.append((request.method, request.path, body, request.headers.get("Idempotency-Key")))
        status, answer = self._answers.pop(0)
        return (
            web.Response(status=status, text=answer)
            if isinstance(answer, str)
            else web.json_response(answer, status=status)
        )


@asynccontextmanager
async def scripted(*answers: tuple[int, Any]) -> AsyncIterator[tuple[BackEnd, Script]]:
    script = Script(answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as http:
        yield BackEnd(Target(f"http://127.0.0.1:{port}", "k", SECRET), http), script
    await runner.cleanup()


async def test_a_room_and_a_session() -> None:
    answers = (201, {"room": "r1"}), (201, {"session": "s1"}), (200, {"state": "live"})
    async with scripted(*answers) as (on, script):
        assert await on.create_room({"anna": "therapist"}) == "r1"
        assert await on.create_session("r1", "video", 300) == "s1"
        assert (await on.session("s1"))["state"] == "live"
    methods, paths, bodies, keys = zip(*script.asked, strict=True)
    assert methods == ("POST", "POST", "GET")
    assert paths == ("/v1/rooms", "/v1/rooms/r1/sessions", "/v1/sessions/s1")
    assert bodies[0] == {"members": [{"account": "anna", "role": "therapist"}]}
    policy = {"waiting_room": "nobody", "hard_end": True}
    assert bodies[1] == {"modality": "video", "length_seconds": 300, "policy": policy}
    assert keys[0] != keys[1]
    assert keys[2] is None


async def test_a_temporary_refusal_is_repeated_under_the_same_key() -> None:
    async with scripted((503, PROBLEM), (201, {"room": "r1"})) as (on, script):
        assert await on.create_room({}) == "r1"
    assert len({key for *_, key in script.asked}) == 1


async def test_temporary_refusals_are_not_repeated_for_ever() -> None:
    async with scripted(*[(503, PROBLEM)] * ATTEMPTS) as (on, script):
        with pytest.raises(Refused, match="overloaded"):
            await on.create_room({})
    assert len(script.asked) == ATTEMPTS


async def test_another_refusal_is_raised_at_once_with_its_name() -> None:
    problem = {"code": 1306, "name": "session_times", "temporary": False}
    async with scripted((400, problem)) as (on, script):
        with pytest.raises(Refused) as refusal:
            await on.create_session("r1", "video", 1)
    assert refusal.value.name == "session_times"
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "answer", [(201, "no JSON"), (201, {}), (201, []), (500, {"oops": 1}), (201, {"room": 1})]
)
async def test_what_is_no_answer_is_a_server_fault(answer: tuple[int, Any]) -> None:
    async with scripted(answer) as (on, _):
        with pytest.raises(ServerFault):
            await on.create_room({})


async def test_nobody_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.backend.PAUSE_SECONDS", 0.0)
    async with scripted() as (on, _):
        pass
    async with aiohttp.ClientSession() as http:
        with pytest.raises(Unreachable):
            await BackEnd(on._target, http).create_room({})

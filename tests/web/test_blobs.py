"""Uploads and downloads of the browser's half against a server on which everything goes wrong, in Node."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.web.runtimes import Held, InNode, Refused

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared Node lives

DATA = hashlib.shake_256(b"blob").digest(50_000)
NAME = hashlib.sha256(DATA).hexdigest()
TIMING = {"partBytes": 10_000, "stallMs": 30_000, "backoffBaseMs": 1, "backoffCapMs": 2, "attempts": 4}


@dataclass
class Moody:
    """One blob; ``moods`` says what becomes of the next requests: ``cut`` in the middle, or refused."""

    moods: list[str] = field(default_factory=list)
    kept: bytearray = field(default_factory=bytearray)
    asked: list[str] = field(default_factory=list)
    begun: list[dict[str, Any]] = field(default_factory=list)
    received: int = 0

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.post("/v1/blobs", self._begin),
                web.patch("/v1/blobs/uploads/u1", self._append),
                web.delete("/v1/blobs/uploads/u1", self._abandon),
                web.get("/v1/blobs/{name}", self._get, allow_head=False),
            ]
        )
        return application

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        self.begun.append(await request.json())
        if self.moods and self.moods[0].startswith("begin "):
            return self._refusal(self.moods.pop(0).removeprefix("begin "))
        whole = len(self.kept) == len(DATA)
        told = {"offset": len(self.kept), "whole": whole, "patch_bytes": 8_000}
        return web.json_response(told if whole else told | {"upload": "u1"}, status=201)

    async def _append(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        mood = self.moods.pop(0) if self.moods else ""
        data = await request.read()
        self.received += len(data)
        if mood == "silent":
            await asyncio.Event().wait()  # until the client goes away
        if mood == "cut":
            self.kept += data[: len(data) // 2]
            return self._cut(request)
        if mood:
            return self._refusal(mood)
        assert int(request.headers["Upload-Offset"]) == len(self.kept)
        self.kept += data
        if len(self.kept) == len(DATA) and bytes(self.kept) != DATA:
            del self.kept[8_000:]
            return self._refusal("blob_differs")
        return web.Response(status=204, headers={"Upload-Offset": str(len(self.kept))})

    async def _abandon(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        self.kept.clear()
        return web.Response(status=204)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        mood = self.moods.pop(0) if self.moods else ""
        if mood not in {"", "cut"}:
            return self._refusal(mood)
        part = request.http_range
        data = DATA[part.start or 0 :]
        response = web.StreamResponse(status=206 if part.start else 200)
        response.content_length = len(data)
        await response.prepare(request)
        if mood == "cut":
            await response.write(data[: len(data) // 2])
            return self._cut(request, response)
        await response.write(data)
        return response

    def _note(self, request: web.Request) -> None:
        assert request.headers["Authorization"] == "Bearer secret"
        assert request.headers["Rapport-Device"] == "phone"
        self.asked.append(f"{request.method} {request.headers.get('Range', '')}".strip())

    def _cut(self, request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return response or web.Response()

    def _refusal(self, name: str) -> web.Response:
        if name == "proxy":
            return web.Response(status=502, text="<h1>Bad Gateway</h1>")
        temporary = name in {"store_full", "rate_limited"}
        status = {"blob_quota": 409, "blob_too_large": 413, "no_such_blob": 404}.get(name, 400)
        problem = {"code": 1, "name": name, "temporary": temporary, "detail": "", "retry_after_ms": 1}
        return web.json_response(problem, status=status)


@pytest_asyncio.fixture(loop_scope="package")
async def moody() -> AsyncIterator[Moody]:
    yield Moody()


@contextlib.asynccontextmanager
async def served(moody: Moody, node: InNode, **timing: int) -> AsyncIterator[InNode]:
    """The server, and in Node a held ``blobs`` that knows it, and the data as ``data``."""
    runner = web.AppRunner(moody.application(), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    url = f"http://{host}:{port}/v1/"
    given = {"url": url, "token": "secret", "device": "phone", "timing": TIMING | timing}
    try:
        await node.call("blobsOf", given, hold="blobs")
        await node.call("fileOf", DATA, "data", "", hold="data")
        yield node
    finally:
        await runner.cleanup()


async def upload(node: InNode, **options: Any) -> None:
    await node.call("held.blobs.upload", "r1", Held("data"), NAME, options)


async def refusal(work: Any) -> str | None:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.kind


async def test_an_upload_in_parts(moody: Moody, node_sides: tuple[InNode, InNode]) -> None:
    async with served(moody, node_sides[0]) as node:
        await upload(node)
        assert bytes(moody.kept) == DATA
        assert moody.begun[0] == {"room": "r1", "size": len(DATA), "sha256": NAME}
        assert moody.asked.count("PATCH") == 7  # the server takes 8,000 at once
        await upload(node)  # whatever is there is not sent again
        assert moody.received == len(DATA)


async def test_an_upload_goes_on_where_it_was_cut(moody: Moody, node_sides: tuple[InNode, InNode]) -> None:
    moody.moods = ["cut", "", "cut", "upload_interrupted", "", "upload_offset", "proxy", "store_full"]
    async with served(moody, node_sides[0]) as node:
        await upload(node)
    assert bytes(moody.kept) == DATA
    assert moody.received < len(DATA) + 6 * 8_000


async def test_what_the_server_will_not_have_is_not_tried_again(
    moody: Moody, node_sides: tuple[InNode, InNode]
) -> None:
    async with served(moody, node_sides[0]) as node:
        for name in ("blob_quota", "blob_too_large", "token_scope"):
            moody.moods = [f"begin {name}"]
            moody.begun.clear()
            assert await refusal(upload(node)) == name
            assert len(moody.begun) == 1


async def test_attempts_that_bring_nothing_come_to_an_end(
    moody: Moody, node_sides: tuple[InNode, InNode]
) -> None:
    moody.moods = ["store_full"] * 50
    async with served(moody, node_sides[0]) as node:
        assert await refusal(upload(node)) == "store_full"
        assert len(moody.begun) == 4
        moody.moods, moody.kept = [], bytearray(8_000)  # what lies there is something else, and stays there
        assert await refusal(upload(node)) == "blob_differs"


async def test_an_upload_that_is_given_up_leaves_nothing(
    moody: Moody, node_sides: tuple[InNode, InNode]
) -> None:
    async with served(moody, node_sides[0]) as node:
        await node.call("giveUpAfter", 16_000, hold="control")
        with pytest.raises(Refused, match="AbortError"):
            await node.call("held.blobs.upload", "r1", Held("data"), NAME, Held("control"))
        assert moody.asked[-1] == "DELETE"
        assert not moody.kept


async def test_a_download_goes_on_where_it_was_cut(moody: Moody, node_sides: tuple[InNode, InNode]) -> None:
    moody.moods = ["cut", "rate_limited", "cut", "proxy"]
    async with served(moody, node_sides[0]) as node:
        assert b"".join(await node.call("held.blobs.download", NAME)) == DATA
    assert len(moody.asked) == 5
    assert moody.asked.count("GET") == 1  # all others begin where the one before broke


async def test_a_download_of_what_is_gone(moody: Moody, node_sides: tuple[InNode, InNode]) -> None:
    moody.moods = ["no_such_blob"]
    async with served(moody, node_sides[0]) as node:
        assert await refusal(node.call("held.blobs.download", NAME)) == "no_such_blob"


async def test_a_server_that_stays_silent_is_asked_again(
    moody: Moody, node_sides: tuple[InNode, InNode]
) -> None:
    moody.moods = ["silent"]
    async with served(moody, node_sides[0], stallMs=200, attempts=1000) as node:
        await upload(node)
    assert bytes(moody.kept) == DATA

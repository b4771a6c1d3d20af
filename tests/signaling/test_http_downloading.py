"""Downloads over a real connection: whole, refused at the beginning, broken off in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from protocol import errors
from protocol.errors import ProtocolError
from relay.errors import StoreClosed
from signaling.http.downloading import download
from signaling.http.endpoint import Download
from signaling.http.problems import problems

SECRET = "a name that is in no log"


async def whole() -> AsyncIterator[bytes]:
    for number in range(1000):
        yield b"%d\r\n" % number


async def empty() -> AsyncIterator[bytes]:
    for never in list[bytes]():
        yield never


async def refused() -> AsyncIterator[bytes]:
    for number in range(2):
        if number == 0:
            raise ProtocolError(errors.FORBIDDEN)
        yield b"too late"


async def broken_by_the_store() -> AsyncIterator[bytes]:
    yield b"begun"
    raise StoreClosed(SECRET)


async def broken_by_a_fault() -> AsyncIterator[bytes]:
    yield b"begun"
    raise ValueError(SECRET)


def serving(chunks: Callable[[], AsyncIterator[bytes]]) -> TestServer:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await download(request, Download("text/csv", "usage.csv", chunks()))

    app = web.Application(middlewares=[problems])
    app.router.add_get("/", handle)
    return TestServer(app, host="127.0.0.1")


async def test_all_chunks_arrive_with_type_and_name() -> None:
    async with (
        serving(whole) as server,
        aiohttp.ClientSession() as http,
        http.get(server.make_url("/")) as got,
    ):
        assert got.status == 200
        assert got.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert got.headers["Content-Disposition"] == 'attachment; filename="usage.csv"'
        assert (await got.text()).split() == [str(number) for number in range(1000)]


async def test_nothing_is_a_whole_answer_too() -> None:
    async with (
        serving(empty) as server,
        aiohttp.ClientSession() as http,
        http.get(server.make_url("/")) as got,
    ):
        assert (got.status, await got.read()) == (200, b"")


async def test_a_refusal_before_the_first_chunk_is_a_problem_document() -> None:
    async with (
        serving(refused) as server,
        aiohttp.ClientSession() as http,
        http.get(server.make_url("/")) as got,
    ):
        assert got.status == 403
        assert (await got.json())["name"] == "forbidden"


@pytest.mark.parametrize("chunks", [broken_by_the_store, broken_by_a_fault])
async def test_what_is_not_whole_does_not_look_whole(chunks: Callable[[], AsyncIterator[bytes]]) -> None:
    async with serving(chunks) as server, aiohttp.ClientSession() as http:
        with capture_logs() as logs, pytest.raises(aiohttp.ClientError):
            async with http.get(server.make_url("/")) as got:
                await got.read()
    (entry,) = [one for one in logs if one["event"] == "download_broken_off"]
    assert SECRET not in str(entry)

"""Requests between nodes over a bus that loses and repeats what it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain, repeat

import pytest

from relay.bus import Addressed, AskNotice, ReplyNotice
from relay.bus.calls import MAX_BODY_BYTES, MAX_PATIENCE_SECONDS, Calls, NoReply
from relay.bus.replies import Replies

PATIENCE = MAX_PATIENCE_SECONDS


class Wires:
    """Joins nodes. How often each notice arrives is told by the test, and once from then on."""

    def __init__(self, *arrivals: int) -> None:
        self.nodes: dict[str, Calls] = {}
        self.arrivals: Iterator[int] = chain(arrivals, repeat(1))
        self.sent: list[Addressed] = []

    def send(self, node: str, notice: Addressed) -> None:
        self.sent.append(notice)
        for _ in range(next(self.arrivals)):
            asyncio.get_running_loop().call_soon(self._arrive, node, notice)

    def _arrive(self, node: str, notice: Addressed) -> None:
        assert isinstance(notice, AskNotice | ReplyNotice)
        self.nodes[node].take(notice)


class WiredBus:
    """A bus, as far as calls need one."""

    def __init__(self, wires: Wires, node: str) -> None:
        self._wires = wires
        self.node = node

    def send(self, node: str, notice: Addressed) -> None:
        self._wires.send(node, notice)


class Clerk:
    """Carries out requests, and remembers them."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []

    async def handle(self, caller: str, request: bytes) -> bytes:
        self.requests.append((caller, request))
        return request.upper()


@asynccontextmanager
async def joined(wires: Wires, *, repeat_seconds: float = 0.001) -> AsyncIterator[tuple[Calls, Calls]]:
    """Two nodes, "a" and "b"."""
    for name in ("a", "b"):
        wires.nodes[name] = Calls(WiredBus(wires, name), repeat_seconds=repeat_seconds)
    yield wires.nodes["a"], wires.nodes["b"]
    for calls in wires.nodes.values():
        await calls.stop()


async def test_a_request_is_carried_out_and_its_reply_comes_back() -> None:
    clerk = Clerk()
    async with joined(Wires()) as (a, b):
        b.serve(clerk.handle)
        a.serve(clerk.handle)
        assert await a.ask("b", b"to b", PATIENCE) == b"TO B"
        assert await a.ask("a", b"to myself", PATIENCE) == b"TO MYSELF"
    assert clerk.requests == [("a", b"to b"), ("a", b"to myself")]


@pytest.mark.parametrize(
    "arrivals", [(0,), (0, 0, 0), (1, 0), (1, 0, 0, 1, 0), (3, 3, 3), (2, 0, 0, 1, 2)], ids=str
)
async def test_whatever_is_lost_or_repeated_it_is_carried_out_once(arrivals: tuple[int, ...]) -> None:
    clerk = Clerk()
    async with joined(Wires(*arrivals)) as (a, b):
        b.serve(clerk.handle)
        assert await a.ask("b", b"once", PATIENCE) == b"ONCE"
        assert await a.ask("b", b"again", PATIENCE) == b"AGAIN"
    assert clerk.requests == [("a", b"once"), ("a", b"again")]


async def test_a_slow_request_is_not_begun_again_when_it_is_repeated() -> None:
    wires, begun, release = Wires(), 0, asyncio.Event()

    async def slow(caller: str, request: bytes) -> bytes:
        nonlocal begun
        begun += 1
        await release.wait()
        return request

    async with joined(wires) as (a, b):
        b.serve(slow)
        asking = asyncio.ensure_future(a.ask("b", b"x", PATIENCE))
        while sum(isinstance(notice, AskNotice) for notice in wires.sent) < 5:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.001)
        release.set()
        assert await asking == b"x"
    assert begun == 1


async def test_without_an_answer_there_is_an_end_to_patience() -> None:
    async with joined(Wires()) as (a, _):
        with pytest.raises(NoReply):
            await a.ask("b", b"nobody serves", 0.01)


async def test_what_fails_or_is_too_large_there_gives_no_reply_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def odd(caller: str, request: bytes) -> bytes:
        if request == b"large":
            return bytes(MAX_BODY_BYTES + 1)
        raise RuntimeError("a secret")

    async with joined(Wires()) as (a, b):
        b.serve(odd)
        for request in (b"large", b"failing"):
            with pytest.raises(NoReply):
                await a.ask("b", request, PATIENCE)
    assert "a secret" not in caplog.text


async def test_who_waits_for_a_node_that_is_gone_or_stops_itself_knows_it_at_once() -> None:
    async with joined(Wires(*[0] * 1000)) as (a, _):
        for end in (lambda: a.gone("b"), lambda: asyncio.ensure_future(a.stop())):
            asking = asyncio.ensure_future(a.ask("b", b"x", PATIENCE))
            other = asyncio.ensure_future(a.ask("c", b"x", PATIENCE))
            await asyncio.sleep(0)
            end()
            with pytest.raises(NoReply):
                await asking
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
        with pytest.raises(NoReply):
            await a.ask("b", b"after the stop", PATIENCE)


async def test_requests_are_bounded_where_they_are_made_and_where_they_come_in() -> None:
    wires, clerk = Wires(), Clerk()
    async with joined(wires) as (a, b):
        b.serve(clerk.handle)
        for request, patience in ((bytes(MAX_BODY_BYTES + 1), PATIENCE), (b"x", MAX_PATIENCE_SECONDS + 1)):
            with pytest.raises(ValueError, match="bytes"):
                await a.ask("b", request, patience)
        assert wires.sent == []
        b.take(AskNotice("a", "1", bytes(MAX_BODY_BYTES + 1)))
        a.take(ReplyNotice("never asked", b"x"))
        assert (clerk.requests, wires.sent) == ([], [])


async def test_a_node_that_has_too_much_to_do_takes_a_request_when_it_is_repeated() -> None:
    wires, release = Wires(), asyncio.Event()

    async def slow(caller: str, request: bytes) -> bytes:
        await release.wait()
        return request

    wires.nodes["b"] = b = Calls(WiredBus(wires, "b"), replies=Replies(max_under_way=1))
    wires.nodes["a"] = a = Calls(WiredBus(wires, "a"), repeat_seconds=0.001)
    b.serve(slow)
    asking = [asyncio.ensure_future(a.ask("b", b"%d" % number, PATIENCE)) for number in range(3)]
    while len(wires.sent) < 10:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.001)
    release.set()
    assert await asyncio.gather(*asking) == [b"0", b"1", b"2"]
    await a.stop()
    await b.stop()

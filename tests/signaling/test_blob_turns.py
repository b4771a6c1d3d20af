"""One request at a time goes on with an upload, and the last one to come is the one."""

from __future__ import annotations

import asyncio

import pytest

from protocol.errors import ProtocolError
from signaling.blobs.transfers import Transfers
from signaling.blobs.turns import Turns
from tests.signaling.waiting import until


class Silent:
    """Somebody who sends nothing."""

    def __init__(self) -> None:
        self.asked = False

    async def read(self, limit: int) -> bytes:
        self.asked = True
        await asyncio.Event().wait()
        return b""


class Busy:
    """Somebody whose bytes are always there."""

    async def read(self, limit: int) -> bytes:
        return bytes(limit)


async def test_a_turn_ends_when_the_next_one_comes() -> None:
    turns, silent, order = Turns(), Silent(), list[str]()

    async def first() -> None:
        async with turns.take("upload") as turn:
            with pytest.raises(ProtocolError, match="another request"):
                await turn.read(silent, 1, 600)
            order.append("first")

    task = asyncio.create_task(first())
    await until(lambda: silent.asked)
    async with turns.take("upload") as turn:
        order.append("second")
        assert await turn.read(Busy(), 3, 600) == bytes(3)
    await task
    assert order == ["first", "second"]


async def test_it_ends_for_those_whose_bytes_are_there_too() -> None:
    turns = Turns()
    async with turns.take("upload") as turn:
        following = asyncio.create_task(turns.take("upload").__aenter__())
        await until(lambda: len(turns._waiting["upload"]) == 2)
        with pytest.raises(ProtocolError, match="another request"):
            await turn.read(Busy(), 3, 600)
    await following


async def test_silence_ends_a_turn() -> None:
    turns = Turns()
    async with turns.take("upload") as turn:
        for seconds in (0.01, 0, -1):
            with pytest.raises(ProtocolError, match="too slowly"):
                await turn.read(Silent(), 1, seconds)


async def test_uploads_do_not_wait_for_each_other_and_leave_nothing() -> None:
    turns = Turns()
    async with turns.take("one"), turns.take("two"):
        assert len(turns._locks) == 2
    assert not turns._locks
    assert not turns._waiting


def test_transfers_are_counted_by_account() -> None:
    transfers = Transfers(2)
    with transfers.one("anna"), transfers.one("anna"), transfers.one("ben"):
        with pytest.raises(ProtocolError, match="rate_limited") as refused, transfers.one("anna"):
            pass
        assert refused.value.retry_after_ms
    with transfers.one("anna"), transfers.one("anna"):
        pass
    assert not transfers._under_way

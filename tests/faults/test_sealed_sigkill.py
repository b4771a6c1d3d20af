"""SIGKILL of devices and of their server, wherever a sealed message is: each is read once, in order, by all.

The devices are processes that keep their keys in a file, as apps do.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgpack
import pytest

from tests.faults.mortal_server import DIE_AT
from tests.faults.processes import ROOT, Server
from tests.faults.sealed_client import ROOM, SERVER_GONE

PEOPLE = ("anna", "ben")
CLIENT_POINTS = ("ask", "sent", "replied", "received", "taken", "half", "persisted", "acknowledged")
SERVER_POINTS = ("receive 3", "commit 3", "publish 3", "reply 3", "acknowledge 1", "persist 1")
"""The last two are passed now and then, a little after what they are about: they may find devices done."""

PATIENCE_SECONDS = 60
MESSAGES = 30
"""Of each; more than what a device stores until the last of its deaths."""


class MortalServer(Server):
    """One that dies where it is told."""

    module = "tests.faults.mortal_server"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[MortalServer]:
    """A server with a room for both, whose devices are enrolled."""
    one = MortalServer(tmp_path, MEDIA_WORKERS="1")
    await one.start()
    try:
        await one.room(ROOM)
        for account in PEOPLE:
            assert await device(one, account, 0, 0) == 0
        yield one
    finally:
        await one.stop()


async def device(one: Server, account: str, messages: int, total: int, die_at: str = "") -> int:
    """A life of someone's device: how it ended."""
    asked = (one.connect, account, str(file(one, account)), str(messages), str(total), die_at)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.sealed_client", *asked), cwd=ROOT
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def file(one: Server, account: str) -> Path:
    return one.folder / f"{account}.device"


async def check(one: Server) -> None:
    """Let both finish; everyone has read everything, once, and found nothing wrong."""
    ends = await asyncio.gather(*(device(one, who, MESSAGES, 2 * MESSAGES) for who in PEOPLE))
    assert ends == [0, 0]
    anna, ben = (msgpack.unpackb(file(one, who).read_bytes()) for who in PEOPLE)
    assert anna["defects"] == ben["defects"] == []
    assert anna["read"] == ben["read"]
    for who in PEOPLE:
        own = [text for text in anna["read"] if text.startswith(who)]
        assert own == [f"{who} {number}" for number in range(MESSAGES)]


async def test_a_device_that_is_killed_at_every_point(one: MortalServer) -> None:
    assert await device(one, "ben", MESSAGES, MESSAGES) == 0
    for point in CLIENT_POINTS:
        assert await device(one, "anna", MESSAGES, 2 * MESSAGES, f"{point} 3") == -signal.SIGKILL, point
    await check(one)


async def test_a_server_that_is_killed_at_every_point(one: MortalServer) -> None:
    await one.stop()
    for life, point in enumerate(SERVER_POINTS, start=1):
        (one.folder / DIE_AT).write_text(point)
        await one.start()
        each = life * MESSAGES // len(SERVER_POINTS)  # so that every life has something to store
        ends = await asyncio.gather(*(device(one, who, each, 2 * each) for who in PEOPLE))
        assert {*ends} <= {0, SERVER_GONE}, point
        assert one.process is not None
        assert await asyncio.wait_for(one.process.wait(), PATIENCE_SECONDS) == -signal.SIGKILL, point
    (one.folder / DIE_AT).unlink()
    await one.start()
    await check(one)

"""SIGKILL while an account is erased: all of it has happened or nothing, and asking again finishes it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.sqlite import SqliteStore
from tests.faults.mortal_server import DIE_AT
from tests.faults.processes import Server

ROOMS = ("p", "q", "r")
PATIENCE_SECONDS = 60


class MortalServer(Server):
    """One that dies where it is told."""

    module = "tests.faults.mortal_server"


async def state(one: Server) -> tuple[set[str], bool]:
    """The rooms that Ben is in, and whether he is barred; while no server runs."""
    store = SqliteStore(one.folder / "rapport.db")
    await store.open()
    rooms = {each.room for each in await store.rooms_of("ben", limit=9)}
    barred = await store.revocation("ben", "") is not None
    await store.close()
    return rooms, barred


async def test_an_erasure_happens_or_it_does_not(tmp_path: Path) -> None:
    one = MortalServer(tmp_path, MEDIA_WORKERS="1")

    async def erase() -> Any:
        return await one.ask("POST", "/v1/accounts/ben/erase", {}, key="erase-ben")

    try:
        await one.start()
        for room in ROOMS:
            await one.room(room)
        await one.stop()
        for point, happened in (("erase 1", False), ("commit 1", False), ("erased 1", True)):
            (tmp_path / DIE_AT).write_text(point)
            await one.start()
            with pytest.raises(aiohttp.ClientError):
                await erase()
            assert one.process is not None
            assert await asyncio.wait_for(one.process.wait(), PATIENCE_SECONDS) == -signal.SIGKILL, point
            assert await state(one) == ((set(), True) if happened else (set(ROOMS), False)), point
        (tmp_path / DIE_AT).unlink()
        await one.start()
        assert (await erase())["rooms"] == len(ROOMS), "the reply that was lost"
        for room in ROOMS:
            members = (await one.ask("GET", f"/v1/rooms/{room}/members"))["items"]
            assert [each["account"] for each in members] == ["anna"]
            assert (await one.ask("GET", f"/v1/rooms/{room}"))["head"] == 3, "he has left once"
    finally:
        await one.stop()

"""SIGKILL of a server in a stream of changes: every one that was answered is in the trail, which is whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from relay.audit_trail import AuditFilter
from relay.sqlite.trail import SqliteTrail
from signaling import cli
from tests.faults.processes import Server, server

KILLS = 4
CHANGES_BETWEEN_KILLS = 30


async def stream(one: Server, room: str, added: list[str], answered: asyncio.Semaphore) -> None:
    """Add one member after another to a room, until the server is gone; ``added`` were answered."""
    for number in range(len(added), 100_000):
        account = f"{room}-{number:05}"
        try:
            await one.ask("POST", f"/v1/rooms/{room}/members", {"account": account, "role": "guest"})
        except (aiohttp.ClientError, OSError):
            return
        added.append(account)
        answered.release()


async def subjects(store: Path) -> list[str]:
    """Whose additions are recorded."""
    trail = SqliteTrail(store)
    found = await trail.audit(after=0, limit=100_000, matching=AuditFilter(action="member.added.guest"))
    await trail.close()
    return [one.entry.subject for one in found]


async def test_no_change_is_without_its_entry_whenever_the_server_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify = ("audit", "verify", "--store", f"sqlite:///{tmp_path / 'rapport.db'}")
    added: dict[str, list[str]] = {"r0": [], "r1": []}
    async with server(tmp_path, AUDIT_CHECKPOINT_ENTRIES="7", AUDIT_CHECKPOINT_SECONDS="1") as one:
        for room in added:
            await one.room(room)
        for _ in range(KILLS):
            answered = asyncio.Semaphore(0)
            streams = [asyncio.create_task(stream(one, *pair, answered)) for pair in added.items()]
            for _ in range(CHANGES_BETWEEN_KILLS):
                await answered.acquire()
            await one.kill()
            await asyncio.gather(*streams)
            recorded = await subjects(tmp_path / "rapport.db")
            for accounts in added.values():
                assert set(accounts) <= set(recorded)
            assert await asyncio.to_thread(cli.main, verify) == 0, capsys.readouterr().out
            await one.start()
    assert await asyncio.to_thread(cli.main, verify) == 0
    recorded = await subjects(tmp_path / "rapport.db")
    assert len(recorded) == len(set(recorded)), "nor is an entry without its change"

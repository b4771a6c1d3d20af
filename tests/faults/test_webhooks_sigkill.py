"""SIGKILL of a server that delivers: what was answered is told, in its order, under the same id if twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.faults.processes import Server, server
from tests.signaling.webhook_kit import SECRET, Received, Receiver, receiver

ROOMS = 3
KILLS = 5
MORE_BETWEEN_KILLS = 12


async def stream(one: Server, room: str, added: list[str]) -> None:
    """Add one member after another to a room; ``added`` are those whose addition was answered."""
    for number in range(100_000):
        account = f"{room}-{number:05}"
        while account not in added:
            try:
                await one.ask("POST", f"/v1/rooms/{room}/members", {"account": account, "role": "guest"})
                added.append(account)
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.01)  # it is dead at the moment, and may have added it or not


def told(received: list[Received]) -> dict[str, list[tuple[str, str]]]:
    """By room, ids of deliveries and whom they are about, in the order of their first arrival."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for got in received:
        assert got.signed_by(SECRET)
        body = got.json
        account = body["data"]["account"]
        assert found[body["room"]].setdefault(got.id, account) == account
    return {room: list(by_id.items()) for room, by_id in found.items()}


async def caught_up(there: Receiver, added: dict[str, list[str]]) -> None:
    async with asyncio.timeout(60):
        while True:
            arrived = {account for room in told(there.received).values() for _, account in room}
            if arrived.issuperset(account for accounts in added.values() for account in accounts):
                return
            await there.until(len(there.received) + 1)


async def test_nothing_that_was_answered_is_left_untold(tmp_path: Path) -> None:
    answers = 0

    async def respond(_: Received) -> web.Response:
        nonlocal answers
        answers += 1
        await asyncio.sleep(0.02 if answers % 3 else 0)  # a kill finds requests answered and not yet answered
        return web.Response(status=503 if answers % 7 == 0 else 200)

    async with receiver(respond) as there:
        settings = {
            "WEBHOOKS_ENDPOINTS": f"there={there.url}",
            "WEBHOOKS_SECRETS": f"there={SECRET}",
            "WEBHOOKS_RETRY_SECONDS": "0.05",
            "WEBHOOKS_RETRY_MAX_SECONDS": "0.1",
        }
        async with server(tmp_path, **settings) as one:
            added: dict[str, list[str]] = {f"r{number}": [] for number in range(ROOMS)}
            for room in added:
                await one.ask("POST", "/v1/rooms", {"room": room})
            streams = [asyncio.create_task(stream(one, room, accounts)) for room, accounts in added.items()]
            for _ in range(KILLS):
                await there.until(len(there.received) + MORE_BETWEEN_KILLS)
                await one.kill()
                await one.start()
            for task in streams:
                task.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
            await caught_up(there, added)
    for room, accounts in added.items():
        arrived = [account for _, account in told(there.received)[room]]
        assert arrived == sorted(arrived), "in the order in which they were added"
        assert len(set(arrived)) == len(arrived), "told of once: what comes twice comes under the same id"
        assert set(accounts) <= set(arrived)

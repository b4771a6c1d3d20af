"""A synthetic participant keeps itself in the session, whatever breaks beneath it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from loadtest.backend import BackEnd
from loadtest.peer import Peer
from loadtest.private_server import private_server


def children(parent: int) -> list[int]:
    """The processes that a process has started and that still run."""
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def media_worker() -> int:
    """The process of the only media worker of the server that this test has started."""
    workers = [
        worker
        for server in children(os.getpid())
        for worker in children(server)
        if b"rtc.worker" in Path(f"/proc/{worker}/cmdline").read_bytes()
    ]
    (worker,) = workers
    return worker


@asynccontextmanager
async def a_call() -> AsyncIterator[tuple[Peer, Peer]]:
    """Two participants in a video session who see and hear each other."""
    settings = {"RAPPORT_MEDIA_WORKERS": "1"}
    async with asyncio.timeout(90), private_server(settings) as target, aiohttp.ClientSession() as http:
        back_end = BackEnd(target, http)
        room = await back_end.create_room({"t": "therapist", "c": "client"})
        session = await back_end.create_session(room, "video", 300)
        peers = Peer(target, "t", "therapist", "video"), Peer(target, "c", "client", "video")
        try:
            for peer in peers:
                await peer.join(room, session)
            for peer in peers:
                await peer.first_media(20)
            yield peers
        finally:
            await asyncio.gather(*(peer.close() for peer in peers))


async def test_media_comes_back_over_another_worker() -> None:
    async with a_call() as peers:
        killed = media_worker()
        os.kill(killed, signal.SIGKILL)
        # What was in flight does not count: news is what comes through the new peer connection.
        for peer in peers:
            await peer.until(lambda peer=peer: peer.calls == 2, 20, "second_call")  # type: ignore[misc]
            await peer.more_media(20)
        assert media_worker() != killed
        assert [peer.reason for peer in peers] == [None, None]


async def test_a_cut_off_participant_keeps_its_call_and_its_place_in_the_chat() -> None:
    async with a_call() as (therapist, client):
        client.client.cut(1.0)
        await therapist.say("?1")
        await client.more_media(10)
        await therapist.until(lambda: therapist.heard("!1"), 10, "answer")
        assert client.calls == 1
        assert (client.client.tally.connections, client.client.tally.gaps, client.doubled) == (2, 0, 0)

"""A media worker is killed in the middle of calls: they go on with another, and nothing is left behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from loadtest.peer import Peer
from loadtest.target import Target
from tests.faults.processes import KEY, SECRET, Server, alive, kill, server
from tests.signaling.waiting import until

PATIENCE = 60.0
"""Seconds for what takes a moment on a machine that has nothing else to do."""


@contextlib.asynccontextmanager
async def call(one: Server, room: str, *people: str) -> AsyncIterator[tuple[Peer, Peer]]:
    """A therapist and a client with stock aiortc who see and hear each other."""
    therapist, client = people or ("anna", "ben")
    await one.room(room, therapist, client)
    await one.session(room, f"{room}-session")
    target = Target(one.url, KEY, SECRET)
    anna, ben = Peer(target, therapist, "therapist", "video"), Peer(target, client, "client", "video")
    try:
        for peer in (anna, ben):
            await peer.join(room, f"{room}-session")
        for peer in (anna, ben):
            await peer.first_media(PATIENCE)
        yield anna, ben
    finally:
        await anna.close()
        await ben.close()


async def test_a_call_goes_on_with_a_new_worker_after_everyone_has_offered_again(tmp_path: Path) -> None:
    async with server(tmp_path) as one:
        async with call(one, "r") as (anna, ben):
            for life in (1, 2):
                (worker,) = one.workers()
                began = time.monotonic()
                kill(worker)
                for peer in (anna, ben):
                    await peer.until(lambda peer=peer, life=life: peer.calls > life, PATIENCE, "reoffer")  # type: ignore[misc]  # mypy: defaults of a lambda
                    await peer.more_media(PATIENCE)
                print(f"media back after {time.monotonic() - began:.2f} s")  # noqa: T201 - a figure to look at
                assert worker not in one.workers()
            assert anna.changes == ben.changes == ["scheduled", "opened", "live"]
            assert (await one.ask("GET", "/v1/sessions/r-session"))["state"] == "live"
        (worker,) = one.workers()
        await one.stop()
        await until(lambda: not alive(worker))


async def test_a_call_on_another_worker_is_not_disturbed(tmp_path: Path) -> None:
    async with (
        server(tmp_path, MEDIA_WORKERS="2") as one,
        call(one, "first") as (anna, _),
        call(one, "second", "carl", "dora") as (carl, _),
    ):
        before = one.workers()
        kill(before[0])
        await until(lambda: len(one.workers()) == 2 and before[0] not in one.workers())
        for peer in (anna, carl):
            await peer.more_media(PATIENCE)
        assert sorted([anna.calls, carl.calls]) == [1, 2]


async def test_no_worker_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    async with server(tmp_path, MEDIA_WORKERS="2") as one:
        workers = one.workers()
        assert len(workers) == 2
        await one.kill()
        await until(lambda: not any(map(alive, workers)))

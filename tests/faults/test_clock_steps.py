"""The machine's clock jumps by an hour, forward and back, under a running server and between two of them."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from protocol.codec import decode_body
from protocol.events import SessionBody
from protocol.fields import Role
from relay.sqlite import SqliteStore
from signaling.sessions.session import Session, from_row
from tests.faults.processes import Stepped, token
from tests.signaling.door_client import DoorClient, door_client

HOUR = 3600
LENGTH = 13
PEOPLE: dict[str, Role] = {"anna": "therapist", "ben": "client"}


async def meet(one: Stepped, stack: AsyncExitStack, *sessions: str) -> DoorClient:
    """Both join the sessions; the therapist's connection."""
    clients: list[DoorClient] = []
    for account, role in PEOPLE.items():
        client = await stack.enter_async_context(door_client(one.connect))
        await client.hello(token(account, role, one.ahead_seconds))
        for session in sessions:
            reply = await client.request("session.join", session=session)
            assert reply["op"] == "ok", reply
        clients.append(client)
    return clients[0]


async def stored(folder: Path, name: str) -> tuple[Session, list[tuple[int, SessionBody]]]:
    """A session, and the events of its room, which has the same name."""
    store = SqliteStore(folder / "rapport.db")
    await store.open()
    try:
        row = await store.session(name)
        assert row is not None
        page = await store.events(name, after=0, limit=1000, max_bytes=1 << 24)
    finally:
        await store.close()
    events = [(event.at_ms, decode_body(event.body)) for event in page.events]
    return from_row(row), [(at_ms, body) for at_ms, body in events if isinstance(body, SessionBody)]


def ends(events: list[tuple[int, SessionBody]]) -> list[tuple[str, int | None]]:
    return [(str(body.reason), body.due_ms) for _, body in events if body.reason]


async def test_a_running_server_keeps_its_time(tmp_path: Path) -> None:
    one = Stepped(tmp_path)
    await one.start_at(0)
    try:
        async with AsyncExitStack() as stack:
            for room in ("s", "later"):
                await one.room(room)
            later = await one.session("later", "later", starts_ms=time.time_ns() // 1_000_000 + HOUR * 1000)
            began = time.monotonic()
            agreed = await one.session("s", "s", length_seconds=LENGTH)
            anna = await meet(one, stack, "s")
            for ahead_seconds in (HOUR, -HOUR):
                one.step(ahead_seconds)
                await asyncio.sleep(1.5)  # long enough for the clock to load what it takes for near
                assert (await one.ask("GET", "/v1/sessions/s"))["state"] == "live"
            end = await anna.expect(lambda frame: frame.get("body", {}).get("reason") == "completed")
            assert time.monotonic() - began >= LENGTH, "early"
            assert end["body"]["due_ms"] == agreed["agreed_end_ms"]
            assert await one.ask("GET", "/v1/sessions/later") == later
    finally:
        await one.stop()
    session, events = await stored(tmp_path, "s")
    assert ends(events) == [("completed", agreed["agreed_end_ms"])]
    instants = [at_ms for at_ms, _ in events]
    assert instants == sorted(instants)
    both = session.segments[-1]
    assert (both.starts_ms, both.ends_ms, len(both.present)) == (session.live_ms, session.ended_ms, 2)
    assert session.ended_ms == agreed["agreed_end_ms"]


async def test_the_next_server_starts_from_its_own_time_and_repeats_nothing(tmp_path: Path) -> None:
    one = Stepped(tmp_path)
    await one.start_at(0)
    agreed: dict[str, Any] = {}
    try:
        for name, seconds in (("short", 600), ("long", 3 * HOUR)):
            await one.room(name)
            agreed[name] = await one.session(name, name, length_seconds=seconds)
        async with AsyncExitStack() as stack:
            anna = await meet(one, stack, "short", "long")
            # A sign of life: from the last one on those who were there count as absent.
            assert (await anna.request("session.modality", session="long", modality="audio"))["op"] == "ok"
            await one.kill()
        killed_ms = time.time_ns() // 1_000_000

        await one.start_at(HOUR)
        assert (await one.ask("GET", "/v1/sessions/short"))["ended_ms"] == agreed["short"]["agreed_end_ms"]
        async with AsyncExitStack() as stack:
            await meet(one, stack, "long")
            await one.kill()

        await one.start_at(0)
        async with AsyncExitStack() as stack:
            anna = await meet(one, stack, "long")
            reply = await anna.request("session.end", session="long")
            assert reply["result"]["reason"] == "left"
        await one.room("new")
        new = await one.session("new", "new", length_seconds=3)
        await one.reaches("new", "no_show")
    finally:
        await one.stop()
    short, events = await stored(tmp_path, "short")
    # Nobody was back within the grace, so at its end it was empty.
    assert ends(events) == [("left", agreed["short"]["agreed_end_ms"])]
    assert short.segments[-1].ends_ms is not None
    assert short.segments[-1].ends_ms <= killed_ms

    held, events = await stored(tmp_path, "long")
    assert ends(events) == [("left", None)]
    instants = [instant for one in held.segments for instant in (one.starts_ms, one.ends_ms)]
    assert None not in instants
    assert instants == sorted(instant for instant in instants if instant is not None)
    both = [one for one in held.segments if len(one.present) == 2]
    assert (both[0].ends_ms or 0) <= killed_ms
    assert held.ended_ms is not None
    assert held.ended_ms >= killed_ms + HOUR * 1000 - 1000, "time went back within a session"

    _, events = await stored(tmp_path, "new")
    assert ends(events) == [("no_show", new["agreed_end_ms"])]

"""A killed server keeps its word about time: what fell due meanwhile is carried out once, as it was due."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from tests.faults.processes import Server, Stepped, server, token
from tests.signaling.door_client import DoorClient, door_client


async def log(one: Server, room: str, account: str = "anna") -> list[dict[str, Any]]:
    """The session events of a room's log."""
    async with door_client(one.connect) as reader:
        await reader.hello(token(account, "therapist", one.ahead_seconds), "reader")
        history = await reader.request("room.history", room=room)
    return [event for event in history["result"]["events"] if event["body"]["kind"] == "session"]


async def joined(client: DoorClient, account: str, role: str, session: str) -> None:
    await client.hello(token(account, role))  # type: ignore[arg-type]
    reply = await client.request("session.join", session=session)
    assert reply["op"] == "ok", reply


async def wait_past(instant_ms: int) -> None:
    """Until an instant has passed, which is what this is about."""
    await asyncio.sleep(max(0.0, instant_ms / 1000 - time.time()) + 0.2)


async def test_a_session_ends_as_agreed_though_the_server_was_dead_at_its_end(tmp_path: Path) -> None:
    # https://github.com/twilio/twilio-video.js/issues/131: the length of a session was kept by clients.
    one = Stepped(tmp_path, SESSIONS_GRACE_SECONDS="3600")
    await one.start_at(0)
    try:
        await one.room("r")
        session = await one.session("r", "s", length_seconds=1200)
        noshow = await one.session("r", "n", length_seconds=600)
        later = await one.session("r", "later", length_seconds=600, starts_ms=session["starts_ms"] + 10**8)
        async with door_client(one.connect) as anna, door_client(one.connect) as ben:
            await joined(anna, "anna", "therapist", "s")
            await joined(ben, "ben", "client", "s")
            await one.kill()
        await one.start_at(1800)
        shown = await one.ask("GET", "/v1/sessions/s")
        assert (shown["state"], shown["reason"]) == ("ended", "completed")
        assert shown["ended_ms"] == session["agreed_end_ms"]
        assert (await one.ask("GET", "/v1/sessions/later")) == later
        events = await log(one, "r")
        ends = [event for event in events if event["body"]["change"] in {"ended", "no_show"}]
        assert [(end["body"]["session"], end["body"]["due_ms"]) for end in ends] == [
            ("n", noshow["agreed_end_ms"]),
            ("s", session["agreed_end_ms"]),
        ]
        assert all(end["at_ms"] > end["body"]["due_ms"] for end in ends)
        # Started again, it has nothing to add.
        await one.kill()
        await one.start()
        assert await log(one, "r") == events
    finally:
        await one.stop()


async def test_a_session_goes_on_over_a_kill_and_ends_in_time_for_who_came_back(tmp_path: Path) -> None:
    async with server(tmp_path) as one:
        await one.room("r")
        session = await one.session("r", "s", length_seconds=25)  # for two starts of a busy machine
        async with door_client(one.connect) as anna, door_client(one.connect) as ben:
            await joined(anna, "anna", "therapist", "s")
            await joined(ben, "ben", "client", "s")
            await one.kill()
        await one.start()
        async with door_client(one.connect) as anna:
            await joined(anna, "anna", "therapist", "s")
            reply = await anna.request("session.get", session="s")
            assert (reply["result"]["state"], reply["result"]["present"]) == ("live", ["anna", "ben"])
            end = await anna.expect(lambda frame: frame.get("body", {}).get("change") == "ended")
            assert end["body"]["due_ms"] == session["agreed_end_ms"]
            assert end["at_ms"] >= session["agreed_end_ms"]
        changes = [event["body"]["change"] for event in await log(one, "r")]
        assert changes == ["scheduled", "opened", "live", "ended"]


async def test_who_does_not_come_back_after_a_kill_has_left_when_the_grace_is_over(tmp_path: Path) -> None:
    async with server(tmp_path, SESSIONS_GRACE_SECONDS="1") as one:
        await one.room("r")
        await one.session("r", "s")
        async with door_client(one.connect) as anna, door_client(one.connect) as ben:
            await joined(anna, "anna", "therapist", "s")
            await joined(ben, "ben", "client", "s")
            await one.kill()
        await one.start()
        async with door_client(one.connect) as anna:
            await joined(anna, "anna", "therapist", "s")
            shown = await anna.request("session.get", session="s")
            while shown["result"]["present"] != ["anna"]:
                await asyncio.sleep(0.1)
                shown = await anna.request("session.get", session="s")


async def test_killed_again_and_again_around_many_ends_each_comes_once(tmp_path: Path) -> None:
    async with server(tmp_path) as one:
        await one.room("r")
        ends = {}
        for n in range(30):
            made = await one.session("r", f"s{n:02}", length_seconds=4 + n % 3)
            ends[made["session"]] = made["agreed_end_ms"]
        first, last = min(ends.values()), max(ends.values())
        kills = [first + 1, first + 400, last - 900, last + 1]
        for at_ms in kills:
            await asyncio.sleep(max(0.0, at_ms / 1000 - time.time()))
            await one.kill()
            await one.start()
        await wait_past(last)
        while True:
            told = [event for event in await log(one, "r") if event["body"]["change"] == "no_show"]
            if len(told) >= len(ends):
                break
        assert {event["body"]["session"]: event["body"]["due_ms"] for event in told} == ends
        assert len(told) == len(ends)
        assert all(event["at_ms"] >= event["body"]["due_ms"] for event in told)

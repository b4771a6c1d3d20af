"""A server that is killed while sessions stand at every point of their lives, again and again.

Nothing comes twice, nothing early, nothing is lost: one end each, each cue once, segments without a gap.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from protocol.codec import decode_body
from protocol.events import SessionBody
from protocol.fields import Role
from relay.audit_trail import AuditFilter
from relay.sqlite import SqliteStore
from signaling.sessions.session import GivenCue, Session, from_row
from tests.faults.processes import Server, server, token
from tests.signaling.door_client import DoorClient, door_client

ROLES: dict[str, Role] = {"anna": "therapist", "ben": "client"}
BACK = 600.0
"""Within this time everyone is back: no absence of this test is leaving."""
HARD, CUED, OVERRUN = 16, 21, 3
"""Lengths in seconds: of the sessions that end while the server is dead, and of the one that is cued."""
CUES = (*range(CUED, CUED - 15, -2), 0)
DAY_MS = 86_400_000

POINTS: Mapping[str, tuple[str, ...]] = {
    "scheduled": ("scheduled", "cancelled"),
    "window": ("scheduled", "opened", "no_show"),
    "open": ("scheduled", "opened", "cancelled"),
    "waiting": ("scheduled", "opened", "live", "ended"),
    "live": ("scheduled", "opened", "live", "ended"),
    "cued": ("scheduled", "opened", "live", "overrun", "ended"),
    "hard": ("scheduled", "opened", "live", "ended"),
    "overrun": ("scheduled", "opened", "live", "overrun", "ended"),
    "urgent": ("scheduled", "opened", "live", "urgent", "urgent_cleared", "ended"),
    "closed": ("scheduled", "opened", "live", "ended"),
}
"""A session for each point, which is also the name of its room, and what happens to it."""

JOINED = ("live", "cued", "hard", "overrun", "urgent")


class Life:
    """The people of the sessions, who come back after every kill."""

    def __init__(self, one: Server, stack: AsyncExitStack) -> None:
        self._one = one
        self._stack = stack
        self.people: dict[str, DoorClient] = {}
        self.cues: dict[str, list[tuple[str, int]]] = {account: [] for account in ROLES}
        self.killed_ms: list[int] = []
        self.back: dict[str, bool] = {}
        """By session, whether both were in it again after the last kill."""

    async def connect(self) -> None:
        """Both connect; whoever was in a session or its waiting room goes there again."""
        for account, role in ROLES.items():
            client = await self._stack.enter_async_context(door_client(self._one.connect))
            await client.hello(token(account, role))
            self.people[account] = client
        for session in JOINED:
            self.back[session] = all([await self.join(account, session) for account in ROLES])
        for account in ROLES:
            await self.join(account, "waiting")

    async def join(self, account: str, session: str) -> bool:
        reply = await self.people[account].request("session.join", session=session)
        assert reply["op"] == "ok" or reply["name"] == "session_over", reply
        return bool(reply["op"] == "ok")

    async def ask(self, account: str, op: str, session: str, **more: Any) -> Any:
        """Something that must work."""
        reply = await self.people[account].request(op, session=session, **more)
        assert reply["op"] == "ok", reply
        return reply["result"]

    async def kill(self) -> None:
        """SIGKILL. What had been sent until then was received."""
        await self._one.kill()
        self.killed_ms.append(time.time_ns() // 1_000_000)
        for account, client in self.people.items():
            await client.close_code()
            bodies = [frame.get("body", {}) for frame in client.seen]
            self.cues[account] += [
                (one["until"], one["left_ms"]) for one in bodies if one.get("kind") == "cue"
            ]

    async def restart(self) -> None:
        await self._one.start()
        await self.connect()


async def test_killed_at_every_point_of_a_session(tmp_path: Path) -> None:
    async with server(tmp_path) as one, AsyncExitStack() as stack:
        life = Life(one, stack)
        agreed = await schedule(one)
        await life.connect()
        await life.ask("ben", "session.urgent", "urgent", active=True)
        for account in ROLES:
            await life.ask(account, "session.join", "closed")
        await life.ask("anna", "session.end", "closed")
        await life.kill()

        await life.restart()
        anna = life.people["anna"]
        anna.seen.append(await anna.expect(lambda frame: frame.get("body", {}).get("kind") == "cue"))
        await life.kill()

        await life.restart()
        await until(agreed["hard"]["agreed_end_ms"] - 300)
        await life.kill()
        await until(agreed["hard"]["agreed_end_ms"] + 1)

        await life.restart()
        back = dict(life.back)
        await one.reaches("cued", "ended")
        await life.kill()

        await life.restart()
        await finish(life, one)
        await life.kill()
        await one.start()
        await one.stop()
        await check(tmp_path, agreed, life, back["cued"])


async def schedule(one: Server) -> dict[str, Any]:
    """The sessions, those that end by themselves at last."""
    in_hall = {"waiting_room": "everyone", "grace_seconds": BACK}
    direct = {"waiting_room": "nobody", "grace_seconds": BACK, "cues_to": "nobody"}
    now_ms = time.time_ns() // 1_000_000
    specs: dict[str, dict[str, Any]] = {
        "scheduled": {"starts_ms": now_ms + DAY_MS},
        "open": {},
        "waiting": {"policy": in_hall},
        "live": {"policy": direct},
        "closed": {"policy": direct},
        "window": {
            "starts_ms": now_ms + 8000,
            "length_seconds": 3,
            "policy": direct | {"join_window_seconds": 0},
        },
        "urgent": {"length_seconds": HARD, "policy": direct | {"hard_end": True}},
        "overrun": {"length_seconds": HARD, "policy": direct | {"overrun_seconds": 600}},
        "hard": {"length_seconds": HARD, "policy": direct | {"hard_end": True}},
        "cued": {
            "length_seconds": CUED,
            "policy": direct
            | {
                "overrun_seconds": OVERRUN,
                "cues_to": "everyone",
                "cue_seconds": CUES,
                "cap_cue_seconds": [2, 1],
            },
        },
    }
    agreed = {}
    for name, spec in specs.items():
        await one.room(name)
        agreed[name] = await one.session(name, name, **{"policy": {"grace_seconds": BACK}} | spec)
    return agreed


async def finish(life: Life, one: Server) -> None:
    """Bring to an end what does not end by itself within this test."""
    await life.ask("anna", "session.admit", "waiting", accounts=["ben"])
    for session in ("waiting", "live", "overrun"):
        await life.ask("anna", "session.end", session)
    assert (await one.ask("GET", "/v1/sessions/urgent"))["state"] == "live"
    await life.ask("anna", "session.urgent", "urgent", active=False)
    for session in ("scheduled", "open"):
        await one.ask("DELETE", f"/v1/sessions/{session}")


async def until(instant_ms: int) -> None:
    """Until an instant, or not at all if it has passed."""
    await asyncio.sleep(max(0.0, instant_ms / 1000 - time.time()))


async def check(folder: Path, agreed: dict[str, Any], life: Life, cued_to_the_end: bool) -> None:
    """What the store says of all this."""
    store = SqliteStore(folder / "rapport.db")
    await store.open()
    try:
        sessions, told = {}, {}
        for name in POINTS:
            row = await store.session(name)
            assert row is not None
            sessions[name] = from_row(row)
            page = await store.events(name, after=0, limit=1000, max_bytes=1 << 24)
            told[name] = [(event.at_ms, decode_body(event.body)) for event in page.events]
        audited = await store.audit(after=0, limit=100_000, matching=AuditFilter(object_kind="session"))
    finally:
        await store.close()
    actions = Counter((one.entry.object_id, one.entry.action) for one in audited)
    for name, changes in POINTS.items():
        events = [(at_ms, body) for at_ms, body in told[name] if isinstance(body, SessionBody)]
        assert tuple(body.change for _, body in events) == changes, name
        assert all(at_ms >= body.due_ms for at_ms, body in events if body.due_ms is not None), "early"
        assert {actions[name, f"session.{change}"] for change in changes} == {1}
        ended_ms, last = events[-1][0], events[-1][1]
        if name == "urgent":  # it was over when that was cleared, and says since when that was due
            assert last.due_ms == agreed[name]["agreed_end_ms"]
            ended_ms = events[-2][0]
        elif last.due_ms is not None:
            ended_ms = last.due_ms
        assert sessions[name].ended_ms == ended_ms
    for name in ("window", "hard"):
        assert sessions[name].ended_ms == agreed[name]["agreed_end_ms"]
    assert {name: session.reason for name, session in sessions.items()} == {
        "scheduled": "cancelled",
        "open": "cancelled",
        "window": "no_show",
        "waiting": "left",
        "live": "left",
        "closed": "left",
        "cued": "cap",
        "hard": "completed",
        "overrun": "completed",
        "urgent": "completed",
    }
    check_cues(sessions["cued"], life)
    for name in ("waiting", "live", "closed", "overrun", "urgent"):
        check_segments(sessions[name], sessions[name].ended_ms)
    check_segments(sessions["cued"], sessions["cued"].ended_ms if cued_to_the_end else None)
    assert check_segments(sessions["hard"], None) <= life.killed_ms[2]


def check_cues(session: Session, life: Life) -> None:
    """Every cue that was due while the session was live has been given, and nobody was given one twice."""
    assert session.live_ms is not None
    due = [("agreed_end", left * 1000, session.agreed_end_ms - left * 1000) for left in CUES]
    due += [("cap", left * 1000, session.cap_ms - left * 1000) for left in (2, 1)]
    expected = [GivenCue(until, left, at) for until, left, at in due if at > session.live_ms]  # type: ignore[arg-type]
    assert list(session.cues) == expected
    for account in ROLES:
        assert len(set(life.cues[account])) == len(life.cues[account])
        assert set(life.cues[account]) <= {(cue.until, cue.left_ms) for cue in expected}


def check_segments(session: Session, ends_ms: int | None) -> int:
    """Both were there from when it was live, without a gap, up to an instant, which is returned."""
    assert session.live_ms is not None
    (both,) = [one for one in session.segments if len(one.present) == len(ROLES)]
    assert both == session.segments[-1]
    assert both.starts_ms == session.live_ms
    assert both.ends_ms is not None
    assert session.live_ms < both.ends_ms <= (session.ended_ms or 0)
    assert ends_ms is None or both.ends_ms == ends_ms
    for before, after in zip(session.segments, session.segments[1:], strict=False):
        assert before.ends_ms == after.starts_ms
    return both.ends_ms

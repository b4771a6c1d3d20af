"""Thousands of deadlines in the same second, and two nodes on one store that both carry them out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.bus.local import LocalBus
from signaling.rooms import Rooms
from signaling.sessions.bookings import StoredBookings
from signaling.sessions.changes import Changes
from signaling.sessions.clock import Clock
from signaling.sessions.service import Sessions
from signaling.sessions.telling import Telling
from signaling.sessions.terms import Wishes
from tests.signaling.sessions_kit import MINUTE, POLICY, Duty, Kit, Told, person

SESSIONS = 2000
HELD = 40
"""As many of them as are live, with two people in each."""


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with Kit(tmp_path / "store.db") as kit:
        yield kit


class Node:
    """One of several nodes on a store: a service and a clock of its own."""

    def __init__(self, kit: Kit) -> None:
        self.told = Told()
        self.met: list[int] = []
        self.clock = Clock(kit.store, kit.timebase, self.met.append, Duty())
        rooms = Rooms(kit.store, LocalBus(), kit.timebase)
        telling = Telling(kit.store, self.told, self.told, kit.timebase)
        changes = Changes(kit.store, rooms, telling, kit.timebase, self.clock.put, lambda _: None)
        self.sessions = Sessions(kit.store, changes, StoredBookings(kit.store), kit.timebase, POLICY)

    async def catch_up(self) -> None:
        await self.clock.catch_up(self.sessions.fire)


async def many(kit: Kit) -> int:
    """Sessions whose ends are spread over one second, a few at each millisecond; returns the last end."""
    people = [kit.room(f"r{number}") for number in range(HELD)]
    await asyncio.gather(*people)
    made = [
        kit.scheduled(
            f"s{number}",
            room=f"r{number % HELD}",
            length_ms=MINUTE + number % 1000,
            wishes=Wishes(cues_to="everyone", cues_ms=(0,), waiting_room="nobody"),
        )
        for number in range(SESSIONS)
    ]
    await asyncio.gather(*made)
    for number in range(HELD):
        await kit.sessions.join(person("anna", "therapist", f"a{number}"), f"s{number}")
        await kit.sessions.join(person("ben", "client", f"b{number}"), f"s{number}")
    return kit.clock.ms + MINUTE + 999


async def ends(kit: Kit) -> list[tuple[str, str, int | None]]:
    """Session, change and due time of every end in every log."""
    logs = [await kit.log(f"r{number}") for number in range(HELD)]
    return [
        (body.session, body.change, body.due_ms)
        for log in logs
        for body in log
        if body.change in {"ended", "no_show", "cancelled"}
    ]


@pytest.mark.parametrize("nodes", [1, 2])
async def test_thousands_in_the_same_second_each_fire_once_whoever_gets_there(kit: Kit, nodes: int) -> None:
    last_ms = await many(kit)
    first_ms = last_ms - 999
    racing = [Node(kit) for _ in range(nodes)]
    kit.clock.wait_ms(first_ms - 1 - kit.clock.ms)
    await asyncio.gather(*(node.catch_up() for node in racing))
    assert await ends(kit) == []
    kit.clock.wait_ms(last_ms - kit.clock.ms)
    await asyncio.gather(*(node.catch_up() for node in racing))

    ended = await ends(kit)
    assert Counter(session for session, _, _ in ended) == {f"s{n}": 1 for n in range(SESSIONS)}
    assert {session: due_ms for session, _, due_ms in ended} == {
        f"s{number}": first_ms + number % 1000 for number in range(SESSIONS)
    }
    assert Counter(change for _, change, _ in ended) == {"ended": HELD, "no_show": SESSIONS - HELD}
    for number in range(HELD):
        session = await kit.sessions.find(f"s{number}")
        assert [cue.due_ms for cue in session.cues] == [session.agreed_end_ms]
        assert session.segments[-1].ends_ms == session.ended_ms == session.agreed_end_ms
    cut = Counter(one for node in racing for one in node.told.media_cut)
    assert cut == {f"s{number}": 1 for number in range(SESSIONS)}
    assert all(node.met for node in racing)
    assert await kit.store.deadlines(due_before_ms=1 << 52, limit=10) == ()

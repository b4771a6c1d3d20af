"""People who write to each other whatever happens, and a checker of what became of every word.

It keeps what was acknowledged to each sender and what each device was given, and compares both with the log
at the end, as Jepsen does: nothing acknowledged is lost, nothing is there twice, everybody has all of it once
and in the same order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp

from loadtest.backend import BackEnd
from loadtest.client import Client, Pace
from loadtest.target import Target
from protocol.fields import Role
from relay.store import Store
from tests.faults.deployment import Deployment, deployment

PATIENCE = 120.0
ROOMS = 4
PAUSE = 0.02  # s, between the messages of one person


class Talker:
    """One device of one person in one room, which writes until it is told to stop."""

    def __init__(self, target: Target, room: str, account: str, role: Role) -> None:
        self.room = room
        self.account = account
        self.acknowledged: dict[bytes, int] = {}  # mid -> offset
        self.given: list[tuple[int, bytes | None]] = []  # offset, and mid of a message
        pace = Pace(connect=PATIENCE, reply=PATIENCE)
        self.client = Client(
            target.connect, "d1", lambda: target.participant_token(account, role), self, pace=pace
        )

    def on_welcome(self, welcome: dict[str, Any]) -> None:
        """Nothing is to be done: the client resumes by itself."""

    def on_event(self, event: dict[str, Any]) -> None:
        """Keep what was given."""
        body = event["body"]
        mid = UUID(bytes=body["mid"]).bytes if body["kind"] == "message" else None
        self.given.append((event["offset"], mid))

    def on_log(self, frame: dict[str, Any]) -> None:
        """A log never begins anew here: nothing was restored."""
        assert frame["op"] != "reset", frame

    def on_signal(self, signal: dict[str, Any]) -> None:
        """Signals may be lost."""

    def has(self, offset: int) -> bool:
        """Whether the device was given the event at this offset."""
        return bool(self.given) and self.given[-1][0] >= offset

    async def talk(self, until: asyncio.Event) -> None:
        """Write one message after the other, each until it is acknowledged."""
        number = 0
        while not until.is_set():
            number += 1
            mid, place = await self.client.send_message(self.room, b"%s %d" % (self.account.encode(), number))
            self.acknowledged[mid.bytes] = place["offset"]
            await asyncio.sleep(PAUSE)


class Talk:
    """All of them."""

    def __init__(self, talkers: Sequence[Talker]) -> None:
        self.talkers = talkers
        self._enough = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def acknowledged(self) -> int:
        """How many messages were, so far."""
        return sum(len(talker.acknowledged) for talker in self.talkers)

    def begin(self) -> None:
        """Have everybody write."""
        self._tasks = [asyncio.create_task(talker.talk(self._enough)) for talker in self.talkers]

    async def goes_on(self, messages: int = 5) -> None:
        """Wait until everybody has written so many more messages, and been acknowledged."""
        before = {talker: len(talker.acknowledged) for talker in self.talkers}
        async with asyncio.timeout(PATIENCE):
            while any(len(talker.acknowledged) < before[talker] + messages for talker in self.talkers):
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        """Have everybody finish the message under way."""
        self._enough.set()
        await asyncio.gather(*self._tasks)

    async def check(self, store: Store) -> None:
        """Wait until everybody has everything, and compare."""
        for room in dict.fromkeys(talker.room for talker in self.talkers):
            page = await store.events(room, after=0, limit=1_000_000, max_bytes=1 << 40)
            assert [event.offset for event in page.events] == list(range(1, page.log.head + 1))
            log = [(event.offset, event.mid) for event in page.events]
            said = Counter(mid for _, mid in log if mid is not None)
            assert set(said.values()) <= {1}, "a message is in the log twice"
            for talker in (one for one in self.talkers if one.room == room):
                async with asyncio.timeout(PATIENCE):
                    while not talker.has(page.log.head):  # noqa: ASYNC110 - a client changes it
                        await asyncio.sleep(0.02)
                lost = talker.acknowledged.items() - {(mid, offset) for offset, mid in log if mid}
                assert not lost, f"{len(lost)} of {len(talker.acknowledged)} acknowledged messages are lost"
                first = talker.given[0][0]
                assert talker.given == log[first - 1 :], "a device was given something else than the log"
                assert {mid for _, mid in talker.given if mid} >= talker.acknowledged.keys()
                assert (talker.client.tally.faults, talker.client.tally.resets) == (0, 0)


@contextlib.asynccontextmanager
async def talk(target: Target, back_end: BackEnd, rooms: int) -> AsyncIterator[Talk]:
    """Two people in each of so many rooms, connected and writing."""
    talkers: list[Talker] = []
    for _ in range(rooms):
        number = len(talkers)
        people: dict[str, Role] = {f"t{number}": "therapist", f"c{number}": "client"}
        room = await back_end.create_room(people)
        talkers += [Talker(target, room, account, role) for account, role in people.items()]
    async with contextlib.AsyncExitStack() as stack:
        for talker in talkers:
            await stack.enter_async_context(talker.client)
        whole = Talk(talkers)
        whole.begin()
        yield whole


@contextlib.asynccontextmanager
async def talking(folder: Path, count: int = 2, **settings: str) -> AsyncIterator[tuple[Deployment, Talk]]:
    """A deployment in use. What became of everything is checked at the end, when all servers are back."""
    async with (
        deployment(folder, count, **settings) as whole,
        aiohttp.ClientSession() as http,
        talk(whole.target, BackEnd(whole.target, http), ROOMS) as people,
    ):
        await people.goes_on()
        yield whole, people
        await whole.ready()
        await people.goes_on()
        await people.end()
        async with whole.store() as store:
            await people.check(store)

"""One session from its creation to its end, and what it came to.

Two participants join, exchange media as the modality says, and write to each other once a second. A session
is *held* when all of it came about, to the end: see :meth:`Scenario.hold`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine
from typing import Any, Final

import aiohttp

from loadtest.backend import BackEnd
from loadtest.errors import NotHeld
from loadtest.peer import Peer
from loadtest.report import Outcome, Plan
from loadtest.target import Target

LIVE_SECONDS: Final = 10.0
FIRST_MEDIA_SECONDS: Final = 20.0
FLOW_SECONDS: Final = 5.0
"""How long media may stand still."""
ANSWER_SECONDS: Final = 10.0
END_SECONDS: Final = 15.0
"""How late the end of a session may be told."""
CHAT_EVERY_SECONDS: Final = 1.0
FILE_EVERY: Final = 5
"""After the first question and every fifth from there on, a file follows, if there are to be any."""


class Scenario:
    """One session with two participants. ``name`` is unique among the sessions of the server."""

    def __init__(
        self, target: Target, back_end: BackEnd, http: aiohttp.ClientSession, plan: Plan, name: str
    ) -> None:
        self._back_end = back_end
        self._http = http
        self._plan = plan
        self._by_clock = plan.length_seconds <= plan.duration_seconds
        self._therapist = Peer(target, f"{name}-t", "therapist", plan.modality)
        self._client = Peer(target, f"{name}-c", "client", plan.modality)
        self._peers = (self._therapist, self._client)
        self._joins: tuple[float, ...] = ()
        self._round_trips: list[float] = []
        self._uploads: list[float] = []
        self._downloads: list[float] = []

    async def hold(self) -> None:
        """The whole session.

        Raises :exc:`loadtest.errors.LoadTestError` as soon as something is refused, does not come in time, or
        is not as it should be: live with both; media from each to the other, also at the end; every question
        answered in the chat; every file the same on the other side; ended for the right reason; no event
        lost, doubled or out of order.
        """
        members = {self._therapist.account: "therapist", self._client.account: "client"}
        room = await self._back_end.create_room(members)
        created = time.monotonic()
        length = self._plan.length_seconds
        session = await self._back_end.create_session(
            room, self._plan.modality, length, waiting_room="everyone"
        )
        self._joins = tuple(await asyncio.gather(*(peer.join(room, session) for peer in self._peers)))
        await self._both(*(peer.live(LIVE_SECONDS) for peer in self._peers))
        if self._plan.modality != "chat":
            await self._both(*(peer.first_media(FIRST_MEDIA_SECONDS) for peer in self._peers))
        # The clock counts from the creation, and this side stops in time to see it strike.
        by_clock = created + length - CHAT_EVERY_SECONDS
        await self._talk(by_clock if self._by_clock else self._both_joined + self._plan.duration_seconds)
        if self._plan.modality != "chat":
            await self._both(*(peer.more_media(FLOW_SECONDS) for peer in self._peers))
        await self._end(created + length)

    async def close(self) -> None:
        """Leave, however far it came."""
        await asyncio.gather(*(peer.close() for peer in self._peers))

    def outcome(self, failure: str | None) -> Outcome:
        """What it came to; after :meth:`close`."""
        meters = [peer.meter for peer in self._peers]
        return Outcome(
            failure,
            joins=self._joins,
            first_media=tuple(one.first_at - self._both_joined for one in meters if one.first_at is not None),
            round_trips=tuple(self._round_trips),
            uploads=tuple(self._uploads),
            downloads=tuple(self._downloads),
            packets_received=sum(one.packets_received for one in meters),
            packets_lost=sum(one.packets_lost for one in meters),
            messages_opened=sum(len(peer.messages) for peer in self._peers),
            undecryptable=sum(peer.chat.undecryptable for peer in self._peers),
        )

    @property
    def _both_joined(self) -> float:
        return max(peer.joined_at or 0.0 for peer in self._peers)

    async def _both(self, *waits: Coroutine[Any, Any, None]) -> None:
        await asyncio.gather(*waits)

    async def _talk(self, until: float) -> None:
        """Ask and answer until then, at least once."""
        number = 0
        while not number or time.monotonic() < until:
            number += 1
            self._round_trips.append(await self._therapist.ask(number, ANSWER_SECONDS))
            if self._plan.file_bytes and number % FILE_EVERY == 1:
                await self._hand_over(f"file {number}")
            await asyncio.sleep(min(CHAT_EVERY_SECONDS, max(0.0, until - time.monotonic())))

    async def _hand_over(self, name: str) -> None:
        """Have the client send a file, and the therapist fetch and open it."""
        data = secrets.token_bytes(self._plan.file_bytes)
        self._uploads.append(await self._client.give(self._http, name, data))
        received, seconds = await self._therapist.take(self._http, name, ANSWER_SECONDS)
        self._downloads.append(seconds)
        if received != data:
            raise NotHeld("file_differs", "what was opened is not what was sent")

    async def _end(self, due: float) -> None:
        if not self._by_clock:
            await self._therapist.end_session()
            due = time.monotonic()
        seconds = due - time.monotonic() + END_SECONDS
        await self._both(*(peer.ended(seconds) for peer in self._peers))
        expected = {"completed"} if self._by_clock else {"left", "completed"}
        for peer in self._peers:
            if peer.reason not in expected:
                raise NotHeld("wrong_end", f"the session ended because of {peer.reason}")
            _flawless(peer)


def _flawless(peer: Peer) -> None:
    """Raise :exc:`NotHeld` if the conversation had a fault that the client made good by itself."""
    tally = peer.client.tally
    for name, count in (
        ("server_fault", tally.faults),
        ("event_gap", tally.gaps),
        ("log_reset", tally.resets),
        ("event_repeated", tally.repeated),
        ("message_doubled", peer.doubled),
        ("undecryptable", peer.chat.undecryptable),
        ("cut_off", tally.cuts),
    ):
        if count:
            raise NotHeld(name, f"{count} times")

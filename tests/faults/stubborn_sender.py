"""Devices that append to stores until each message has an answer, and a checker of what became of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from relay.errors import OutcomeUnknown, StoreError
from relay.store import Store
from relay.writes import AddMember, Append, CreateRoom

ROOMS: Final = ("r0", "r1", "r2")
PAUSE: Final = 0.01  # s, before a message is tried again


async def furnish(store: Store) -> None:
    """Make the rooms."""
    for room in ROOMS:
        await store.commit(CreateRoom(room, b"", 1), AddMember(room, "ann", "client", 1))


class Sender:
    """One device: sends one message after the other, each until it is stored or certainly not."""

    def __init__(self, number: int) -> None:
        self._device: Final = f"d{number}"
        self._next = number << 32
        self._goes_on = True
        self.acknowledged: dict[bytes, tuple[str, int]] = {}  # the body of a message: its room and offset
        self.refused: set[bytes] = set()  # those that are certainly not stored, and never sent again

    def end(self) -> None:
        """Finish the message under way, and send no other."""
        self._goes_on = False

    async def run(self, store: Store) -> None:
        """Send until told to end. An error that may mean either has the message sent again as it is."""
        while self._goes_on:
            self._next += 1
            body, room = b"%s %d" % (self._device.encode(), self._next), ROOMS[self._next % len(ROOMS)]
            append = Append(room, "ann", self._device, self._next.to_bytes(16, "big"), body, 1)
            tried = False  # whether it may have been stored by a try before
            while True:
                try:
                    (outcome,) = await store.commit(append)
                except OutcomeUnknown:
                    tried = True
                    await asyncio.sleep(PAUSE)
                except StoreError as error:
                    if not error.temporary:
                        raise
                    if not tried:
                        self.refused.add(body)
                        await asyncio.sleep(PAUSE)
                        break
                    await asyncio.sleep(PAUSE)
                else:
                    assert tried or not outcome.duplicate
                    assert not outcome.differs
                    self.acknowledged[body] = room, outcome.offset
                    break


async def check(store: Store, senders: Sequence[Sender]) -> int:
    """What was acknowledged is at its place and nothing twice, nothing refused is there: how much it is."""
    places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for room in ROOMS:
        page = await store.events(room, after=0, limit=1_000_000, max_bytes=1 << 40)
        assert [event.offset for event in page.events] == list(range(1, page.log.head + 1))
        for event in page.events:
            places[event.body].append((room, event.offset))
    for sender in senders:
        for body, place in sender.acknowledged.items():
            assert places[body] == [place]
        assert not sender.refused & places.keys()
    assert all(len(found) == 1 for found in places.values())
    return sum(len(sender.acknowledged) for sender in senders)

"""SIGKILL of a process in a stream of appends: what it acknowledged is there, once, in order."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.store import Store
from relay.writes import AddMember, Append, CreateRoom
from tests.conformance.places import PLACES, Place

ROOT = Path(__file__).parents[2]
ROOMS = 4
SENDERS = 16
ACKNOWLEDGED_BEFORE_THE_KILL = 400
ROUNDS = 4

# Prints "room number offset" for every append that `commit` returned for, and goes on until it is killed.
CHILD = """
import asyncio, os, sys
from config.settings import StoreSettings
from relay.writes import Append
from signaling.stores import store_of

async def send(store, sender, first):
    number = first
    while True:
        room = f"r{number % int(sys.argv[3])}"
        append = Append(room, "ann", f"d{sender}", number.to_bytes(16, "big"), b"%d" % number, 1)
        (outcome,) = await store.commit(append)
        assert not outcome.duplicate
        os.write(1, b"%s %d %d\\n" % (room.encode(), number, outcome.offset))
        number += int(sys.argv[4])

async def main():
    store = store_of(StoreSettings(sys.argv[1], connect_seconds=60.0, patience_seconds=60.0))
    await store.open()
    await asyncio.gather(*[send(store, n, int(sys.argv[2]) + n) for n in range(int(sys.argv[4]))])

asyncio.run(main())
"""


def run_until_killed(url: str, first: int) -> list[tuple[str, int, int]]:
    """Let a process append from a number on, kill it; returns what it had acknowledged."""
    command = [sys.executable, "-c", CHILD, url, str(first), str(ROOMS), str(SENDERS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(ACKNOWLEDGED_BEFORE_THE_KILL)]
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
    assert child.returncode == -signal.SIGKILL
    complete = [line.decode().split() for line in lines if line.endswith(b"\n")]
    return [(room, int(number), int(offset)) for room, number, offset in complete]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place of each implementation."""
    with request.param(tmp_path) as made:
        yield made


async def logs(store: Store) -> dict[str, dict[int, int]]:
    """Every room's log: offset -> number."""
    found: dict[str, dict[int, int]] = {}
    for room in sorted(await store.heads([f"r{number}" for number in range(ROOMS)])):
        page = await store.events(room, after=0, limit=1_000_000, max_bytes=1 << 30)
        assert [event.offset for event in page.events] == list(range(1, page.log.head + 1))
        found[room] = {event.offset: int(event.body) for event in page.events}
    return found


async def test_every_acknowledged_append_survives_sigkill(place: Place) -> None:
    store = place.store()
    await store.open()
    epoch = store.epoch
    for number in range(ROOMS):
        await store.commit(CreateRoom(f"r{number}", b"", 1), AddMember(f"r{number}", "ann", "client", 1))
    await store.close()

    acknowledged: dict[str, dict[int, int]] = defaultdict(dict)
    for round_number in range(ROUNDS):
        done = await asyncio.to_thread(run_until_killed, place.url, round_number * 10_000_000)
        assert len(done) >= ACKNOWLEDGED_BEFORE_THE_KILL
        for room, number, offset in done:
            assert offset not in acknowledged[room]
            acknowledged[room][offset] = number

        store = place.store()
        await store.open()
        assert store.epoch == epoch, "a crash is not a restore"
        stored = await logs(store)
        for room, log in acknowledged.items():
            assert log.items() <= stored[room].items()
            assert len(set(stored[room].values())) == len(stored[room])
        # The sender of the last one does not know that it was stored, and sends it again.
        room, number, offset = done[-1]
        sender = number % SENDERS
        again = Append(room, "ann", f"d{sender}", number.to_bytes(16, "big"), b"%d" % number, 1)
        (outcome,) = await store.commit(again)
        assert (outcome.offset, outcome.duplicate, outcome.differs) == (offset, True, False)
        await store.close()

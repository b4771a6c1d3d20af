"""SIGKILL of a process that appends to PostgreSQL, before, in and after a COMMIT."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.writes import AddMember, Append, CreateRoom
from tests.conformance.places import PostgresPlace, postgres_place

ROOT = Path(__file__).parents[2]
KILLS = 3

# Appends messages from a number on, one after the other, and prints the number of each that is acknowledged.
CHILD = """
import asyncio, os, signal, sys
from config.settings import StoreSettings
from relay.postgres.writer import Writer
from relay.writes import Append
from signaling.stores import store_of

url, point, count = sys.argv[1], sys.argv[2], int(sys.argv[4])
write, commit = Writer._write, Writer._commit

def passing(name):
    global count
    if name == point:
        count -= 1
        if not count:
            os.kill(os.getpid(), signal.SIGKILL)

async def written(self, db, calls):
    answers = await write(self, db, calls)
    passing("write")
    return answers

async def committed(self, link):
    if point == "commit" and count == 1:
        sent = asyncio.ensure_future(link.execute("COMMIT"))
        await asyncio.sleep(0)
        passing("commit")
    await commit(self, link)
    passing("commit")
    passing("acknowledge")

async def main():
    store = store_of(StoreSettings(url, connect_seconds=60.0, statement_seconds=60.0, patience_seconds=60.0))
    await store.open()
    Writer._write, Writer._commit = written, committed
    number = int(sys.argv[3])
    while True:
        await store.commit(Append("r", "ann", "d", number.to_bytes(16, "big"), b"%d" % number, 1))
        os.write(1, b"%d\\n" % number)
        number += 1

asyncio.run(main())
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PostgresPlace]:
    with postgres_place(tmp_path) as made:
        yield made


async def run_until_it_dies(url: str, point: str, first: int) -> int:
    """Append from a number on until the process kills itself: the first number that was not acknowledged."""
    command = (sys.executable, "-c", CHILD, url, point, str(first), "5")
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    output, _ = await child.communicate()
    assert child.returncode == -signal.SIGKILL
    numbers = [int(line) for line in output.split()]
    assert numbers == list(range(first, first + len(numbers)))
    return first + len(numbers)


@pytest.mark.parametrize(
    ("point", "stored"), [("write", {False}), ("commit", {False, True}), ("acknowledge", {True})]
)
async def test_nothing_is_lost_or_there_twice(place: PostgresPlace, point: str, stored: set[bool]) -> None:
    store = place.store()
    await store.open()
    await store.commit(CreateRoom("r", b"", 1), AddMember("r", "ann", "client", 1))
    number = 0
    for _ in range(KILLS):
        number = await run_until_it_dies(place.url, point, number)
        # Its sender does not know what became of the last one, and sends it again through another node.
        (outcome,) = await store.commit(
            Append("r", "ann", "d", number.to_bytes(16, "big"), b"%d" % number, 1)
        )
        assert outcome.duplicate in stored
        number += 1
        page = await store.events("r", after=0, limit=1_000, max_bytes=1 << 20)
        assert [event.body for event in page.events] == [b"%d" % one for one in range(number)]
    await store.close()

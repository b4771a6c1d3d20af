"""What the embedded store costs: an append among many, a commit alone, an event read back.

The limit of an append is the same rows inserted into the same tables by the same SQLite, in batches of the
same size, with nothing around it; that of a commit is one write and one flush of a file.
"""

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import uvloop

from relay.sqlite import SqliteStore
from relay.sqlite.opening import open_connections
from relay.store import Store
from relay.writes import AddMember, Append, CreateRoom
from tests.bench import Measurement

ROOMS = 200
IN_FLIGHT = 512
APPENDS = 40_000
ALONE = 200
BODY = bytes(range(256)) + bytes(44)  # 300 bytes, as of a short message with its envelope
ROUNDS = 3


def measure() -> dict[str, Measurement]:
    """Run everything in a folder on the disk that temporary files are on."""
    with tempfile.TemporaryDirectory(prefix="relay-store-") as folder:
        limits = [raw_append(Path(folder) / f"raw{round_number}.db") for round_number in range(ROUNDS)]
        flushes = raw_flush(Path(folder) / "flush")
        stores = [SqliteStore(Path(folder) / f"store{number}.db") for number in range(ROUNDS)]
        runs = [uvloop.run(run_store(store)) for store in stores]
    append, commit, read = (statistics.median(figures) for figures in zip(*runs, strict=True))
    return {
        "relay.append": Measurement(append, "us", statistics.median(limits)),
        "relay.commit_alone": Measurement(commit, "ms", flushes),
        "relay.read": Measurement(read, "us"),
    }


def uuid7(number: int) -> bytes:
    """A mid: time first, then what is unique (RFC 9562 section 5.7)."""
    return (1_700_000_000_000 + number // 40).to_bytes(6, "big") + number.to_bytes(10, "big")


async def run_store(store: Store) -> tuple[float, float, float]:
    """Microseconds of CPU per append among many, milliseconds for one alone, microseconds of CPU per event
    read.
    """
    await store.open()
    for room in range(ROOMS):
        members = [AddMember(f"r{room}", account, "client", 1) for account in ("ann", "ben")]
        await store.commit(CreateRoom(f"r{room}", b"", 1), *members)
    numbers = count(1)

    async def send(lane: int, appends: int) -> None:
        for step in range(appends):
            room = f"r{(lane + step * IN_FLIGHT) % ROOMS}"
            await store.commit(Append(room, "ann", "d", uuid7(next(numbers)), BODY, 1))

    await asyncio.gather(*[send(lane, 5) for lane in range(IN_FLIGHT)])
    cpu = time.process_time()
    await asyncio.gather(*[send(lane, APPENDS // IN_FLIGHT) for lane in range(IN_FLIGHT)])
    append = (time.process_time() - cpu) / (APPENDS // IN_FLIGHT * IN_FLIGHT) * 1e6

    times = []
    for lane in range(ALONE):
        began = time.perf_counter()
        await send(lane, 1)
        times.append(time.perf_counter() - began)

    cpu, events = time.process_time(), 0
    for room in range(ROOMS):
        page = await store.events(f"r{room}", after=0, limit=64, max_bytes=1 << 20)
        events += len(page.events)
    read = (time.process_time() - cpu) / events * 1e6
    await store.close()
    return append, statistics.median(times) * 1e3, read


def raw_append(path: Path) -> float:
    """Microseconds of CPU per row for SQLite alone."""
    opened, _ = open_connections(path, readers=0)
    heads = [0] * ROOMS
    batches = list(raw_batches(heads))
    cpu = time.process_time()
    for batch in batches:
        insert(opened.db, batch)
    spent = time.process_time() - cpu
    opened.db.close()
    opened.guard.close()
    return spent / (len(batches) * IN_FLIGHT) * 1e6


def raw_batches(heads: list[int]) -> Iterator[list[tuple[int, int, int, bytes, int, bytes]]]:
    """Rows made beforehand, so that only SQLite's part is timed."""
    for first in range(0, APPENDS // IN_FLIGHT * IN_FLIGHT, IN_FLIGHT):
        batch = []
        for number in range(first, first + IN_FLIGHT):
            room = number % ROOMS
            heads[room] += 1
            batch.append((room, heads[room], room, uuid7(number), 1, BODY))
        yield batch


def insert(db: sqlite3.Connection, batch: list[tuple[int, int, int, bytes, int, bytes]]) -> None:
    """One transaction."""
    db.execute("BEGIN IMMEDIATE")
    db.executemany(
        "INSERT INTO events (room_no, offset_no, device_no, mid, at_ms, body) VALUES (?, ?, ?, ?, ?, ?)",
        batch,
    )
    db.execute("COMMIT")


def raw_flush(path: Path) -> float:
    """Milliseconds for a page to reach the disk."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    times = []
    for _ in range(ALONE):
        began = time.perf_counter()
        os.write(descriptor, bytes(4096))
        os.fdatasync(descriptor)
        times.append(time.perf_counter() - began)
    os.close(descriptor)
    return statistics.median(times) * 1e3


if __name__ == "__main__":
    for name, figure in measure().items():
        print(
            f"{name}: {figure.value:.2f} {figure.unit}", f"(limit {figure.limit:.2f})" if figure.limit else ""
        )

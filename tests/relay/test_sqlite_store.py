"""What SQLite does to the store: full disks, failing writes, large batches, readers beside the writer."""

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.errors import NotFound, StoreError, StoreFull
from relay.sqlite import SqliteStore
from relay.sqlite.catalog import Catalog
from relay.sqlite.opening import open_connections
from relay.sqlite.writer import Writer
from relay.writes import Ack, AddMember, Append, Appended, CreateRoom


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "rapport.db")
    await store.open()
    await store.commit(CreateRoom("r", b"", 1), AddMember("r", "ann", "client", 1))
    yield store
    await store.close()


def sent(number: int, size: int = 10) -> Append:
    return Append("r", "ann", "d", number.to_bytes(16, "big"), bytes(size), 1)


async def append_all(store: SqliteStore, writes: list[Append]) -> list[Appended | BaseException]:
    calls = await asyncio.gather(*[store.commit(write) for write in writes], return_exceptions=True)
    return [call if isinstance(call, BaseException) else call[0] for call in calls]


async def offsets(store: SqliteStore) -> list[int]:
    page = await store.events("r", after=0, limit=10_000, max_bytes=1 << 30)
    return [event.offset for event in page.events]


async def test_a_full_store_can_be_read_and_recovers(store: SqliteStore, tmp_path: Path) -> None:
    assert store._writer is not None
    db = store._writer._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 20}")  # SQLite then answers as it does on a full disk
    answers: list[Appended | BaseException] = []
    for start in range(0, 200, 10):
        answers += await append_all(store, [sent(start + number, size=1_000) for number in range(10)])
    done = [answer.offset for answer in answers if isinstance(answer, Appended)]
    assert done == list(range(1, len(done) + 1))
    assert {type(answer) for answer in answers if not isinstance(answer, Appended)} == {StoreFull}
    assert await offsets(store) == done

    db.execute("PRAGMA max_page_count = 1000000")
    again = await append_all(store, [sent(number, size=1_000) for number in range(200)])
    assert [answer.duplicate for answer in again if isinstance(answer, Appended)].count(True) == len(done)
    assert await offsets(store) == list(range(1, 201))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the operating system refuse to make any file larger than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_write_that_fails_in_the_commit_leaves_nothing(store: SqliteStore, tmp_path: Path) -> None:
    await append_all(store, [sent(number, size=60_000) for number in range(20)])
    wal = tmp_path / "rapport.db-wal"
    with largest_file(wal.stat().st_size + 100_000):
        answers = await append_all(store, [sent(100 + number, size=60_000) for number in range(20)])
        assert {type(answer) for answer in answers} == {StoreError}
        assert await offsets(store) == list(range(1, 21))
    answers = await append_all(store, [sent(100 + number, size=60_000) for number in range(20)])
    assert [answer.offset for answer in answers if isinstance(answer, Appended)] == list(range(21, 41))


async def test_a_large_batch_with_repeats(store: SqliteStore) -> None:
    first = await append_all(store, [sent(number) for number in range(1_500)])
    assert [answer.offset for answer in first if isinstance(answer, Appended)] == list(range(1, 1_501))
    again = await append_all(store, [sent(number) for number in range(1_000, 2_000)])
    assert [answer.duplicate for answer in again if isinstance(answer, Appended)] == [True] * 500 + [
        False
    ] * 500
    assert await offsets(store) == list(range(1, 2_001))
    statistics = await store.statistics()
    assert statistics.batches < 10


async def test_reads_do_not_wait_for_the_writer(store: SqliteStore, tmp_path: Path) -> None:
    await store.commit(sent(1))
    other = sqlite3.connect(tmp_path / "rapport.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the writer cannot begin
    writing = asyncio.ensure_future(store.commit(sent(2)))
    for _ in range(10):
        assert await offsets(store) == [1]
    assert not writing.done()
    other.execute("ROLLBACK")
    other.close()
    assert (await writing)[0].offset == 2


async def test_a_commit_is_flushed_to_the_disk(store: SqliteStore) -> None:
    """No test can pull the plug, so this one holds the settings that make SQLite flush."""
    assert store._writer is not None
    pragmas = ("journal_mode", "synchronous", "foreign_keys")
    values = [store._writer._db.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in pragmas]
    assert values == ["wal", 2, 1]


async def test_readers_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._idle[0].execute("DELETE FROM events")


def test_what_the_writer_forgets_it_reads_again(tmp_path: Path) -> None:
    opened, _ = open_connections(tmp_path / "rapport.db", 0)
    writer = Writer(opened)
    writer._catalog = Catalog(opened.db, limit=1)  # type: ignore[misc]  # a limit no deployment has
    for room in ("a", "b", "c"):
        writer.apply([(CreateRoom(room, b"", 1), AddMember(room, "ann", "client", 1))])
    for number in range(9):
        room, device = "abc"[number % 3], "de"[number % 2]
        append = Append(room, "ann", device, number.to_bytes(16, "big"), b"", 1)
        (answer,) = writer.apply([(append,)])
        assert isinstance(answer, tuple)
        assert isinstance(answer[0], Appended)
        assert answer[0].offset == number // 3 + 1
    writer.close()


def test_the_wal_is_emptied_when_a_reader_held_it_too_long(tmp_path: Path) -> None:
    opened, (reader,) = open_connections(tmp_path / "rapport.db", 1)
    writer = Writer(opened, max_wal_bytes=100_000)
    writer.apply([(CreateRoom("r", b"", 1), AddMember("r", "ann", "client", 1))])
    wal = tmp_path / "rapport.db-wal"
    opened.db.execute("PRAGMA busy_timeout = 0")  # this reader does not end while the writer waits
    reader.execute("BEGIN").execute("SELECT count(*) FROM rooms").fetchone()
    for number in range(50):
        (answer,) = writer.apply([(sent(number, size=4_000),)])
        assert isinstance(answer, tuple)
    assert wal.stat().st_size > 200_000
    reader.execute("ROLLBACK")
    writer.apply([(sent(50),)])
    assert wal.stat().st_size == 0
    reader.close()
    writer.close()


def test_strangers_leave_no_trace(tmp_path: Path) -> None:
    """A device is only numbered when it may write."""
    opened, _ = open_connections(tmp_path / "rapport.db", 0)
    writer = Writer(opened)
    writer.apply([(CreateRoom("r", b"", 1),)])
    answers = writer.apply([(sent(1),), (Ack("eve", "d", "r", opened.note.epoch, 0),)])
    assert [type(answer) for answer in answers] == [NotFound, NotFound]
    assert opened.db.execute("SELECT count(*) FROM devices").fetchone() == (0,)
    writer.close()

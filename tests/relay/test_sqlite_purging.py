"""After a purge the files hold nothing of what was purged, and it does not look like a restore."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.inbox import MESSAGE
from relay.retention import Purge
from relay.sqlite import SqliteStore, retention
from relay.sqlite.opening import Opened, open_connections
from relay.sqlite.writer import Writer
from relay.writes import Ack, AddMember, Append, CreateRoom, Write

SIZES = (20, 300, 3_000, 40_000)
"""Of bodies: several on a page, one on a page, and chains of pages."""


def secret(number: int) -> bytes:
    """What a body is made of."""
    return b"<secret-%04d>" % number


def message(number: int, *, room: str = "r") -> Append:
    body = secret(number) * (SIZES[number % len(SIZES)] // len(secret(number)) + 1)
    return Append(room, "ann", "d", number.to_bytes(16, "big"), body, number, MESSAGE)


def held(path: Path) -> bytes:
    """Everything that stands in the store's files."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.iterdir()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rapport.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    await store.commit(*room())
    yield store
    await store.close()


def room() -> tuple[Write, ...]:
    return CreateRoom("r", b"", 1), AddMember("r", "ann", "client", 1)


async def purge(store: SqliteStore, before_ms: int) -> None:
    found = await store.purgeable("r", before_ms=before_ms, anyway_ms=before_ms)
    assert found is not None
    await store.commit(Purge(found, before_ms, before_ms))


async def test_no_file_holds_what_was_purged(path: Path, store: SqliteStore) -> None:
    for number in range(1, 101):
        await store.commit(message(number))
    before = held(path)
    assert all(secret(number) in before for number in range(1, 101))
    await purge(store, 81)
    for number in range(101, 121):  # the pages are used again
        await store.commit(message(number))
    now = held(path)
    assert [number for number in range(1, 121) if secret(number) in now] == list(range(81, 121))
    await store.close()
    assert secret(80) not in held(path)


async def test_a_store_that_was_purged_empty_goes_on_in_its_epoch(path: Path, store: SqliteStore) -> None:
    for number in range(1, 4):
        await store.commit(message(number))
    epoch = store.epoch
    await purge(store, 9)
    await store.close()
    again = SqliteStore(path)
    await again.open()
    assert again.epoch == epoch
    (appended,) = await again.commit(message(4))
    assert appended.offset == 4
    await again.close()


def test_what_was_purged_before_a_crash_is_gone_when_the_store_is_opened(path: Path) -> None:
    """The purge is durable, and the process is gone before the write-ahead log is emptied."""
    opened, _ = open_connections(path, 0)
    writer = Writer(opened)
    writer.apply([(*room(), message(1), message(2))])
    opened.db.execute("BEGIN")
    opened.db.execute("DELETE FROM events WHERE offset_no = 1")
    opened.db.execute("COMMIT")
    copies = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    assert secret(1) in b"".join(copies.values())
    writer.close()
    for name, content in copies.items():  # as they were then
        path.with_name(name).write_bytes(content)
    again, _ = open_connections(path, 0)
    now = held(path)
    Writer(again).close()
    assert (secret(1) in now, secret(2) in now) == (False, True)


def test_a_reader_that_is_in_the_log_does_not_keep_it_for_ever(path: Path) -> None:
    """What could not be emptied after one batch is emptied after the next."""
    opened, (reader,) = open_connections(path, 1)
    opened.db.execute("PRAGMA busy_timeout = 0")
    writer = Writer(opened)
    writer.apply([(*room(), message(1), message(2))])
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    writer.apply([purge_of(opened)])
    assert secret(1) in held(path)
    reader.execute("ROLLBACK")
    writer.apply([(Ack("ann", "d", "r", opened.note.epoch, 2),)])
    now = held(path)
    reader.close()
    writer.close()
    assert (secret(1) in now, secret(2) in now) == (False, True)


def purge_of(opened: Opened) -> tuple[Purge]:
    """The purge of the first message of the room."""
    found = retention.purgeable(opened.db, opened.note.epoch, "r", 2, 2)
    assert found is not None
    return (Purge(found, 2, 2),)

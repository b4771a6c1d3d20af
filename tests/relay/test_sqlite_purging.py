"""After a purge the files hold nothing of what was purged, and it does not look like a restore."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from relay.accounts import EraseAccount
from relay.delivery import Delivery, Fetch, Reset
from relay.documents import PutDocument
from relay.inbox import MESSAGE
from relay.keys import Prekey, PutDeviceList, PutPrekeys, RequestDevice
from relay.push import PutDoorbell
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


async def test_no_file_holds_what_was_erased(path: Path, store: SqliteStore) -> None:
    last = Prekey(1, b"public", secret(1))
    await store.commit(
        RequestDevice("ann", "d", b"key", secret(2), 1, 9),
        PutPrekeys("ann", "d", b"key", (Prekey(2, b"public", secret(3)),), last, 9),
        PutDeviceList("ann", 1, secret(4), 0),
        PutDocument("vault", "ann", secret(5) * 900),
        PutDoorbell("ann", "d", secret(6).decode(), 1),
    )
    assert all(secret(number) in held(path) for number in range(1, 7))
    await store.commit(EraseAccount("ann", frozenset("r"), ("vault",), 9))
    assert [number for number in range(1, 7) if secret(number) in held(path)] == []


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


def backup(path: Path) -> Path:
    """A copy of the store as it is now, as operators make it."""
    copy = path.with_name("backup.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    return copy


def put_back(path: Path, copy: Path) -> None:
    """Put the backup in the place of a store that is closed."""
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    copy.replace(path)


async def test_a_restored_log_begins_behind_what_was_purged_before(path: Path, store: SqliteStore) -> None:
    for number in range(1, 6):
        await store.commit(message(number))
    await store.commit(Ack("ann", "d", "r", store.epoch, 5))
    await purge(store, 3)
    copy = backup(path)
    await store.commit(message(6))
    old = store.epoch
    await store.close()
    put_back(path, copy)
    await store.open()
    assert store.epoch > old
    log = (await store.heads(["r"]))["r"]
    delivery = Delivery()
    reset, fetch = delivery.subscribe(log, old, 6)
    assert reset == Reset("r", store.epoch, 3, "epoch", 2)
    assert isinstance(fetch, Fetch)
    page = await store.events("r", after=fetch.after, limit=fetch.limit, max_bytes=fetch.max_bytes)
    assert [event.offset for event in page.events] == [3, 4, 5]
    assert await store.purgeable("r", before_ms=99, anyway_ms=0) is None, "acknowledged in the old log only"
    await store.commit(Ack("ann", "d", "r", store.epoch, 5))
    found = await store.purgeable("r", before_ms=99, anyway_ms=0)
    assert found is not None
    await store.commit(Purge(found, 99, 0))
    assert (await store.heads(["r"]))["r"].expired == 5


async def test_what_a_backup_brings_back_is_purged_again(path: Path, store: SqliteStore) -> None:
    for number in range(1, 4):
        await store.commit(message(number))
    await store.commit(Ack("ann", "d", "r", store.epoch, 3))
    copy = backup(path)
    await purge(store, 3)
    await store.close()
    put_back(path, copy)
    await store.open()
    assert (await store.heads(["r"]))["r"].expired == 0
    assert secret(1) in held(path)
    await purge(store, 3)
    log = (await store.heads(["r"]))["r"]
    assert (log.lowest, log.expired) == (3, 2)
    now = held(path)
    assert (secret(1) in now, secret(2) in now, secret(3) in now) == (False, False, True)

"""Opening a file: who may, what it may be, and when a new epoch begins."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from relay.errors import SchemaTooNew, StoreError, StoreInUse, StoreUnusable
from relay.rows import reset_reason
from relay.sqlite import SqliteStore, begin_epoch
from relay.sqlite.schema import MIGRATIONS
from relay.writes import Append, CreateRoom, Trim


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "rapport.db"


async def used(path: Path, *, events: int = 1) -> int:
    """Open, append to room "r", close; returns the epoch."""
    store = SqliteStore(path)
    await store.open()
    if await store.room("r") is None:
        await store.commit(CreateRoom("r", b"", 1))
    for _ in range(events):
        await store.commit(Append("r", None, None, None, b"event", 1))
    epoch = store.epoch
    await store.close()
    return epoch


async def head(path: Path) -> int:
    store = SqliteStore(path)
    await store.open()
    log = (await store.heads(["r"]))["r"]
    await store.close()
    return log.head


async def test_files_are_private(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.commit(CreateRoom("r", b"", 1))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    await store.close()
    names = ("rapport.db", "rapport.db-wal", "rapport.db-shm", "rapport.db-guard")
    assert modes == dict.fromkeys(names, 0o600)


async def test_only_one_opens_it(path: Path) -> None:
    first, second = SqliteStore(path), SqliteStore(path)
    await first.open()
    with pytest.raises(StoreInUse):
        await second.open()
    with pytest.raises(StoreInUse):
        begin_epoch(path)
    await first.commit(CreateRoom("r", b"", 1))
    await first.close()
    await second.open()
    assert await second.room("r") is not None
    await second.close()


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    await used(path)
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    before = path.read_bytes()
    for _ in range(2):  # refusing it must not keep the lock
        with pytest.raises(SchemaTooNew):
            await SqliteStore(path).open()
    assert path.read_bytes() == before


async def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE theirs (id)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="another program"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before


async def test_what_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"certainly not SQLite" * 100)
    with pytest.raises(StoreUnusable) as caught:
        await SqliteStore(path).open()
    assert str(path) not in str(caught.value)
    folder = path.with_name("folder.db")
    folder.mkdir()
    with pytest.raises(StoreUnusable):
        await SqliteStore(folder).open()


async def test_a_damaged_page_is_an_error_of_ours(path: Path) -> None:
    await used(path, events=200)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError):
        await used(path)


async def test_opening_again_keeps_the_epoch(path: Path) -> None:
    epoch = await used(path)
    assert await used(path) == epoch
    assert await head(path) == 2


async def test_a_backup_put_back_begins_a_new_epoch(path: Path) -> None:
    epoch = await used(path, events=3)
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    assert await used(path, events=2) == epoch
    shutil.copy(backup, path)

    store = SqliteStore(path)
    await store.open()
    assert store.epoch > epoch
    log = (await store.heads(["r"]))["r"]
    assert log.head == 3
    assert reset_reason(log, epoch, 5) == "epoch"
    await store.close()


async def test_a_backup_of_a_running_server_can_be_put_back(path: Path) -> None:
    epoch = await used(path, events=3)
    backup = path.with_name("backup.db")
    store = SqliteStore(path)
    await store.open()
    await store.commit(Append("r", None, None, None, b"event", 1))
    db = sqlite3.connect(path)
    db.execute("VACUUM INTO ?", (str(backup),))
    db.close()
    await store.commit(Append("r", None, None, None, b"event", 1))
    await store.close()
    shutil.copy(backup, path)
    assert await used(path) > epoch
    assert await head(path) == 5


async def test_another_store_put_in_its_place_begins_a_new_epoch(path: Path) -> None:
    epoch = await used(path, events=2)
    other = path.with_name("other.db")
    other_epoch = await used(other, events=5)
    shutil.copy(other, path)
    assert await used(path) > max(epoch, other_epoch)


async def test_a_backup_of_the_same_length_under_another_epoch_is_noticed(path: Path) -> None:
    await used(path)
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    second = begin_epoch(path)
    shutil.copy(backup, path)
    assert await used(path) > second


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
async def test_without_its_guard_a_store_begins_a_new_epoch(path: Path, damage: str) -> None:
    epoch = await used(path)
    guard = path.with_name("rapport.db-guard")
    content = guard.read_bytes()
    match damage:
        case "missing":
            guard.unlink()
        case "cut":
            guard.write_bytes(content[:-1])
        case _:
            guard.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
    assert await used(path) > epoch


async def test_a_store_made_anew_has_another_epoch(path: Path) -> None:
    epoch = await used(path)
    path.unlink()
    assert await used(path) > epoch


async def test_an_older_guard_is_true_still(path: Path) -> None:
    """After a loss of power the guard may have missed the newest batches."""
    epoch = await used(path)
    guard = path.with_name("rapport.db-guard")
    content = guard.read_bytes()
    await used(path)
    guard.write_bytes(content)
    assert await used(path) == epoch


async def test_trimming_does_not_look_like_a_restore(path: Path) -> None:
    epoch = await used(path, events=3)
    store = SqliteStore(path)
    await store.open()
    await store.commit(Trim("r", 3))
    await store.close()
    assert await used(path) == epoch
    assert await head(path) == 4


async def test_an_operator_begins_an_epoch(path: Path) -> None:
    epoch = await used(path)
    new = begin_epoch(path)
    assert new > epoch
    assert await used(path) == new

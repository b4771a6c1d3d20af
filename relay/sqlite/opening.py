"""Opening the file: connections and their settings, migrations, the epoch, and SQLite's errors as ours."""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from relay.errors import StoreError, StoreFull, StoreUnusable
from relay.sqlite.guard import Guard, Note
from relay.sqlite.schema import migrate

_PRAGMAS: Final = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",  # sorting needs no disk, so reads go on when it is full
    "PRAGMA cache_size = -16384",  # KiB, per connection
    "PRAGMA secure_delete = ON",  # what is deleted is overwritten with zeros
    "PRAGMA busy_timeout = 5000",  # ms; only checkpoints and recovery ever hold a reader up
)
_BUSY_SECONDS: Final = 5.0
# A full disk shows when the file or its WAL grows, or the WAL's index.
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_UNUSABLE: Final = frozenset(
    {
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
    }
)


class Opened(msgspec.Struct, frozen=True):
    """A store ready to be written."""

    path: Path
    db: sqlite3.Connection
    guard: Guard
    note: Note  # as the guard has it now


def open_connections(path: Path, readers: int) -> tuple[Opened, list[sqlite3.Connection]]:
    """Lock, open, migrate, and begin a new epoch if the file is new or was restored. Blocks.

    Gives the connection that writes and as many as asked for that cannot. Raises `StoreInUse`,
    `SchemaTooNew`, `StoreUnusable`, `StoreFull`.
    """
    opened = _open(path, restored=False)
    others: list[sqlite3.Connection] = []
    try:
        for _ in range(readers):
            others.append(_connect(path))
            others[-1].execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        for db in (*others, opened.db):
            db.close()
        opened.guard.close()
        raise translated(error) from error
    return opened, others


def begin_epoch(path: Path) -> int:
    """Begin a new epoch in a store that no process has open, and return it.

    For operators who put back a whole directory or a disk image, which the store cannot notice by itself:
    every device then compares its log with the server's from the start. Raises as `open_connections`.
    """
    opened = _open(path, restored=True)
    opened.db.close()
    opened.guard.close()
    return opened.note.epoch


@contextmanager
def leaving(path: Path) -> Iterator[tuple[sqlite3.Connection, int]]:
    """A store that goes on elsewhere: a connection to it, and the epoch in which its logs go on there.

    The file itself begins another epoch at once: if it is served again after all, devices compare their logs.
    Blocks. Raises as `open_connections`, and `StoreUnusable` if there is no such file.
    """
    if not path.is_file():
        raise StoreUnusable("there is no such file")
    opened = _open(path, restored=False)
    try:
        opened.guard.write(_line(opened.db, opened.note, restored=True))
        yield opened.db, opened.note.epoch
    except sqlite3.Error as error:
        raise translated(error) from error
    finally:
        opened.db.close()
        opened.guard.close()


def translated(error: sqlite3.Error) -> StoreError:
    """SQLite's error as one of ours. Names the kind of failure and nothing of the data."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code in _FULL:
        return StoreFull("no space left for the store")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code & 0xFF in _UNUSABLE:  # the lower byte is the primary code
        return StoreUnusable(f"the store's file cannot be used ({name})")
    return StoreError(f"the store's file failed ({name})")


def _open(path: Path, *, restored: bool) -> Opened:
    guard = None
    db = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        guard = Guard(path)
        # Private from its first moment; SQLite gives the files it puts beside it the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = _connect(path)
        migrate(db)
        note = _line(db, guard.read(), restored=restored)
        # What was dropped before a crash may stand in it still.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        guard.write(note)
    except BaseException as error:
        if db is not None:
            db.close()
        if guard is not None:
            guard.close()
        if isinstance(error, sqlite3.Error):
            raise translated(error) from error
        if isinstance(error, OSError):
            raise StoreUnusable(f"the store's file cannot be opened ({error.strerror})") from error
        raise
    return Opened(path, db, guard, note)


def _connect(path: Path) -> sqlite3.Connection:
    # One thread at a time uses a connection; which one may change, from opening to use to closing.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)
    try:
        for pragma in _PRAGMAS:
            db.execute(pragma)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # a commit returns when it is on the disk
        db.execute("PRAGMA journal_size_limit = 67108864")  # a WAL that a burst made large shrinks again
    except BaseException:
        db.close()
        raise
    return db


def _line(db: sqlite3.Connection, note: Note | None, *, restored: bool) -> Note:
    """Where the log stands, after a new epoch was begun if that is due.

    Epochs are the second in which they began: so an epoch is higher than any before it even when nothing of
    the time since the backup is left, and a store that was deleted and made anew is not taken for the old
    one.
    """
    (newest,) = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    row = db.execute("SELECT store_id, epoch, claims, dropped FROM line").fetchone()
    earliest = max(int(time.time()), note.epoch + 1 if note is not None else 0)
    if row is None:
        store_id, epoch = secrets.token_bytes(16), earliest
        db.execute("INSERT INTO line (store_id, epoch) VALUES (?, ?)", (store_id, epoch))
        return Note(store_id, epoch, 0, 0)
    store_id, epoch, claims, dropped = row
    seq = max(int(newest), dropped)
    if restored or note is None or _is_older(Note(store_id, epoch, seq, claims), note):
        epoch = max(epoch + 1, earliest)
        db.execute("UPDATE line SET epoch = ?", (epoch,))
    return Note(store_id, epoch, seq, claims)


def _is_older(store: Note, note: Note) -> bool:
    """Whether a store cannot be the one that the guard has seen last."""
    return (
        note.store_id != store.store_id
        or note.seq > store.seq
        or note.claims > store.claims
        or note.epoch > store.epoch
    )

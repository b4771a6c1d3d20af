"""``rapport store`` on real stores of both kinds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from relay.postgres import copying
from relay.postgres.connection import Connection
from relay.rows import Cursor, RoomHead
from relay.sqlite import SqliteStore
from relay.store import Store
from relay.writes import Append, Appended
from signaling import cli
from tests.conformance.places import PostgresPlace, postgres_place
from tests.relay.store_life import live


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store in a file that has had a life."""
    asyncio.run(_live(SqliteStore(tmp_path / "rapport.db")))
    return tmp_path / "rapport.db"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PostgresPlace]:
    with postgres_place(tmp_path) as made:
        yield made


async def _live(store: Store) -> None:
    await store.open()
    await live(store)
    await store.close()


def run(command: str, store: Path | PostgresPlace, *arguments: str) -> int:
    url = f"sqlite:///{store}" if isinstance(store, Path) else store.target.url
    return cli.main(["store", command, "--store", url, *arguments])


def spoil(store: Path | PostgresPlace, statement: str) -> None:
    if isinstance(store, Path):
        with sqlite3.connect(store) as db:
            db.execute(statement)
        db.close()
        return

    async def execute() -> None:
        db = await asyncpg.connect(store.target.url)
        await db.execute(statement)
        await db.close()

    asyncio.run(execute())


def epoch(store: Path | PostgresPlace) -> int:
    epochs: list[int] = []

    async def opened() -> None:
        one: Store = SqliteStore(store) if isinstance(store, Path) else store.store()
        await one.open()
        epochs.append(one.epoch)
        await one.close()

    asyncio.run(opened())
    return epochs[0]


def test_a_store_is_copied_with_all_that_is_in_it(
    file: Path, place: PostgresPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    before = epoch(file)
    assert run("copy", place, "--from", f"sqlite:///{file}") == 0
    assert "events" in capsys.readouterr().out
    assert run("check", place) == 0, capsys.readouterr().out
    asyncio.run(_went_on(place, before))
    assert epoch(file) > before, "whoever serves the file again has devices compare their logs"


async def _went_on(place: PostgresPlace, epoch: int) -> None:
    """What was there goes on where it was."""
    store = place.store()
    await store.open()
    assert store.epoch == epoch
    assert (await store.heads(["r"]))["r"] == RoomHead("r", epoch, head=6, lowest=3)
    assert await store.cursors("ben", "b1") == {"r": Cursor(epoch, 3)}
    page = await store.events("r", after=2, limit=9, max_bytes=1 << 20)
    assert [event.body for event in page.events] == [b"body 2", b"body 3", b"?", b"from the server"]
    (again,) = await store.commit(Append("r", "ann", "a1", bytes([3]) * 16, b"body 3", 9))
    assert isinstance(again, Appended)
    assert (again.offset, again.duplicate, again.differs) == (4, True, False)
    (new,) = await store.commit(Append("r", "ann", "a1", b"n" * 16, b"new", 9))
    assert new.offset == 7
    assert (await store.stock("ann", "a1")).one_time == ((2, b"public"), (3, b"public"))
    assert [one.room for one in await store.asked(limit=9)] == ["r"]
    await store.close()


def test_every_table_is_copied(file: Path) -> None:
    with sqlite3.connect(file) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        empty = [name for name in tables if db.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)]  # noqa: S608
    db.close()
    assert tables == {*copying.TABLES, "line"}
    assert empty == [], "or nobody knows whether it is"


def test_a_copy_that_is_stopped_in_the_middle_leaves_nothing_and_is_repeated(
    file: Path, place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_source: sqlite3.Connection, _db: Connection) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(copying, "_go_on_numbering", stop)
        with pytest.raises(KeyboardInterrupt):
            run("copy", place, "--from", f"sqlite:///{file}")
    assert run("copy", place, "--from", f"sqlite:///{file}") == 0
    assert run("check", place) == 0


def test_what_arrives_otherwise_than_it_was_sent_is_not_kept(
    file: Path, place: PostgresPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(
        place,
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.body = ''spoilt''; RETURN NEW; END'",
    )
    spoil(place, "CREATE TRIGGER spoil BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION spoil()")
    assert run("copy", place, "--from", f"sqlite:///{file}") == 2
    assert "what arrived of the table events is not what was sent" in capsys.readouterr().err
    spoil(place, "DROP FUNCTION spoil CASCADE")  # other tests get the database, too


def test_nothing_is_copied_into_a_store_that_is_not_empty_or_in_use(
    file: Path,
    place: PostgresPlace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as impatient:
        impatient.setattr(copying, "_LOOKS", 1)
        asyncio.run(_copied_while_open(file, place))
    assert "others are connected" in capsys.readouterr().err
    assert run("copy", place, "--from", f"sqlite:///{file}") == 0
    assert run("copy", place, "--from", f"sqlite:///{file}") == 2
    assert "not empty" in capsys.readouterr().err
    for source, target in ((file, file), (tmp_path / "none.db", place)):
        assert run("copy", target, "--from", f"sqlite:///{source}") == 2
    assert not (tmp_path / "none.db").exists()
    assert run("copy", place, "--from", "sqlite://") == 2


async def _copied_while_open(file: Path, place: PostgresPlace) -> None:
    store = place.store()
    await store.open()
    assert await asyncio.to_thread(run, "copy", place, "--from", f"sqlite:///{file}") == 2
    await store.close()


FAULTS = {
    "DELETE FROM events WHERE offset_no = 4": "1 logs with a gap",
    "UPDATE rooms SET trimmed = trimmed - 1 WHERE id = 'r'": "1 logs that do not begin",
    "UPDATE events SET device_no = 99 WHERE mid IS NOT NULL AND offset_no = 3": "1 events of no device",
    "UPDATE flags SET offset_no = 99": "1 flags of no event",
    "UPDATE rooms SET deleted_ms = 1 WHERE id = 'q'": "1 deleted rooms that are not empty",
    "UPDATE deliveries SET due_ms = 5": "1 lanes of deliveries",
    "UPDATE device_keys SET highest = 2": "1 prekeys beyond",
    "DELETE FROM audit WHERE sequence = 3": "the audit trail has no entry 3",
    "UPDATE audit SET actor = 'ben' WHERE sequence = 4": "entry 4 of the audit trail does not follow",
}


def test_whatever_is_wrong_with_a_store_is_found(
    file: Path, place: PostgresPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("copy", place, "--from", f"sqlite:///{file}") == 0
    for store in (file, place):
        assert run("check", store) == 0
        assert "sound" in capsys.readouterr().out
        for statement in FAULTS:
            spoil(store, statement)
        assert run("check", store) == 1
        said = capsys.readouterr().out
        missing = [fault for fault in [*FAULTS.values()][:-1] if fault not in said]
        assert missing == []


def test_the_first_entry_that_does_not_follow_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    *_, (statement, fault) = FAULTS.items()
    spoil(file, statement)
    assert run("check", file) == 1
    assert fault in capsys.readouterr().out


def test_stores_are_migrated_and_begin_epochs(
    place: PostgresPlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for store in (tmp_path / "rapport.db", place):
        assert run("migrate", store) == 0
        before = epoch(store)
        assert run("begin-epoch", store) == 0
        assert f"Epoch {epoch(store)} has begun" in capsys.readouterr().out
        assert epoch(store) > before


def test_a_store_that_cannot_be_reached_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("migrate", "check", "begin-epoch"):
        assert cli.main(["store", command, "--store", "postgresql://rapport@/none?host=/nowhere"]) == 2
        assert "cannot be reached" in capsys.readouterr().err

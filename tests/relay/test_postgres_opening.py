"""Opening a database: what becomes of its tables, and when it is taken for one that was put back."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator

import msgspec
import pytest

from relay.errors import SchemaTooNew, StoreError, StoreUnusable
from relay.postgres import PostgresStore, Target, migrating
from relay.postgres.opening import connect
from relay.postgres.schema import MIGRATIONS, Migration
from relay.writes import AddMember, Append, CreateRoom
from tests.conformance.places import server
from tests.postgres_process import patient, programs

SAID = Append("r", "ann", "d", bytes(16), b"hello", 1)


@pytest.fixture
def name() -> Iterator[str]:
    """An empty database."""
    name = server().database()
    yield name
    server().drop(name)


def target(name: str) -> Target:
    return patient(server().url(name))


async def opened(name: str) -> PostgresStore:
    store = PostgresStore(target(name))
    await store.open()
    return store


async def epoch_of(name: str) -> int:
    """The epoch that a server finds, or begins."""
    store = await opened(name)
    try:
        return store.epoch
    finally:
        await store.close()


async def live(name: str) -> int:
    """Have a room with an event: the epoch."""
    store = await opened(name)
    await store.commit(CreateRoom("r", b"", 1), AddMember("r", "ann", "client", 1), SAID)
    epoch = store.epoch
    await store.close()
    return epoch


def dumped(name: str, *options: str) -> str:
    command = [str(programs() / "pg_dump"), "-h", str(server().folder), "-U", "rapport", *options, name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def load(name: str, dump: str) -> None:
    command = [str(programs() / "psql"), "-h", str(server().folder), "-U", "rapport", "-q", "-1", "-X"]
    quiet = {**os.environ, "PGOPTIONS": "-c client_min_messages=error"}
    subprocess.run(
        [*command, "-v", "ON_ERROR_STOP=1", name],
        input=dump,
        text=True,
        check=True,
        env=quiet,
        stdout=subprocess.DEVNULL,
    )


async def test_stores_that_open_at_the_same_time_migrate_once(name: str) -> None:
    stores = [PostgresStore(target(name)) for _ in range(4)]
    await asyncio.gather(*[store.open() for store in stores])
    assert len({store.epoch for store in stores}) == 1
    await asyncio.gather(*[store.close() for store in stores])
    assert server().sql("SELECT count(*) FROM line", database=name) == "1"
    assert server().sql("SELECT count(*) FROM writers", database=name) == "0", "all have taken leave"


async def test_an_epoch_stays_through_closing_and_a_crash(name: str) -> None:
    epoch = await live(name)
    assert await epoch_of(name) == epoch
    server().kill()
    server().start()
    assert await epoch_of(name) == epoch


async def test_maintenance_does_not_look_like_a_restore(name: str) -> None:
    epoch = await live(name)
    for statement in (
        "VACUUM FULL",
        "VACUUM FREEZE",
        f"REINDEX DATABASE {name}",
        "CLUSTER epochs USING epochs_pkey",
    ):
        server().sql(statement, database=name)
    assert await epoch_of(name) == epoch


@pytest.mark.parametrize("options", [(), ("--clean",), ("--data-only",)])
async def test_a_dump_that_is_loaded_into_its_own_database_begins_an_epoch(
    name: str, options: tuple[str, ...]
) -> None:
    epoch = await live(name)
    dump = dumped(name, *options)
    store = await opened(name)
    await store.commit(msgspec.structs.replace(SAID, mid=b"n" * 16))
    await store.close()
    if "--data-only" in options:
        every = "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'"
        tables = server().sql(every, database=name)
        server().sql(f"TRUNCATE {tables}", database=name)
        dump = f"SET session_replication_role = replica;{dump}"
    elif not options:
        server().sql("DROP SCHEMA public CASCADE", database=name)
        server().sql("CREATE SCHEMA public", database=name)
    load(name, dump)
    restored = await opened(name)
    begun = restored.epoch
    assert begun > epoch
    assert (await restored.heads(["r"]))["r"].head == 1
    await restored.close()
    assert await epoch_of(name) == begun, "once"


async def test_a_newer_schema_is_refused_unless_it_only_adds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = await live(name)
    added = Migration(("CREATE TABLE more (no BIGINT)",), compatible=True)
    added_too = Migration(("ALTER TABLE more ADD COLUMN name TEXT",), compatible=True)
    renamed = Migration(("ALTER TABLE more RENAME COLUMN name TO id",), compatible=False)
    with monkeypatch.context() as newer:
        newer.setattr(migrating, "MIGRATIONS", (*MIGRATIONS, added, added_too))
        assert await epoch_of(name) == epoch
    # This version goes on with what the newer one has only added to.
    assert await epoch_of(name) == epoch
    with monkeypatch.context() as newest:
        newest.setattr(migrating, "MIGRATIONS", (*MIGRATIONS, added, added_too, renamed))
        assert await epoch_of(name) == epoch
    with pytest.raises(SchemaTooNew):
        await PostgresStore(target(name)).open()


async def test_a_database_of_another_program_is_left_alone(name: str) -> None:
    server().sql("CREATE TABLE accounts (id BIGINT)", database=name)
    with pytest.raises(StoreUnusable, match="another program"):
        await PostgresStore(target(name)).open()
    assert (
        server().sql("SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = 2200", database=name)
        == "accounts"
    )


async def test_a_database_in_another_encoding_is_refused() -> None:
    server().sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(StoreUnusable, match="SQL_ASCII"):
        await PostgresStore(target("ascii")).open()
    server().drop("ascii")


async def test_what_cannot_be_opened_says_so_without_the_password() -> None:
    for url in (server().url("nowhere"), "postgresql://rapport@/rapport?host=/nowhere"):
        store = PostgresStore(Target(url, password="a secret"))
        with pytest.raises(StoreError) as caught:
            await store.open()
        assert "secret" not in str(caught.value)
        await store.close()


async def test_a_commit_is_durable_whatever_the_database_is_set_to(name: str) -> None:
    server().sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    link = await connect(target(name))
    assert await link.fetchval("SHOW synchronous_commit") == "on"
    await link.close()
    server().sql(f"ALTER DATABASE {name} SET synchronous_commit = remote_apply")
    link = await connect(target(name))
    assert await link.fetchval("SHOW synchronous_commit") == "remote_apply"
    await link.close()


async def test_a_role_needs_no_more_than_its_database(name: str) -> None:
    server().sql("CREATE ROLE ordinary LOGIN")
    server().sql(f"ALTER DATABASE {name} OWNER TO ordinary")
    url = server().url(name).replace("rapport@", "ordinary@")
    store = PostgresStore(msgspec.structs.replace(target(name), url=url))
    await store.open()
    await store.commit(CreateRoom("r", b"", 1))
    assert (await store.statistics()).size_bytes > 0
    assert (await store.unrung(appended_before_ms=1, limit=1)).devices == ()
    await store.close()
    server().drop(name)
    server().sql("DROP ROLE ordinary")
    server().sql(f"CREATE DATABASE {name}")

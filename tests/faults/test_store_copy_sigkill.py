"""SIGKILL of ``rapport store copy`` in the middle: the database is as empty as it was."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.postgres.maintenance import faults
from relay.sqlite import SqliteStore
from signaling import cli
from tests.conformance.places import PostgresPlace, postgres_place, server
from tests.relay.store_life import live

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # s
# Whoever writes one waits there, so that the others are sent and nothing is committed.
STOP = (
    "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql "
    "AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'; "
    "CREATE TRIGGER stop BEFORE INSERT ON doorbells FOR EACH ROW EXECUTE FUNCTION stop()"
)
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'PgSleep'"
# PostgreSQL looks after its clients by itself, but only every few seconds.
LOOK = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{}'"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PostgresPlace]:
    with postgres_place(tmp_path) as made:
        yield made


@pytest.fixture
def copy(place: PostgresPlace, tmp_path: Path) -> list[str]:
    """Copies a store that has had a life."""

    async def write() -> None:
        store = SqliteStore(tmp_path / "rapport.db")
        await store.open()
        await live(store)
        await store.close()

    asyncio.run(write())
    source = f"sqlite:///{tmp_path / 'rapport.db'}"
    return ["store", "copy", "--store", place.target.url, "--from", source]


def test_a_copy_that_is_killed_leaves_nothing_and_is_repeated(place: PostgresPlace, copy: list[str]) -> None:
    server().sql(STOP, database=place.name)
    command = [sys.executable, "-m", "signaling.cli", *copy]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + PATIENCE
        while server().sql(WAITS.format(place.name)) != "1":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
    server().sql(LOOK.format(place.name))
    assert server().sql("SELECT count(*) FROM rooms", database=place.name) == "0"
    server().sql("DROP FUNCTION stop CASCADE", database=place.name)
    assert cli.main(copy) == 0
    assert asyncio.run(faults(place.target)) == ()

"""Where the stores of the conformance suites are. A place outlives its stores."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol

from relay.postgres import PostgresStore
from relay.postgres.opening import prepare
from relay.sqlite import SqliteStore
from relay.store import Store
from tests.postgres_process import PostgresProcess, patient


class Place(Protocol):
    """Somewhere a store can be, opened again and again."""

    @property
    def url(self) -> str:
        """What the settings of a server call it."""

    def store(self) -> Store:
        """A store of this place, not open."""

    def back_up(self) -> None:
        """Keep the place as it is now. No store of it is open."""

    def put_back(self) -> None:
        """Have it be again what it was when it was backed up. No store of it is open."""


class SqlitePlace:
    """A file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rapport.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def store(self) -> SqliteStore:
        return SqliteStore(self.path)

    def back_up(self) -> None:
        shutil.copy(self.path, self.path.with_suffix(".backup"))

    def put_back(self) -> None:
        shutil.copy(self.path.with_suffix(".backup"), self.path)


class PostgresPlace:
    """A database of this process's own server."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.target = patient(server().url(name))
        self._backup: str | None = None

    @property
    def url(self) -> str:
        return self.target.url

    def store(self) -> PostgresStore:
        return PostgresStore(self.target)

    def back_up(self) -> None:
        self._backup = server().database(template=self.name)

    def put_back(self) -> None:
        assert self._backup is not None
        server().drop(self.name)
        server().sql(f"ALTER DATABASE {self._backup} RENAME TO {self.name}")


@contextmanager
def sqlite_place(folder: Path) -> Iterator[SqlitePlace]:
    """A folder has one."""
    yield SqlitePlace(folder)


@contextmanager
def postgres_place(_folder: Path) -> Iterator[PostgresPlace]:
    """An empty one, with the tables of this version."""
    name = _free.pop() if _free else server().database(template=_template())
    try:
        yield PostgresPlace(name)
    finally:
        server().empty(name)
        _free.append(name)


_free: list[str] = []
"""Databases that are empty again."""

PLACES = [sqlite_place, postgres_place]
"""Makes a place, which is gone afterwards. One for each implementation."""


@cache
def server() -> PostgresProcess:
    """The PostgreSQL of this process of tests."""
    process = PostgresProcess()
    process.start()
    return process


@cache
def _template() -> str:
    """A database with the tables in it: copying one takes half the time of making them."""
    name = server().database()
    with ThreadPoolExecutor(1) as thread:  # whoever asks may be in an event loop
        thread.submit(asyncio.run, prepare(patient(server().url(name)))).result()
    return name

"""Stands between a store and its PostgreSQL, and loses what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.conformance.places import PostgresPlace, server
from tests.postgres_process import patient

_SOCKET: Final = ".s.PGSQL.5432"
_COMMIT: Final = b"COMMIT\0"


class Loss(Enum):
    """What is lost of the next COMMIT, and the connection with it."""

    NOTHING = auto()
    COMMIT = auto()
    ANSWER = auto()


class Proxy:
    """Passes on everything while :attr:`loss` and the rest say nothing else."""

    def __init__(self, folder: Path, database: str) -> None:
        self.target: Final = patient(f"postgresql://rapport@/{database}?host={folder}")
        self.loss = Loss.NOTHING
        self.silent = False  # takes what is sent, and passes nothing on
        self._away_after = False
        self._folder: Final = folder
        self._server: asyncio.Server | None = None
        self._writers: Final[set[asyncio.StreamWriter]] = set()
        self._tasks: Final[set[asyncio.Task[None]]] = set()

    async def come(self) -> None:
        """Take connections."""
        self.loss, self._away_after = Loss.NOTHING, False
        self._server = await asyncio.start_unix_server(self._accept, self._folder / _SOCKET)

    def go(self) -> None:
        """Drop all connections, and take no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        (self._folder / _SOCKET).unlink(missing_ok=True)

    def lose(self, loss: Loss, *, for_good: bool) -> None:
        """Lose something of the next COMMIT; and be gone then, if for good."""
        self.loss, self._away_after = loss, for_good

    async def end(self) -> None:
        """Let go of everything."""
        self.go()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_unix_connection(server().folder / _SOCKET)
        self._writers.update((writer, to_there))
        for coroutine in (self._pass_requests(reader, to_there, writer), self._pass_answers(there, writer)):
            task = asyncio.create_task(coroutine)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while data := await _read(reader):
            if self.silent:
                continue
            if data.endswith(_COMMIT) and self.loss is not Loss.NOTHING:
                loss, self.loss = self.loss, Loss.NOTHING
                if loss is Loss.ANSWER:
                    self._writers.discard(writer)  # this connection is still to be heard
                    back.transport.abort()
                    writer.write(data)
                    await writer.drain()
                if self._away_after:
                    self.go()
                back.transport.abort()
                if loss is Loss.ANSWER:
                    continue
                break
            writer.write(data)
        writer.close()
        back.transport.abort()

    async def _pass_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await _read(reader):
            if not writer.transport.is_closing():
                writer.write(data)
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1 << 16)
    except ConnectionError:
        return b""


@asynccontextmanager
async def proxy_to(place: PostgresPlace) -> AsyncIterator[Proxy]:
    """A proxy to a database, taking connections."""
    with TemporaryDirectory(prefix="rapport-proxy-") as folder:
        proxy = Proxy(Path(folder), place.name)
        await proxy.come()
        try:
            yield proxy
        finally:
            await proxy.end()

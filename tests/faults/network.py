"""Links between processes that can be held up and cut, without either side knowing why."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Self

Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
PIECE = 1 << 16


class Link:
    """A TCP port of 127.0.0.1 that passes on what comes to wherever ``far`` connects.

    Held, it takes everything and passes on nothing, as a network does that has silently gone; cut, it ends
    connections and takes no new ones.
    """

    def __init__(self, far: Open) -> None:
        self._far = far
        self._open = asyncio.Event()
        self._open.set()
        self._cut = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self) -> None:
        """Pass on nothing from now on."""
        self._open.clear()

    def cut(self) -> None:
        """End all connections, and take no new ones."""
        self._cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Pass on everything again, also what came while it was held."""
        self._cut = False
        self._open.set()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            if self._cut:
                return
            await self._open.wait()
            far_reader, far_writer = await self._far()
            self._writers.add(far_writer)
            try:
                await self._passed(reader, writer, far_reader, far_writer)
            finally:
                self._writers.discard(far_writer)
                far_writer.transport.abort()
        except OSError:
            return  # nobody is there
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _passed(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Pass on both ways, until either side ends."""
        both = [
            asyncio.create_task(self._one_way(reader, far_writer)),
            asyncio.create_task(self._one_way(far_reader, writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            with contextlib.suppress(TimeoutError, OSError):
                # What the side that ended had still to say has been written: let it arrive.
                async with asyncio.timeout(1):
                    await asyncio.gather(writer.drain(), far_writer.drain())
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

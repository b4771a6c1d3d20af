"""A stretch of network between a browser and a server that can be cut: all connections through it at once."""

from __future__ import annotations

import asyncio
import contextlib
import math
from types import TracebackType
from typing import Self

PIECE_BYTES = 16 * 1024


class CuttingProxy:
    """Carries bytes to a port of this machine, from a ``port`` of its own."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self.carried = 0
        """Bytes towards the server."""
        self.cut_at: float = math.inf
        """When so many were carried, everything is cut, once."""
        self.cuts = 0
        self._to_port = to_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        both = {writer, to_writer}
        self._writers |= both
        try:
            await asyncio.gather(self._carry(reader, to_writer, up=True), self._carry(to_reader, writer))
        finally:
            self._writers -= both
            for one in both:
                one.close()
            for one in both:
                with contextlib.suppress(OSError):
                    await one.wait_closed()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE_BYTES):
                if up:
                    self.carried += len(data)
                writer.write(data)
                await writer.drain()
                if self.carried >= self.cut_at:
                    self.cut_at = math.inf
                    self.cuts += 1
                    self._cut()
        writer.close()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

"""The one writer of a socket: joins what one turn of the event loop gave it into one write.

While the socket takes everything at once there is no task and no waiting; a task exists only while the
transport's buffer is above its limit. Which messages wait, and for how long, is the outbox's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from signaling.door.outbox import Outbox

HIGH_WATER = 64 * 1024
"""At most as much may wait in the transport before the rest waits in the outbox, where it can be replaced."""


def high_water(outbox_bytes: int) -> int:
    """The limit of the transport's buffer beside an outbox: an eighth, so that most waits where we see it."""
    return min(HIGH_WATER, outbox_bytes // 8)


class Wire(Protocol):
    """A socket as the writer sees it."""

    def write(self, data: bytes) -> None:
        """Hand over bytes; never blocks."""

    def buffered(self) -> int:
        """Bytes handed over that the kernel has not taken yet."""

    async def drain(self) -> None:
        """Wait until the buffer is below its limit; :exc:`ConnectionError` when the socket is lost."""


class Turn:
    """Flushes, once at the end of a turn of the event loop, every writer that got something in it."""

    def __init__(self) -> None:
        self._writers: list[Writer] = []

    def want(self, writer: Writer) -> None:
        """Flush ``writer`` soon."""
        if not self._writers:
            asyncio.get_running_loop().call_soon(self._end)
        self._writers.append(writer)

    def _end(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.flush()


class Writer:
    """Writes the outbox of one connection to its socket."""

    __slots__ = (
        "_given",
        "_half",
        "_high",
        "_moved_at",
        "_on_space",
        "_seen",
        "_space",
        "_task",
        "_turn",
        "_wanted",
        "_wire",
        "outbox",
    )

    def __init__(self, wire: Wire, outbox: Outbox, turn: Turn, on_space: Callable[[], None]) -> None:
        self.outbox = outbox
        self._wire = wire
        self._high = high_water(outbox.max_bytes)
        self._half = outbox.max_bytes // 2
        self._turn = turn
        self._on_space = on_space
        self._wanted = False
        self._task: asyncio.Task[None] | None = None
        self._space: asyncio.Event | None = None
        self._given = 0  # bytes handed to the transport since the beginning
        self._seen = 0  # of these, taken by the kernel when last looked at
        self._moved_at: float | None = None  # since when no more were taken, None while nothing waits

    @property
    def over(self) -> bool:
        """Whether as much waits as may wait: whoever causes more has to wait too."""
        # The transport's part is small (`high_water`): it need not be asked while the outbox is half empty.
        return self.outbox.size > self._half and self.outbox.over(self._wire.buffered())

    def fits(self, size: int) -> bool:
        """Whether ``size`` more bytes may wait."""
        waiting = self.outbox.size + size
        return waiting <= self._half or self.outbox.fits(size, self._wire.buffered())

    def send(self, message: bytes) -> None:
        """A reply, or an event that fits."""
        self.outbox.put(message)
        if not self._wanted:
            self._want()

    def send_signal(self, key: str, message: bytes, now: float) -> None:
        """A signal, which may be replaced by a later one with the same key, or dropped."""
        self.outbox.put_signal(key, message, self._wire.buffered(), now)
        self._want()

    def flush(self) -> None:
        """Write what waits, unless the socket is behind: then a task goes on with it."""
        self._wanted = False
        if self._task is not None:
            return
        if self.outbox and self._wire.buffered() < self._high:
            self._write(asyncio.get_running_loop().time())
        if self.outbox or self._wire.buffered() >= self._high:
            self._task = asyncio.get_running_loop().create_task(self._drain())
        else:
            self._tell_space()

    def flush_all(self) -> None:
        """Hand everything to the transport: nothing more will come."""
        while self.outbox:
            self._write(asyncio.get_running_loop().time())

    async def until_space(self) -> None:
        """Wait until the outbox is within its limit."""
        while self.over and (self._wanted or self._task is not None):
            self._space = self._space or asyncio.Event()
            self._space.clear()
            await self._space.wait()

    def stop(self) -> None:
        """Write nothing more; forget what waits."""
        self.outbox.clear()
        if self._task is not None:
            self._task.cancel()
        if self._space is not None:
            self._space.set()

    def stalled_seconds(self, now: float) -> float:
        """For how long bytes have been waiting without the kernel taking one. Looks at the socket."""
        waiting = self._wire.buffered()
        taken = self._given - waiting
        if not waiting or taken > self._seen or self._moved_at is None:
            self._seen = taken
            self._moved_at = now if waiting else None
            return 0.0
        return now - self._moved_at

    def _want(self) -> None:
        if not self._wanted and self._task is None:
            self._wanted = True
            self._turn.want(self)

    def _write(self, now: float) -> None:
        data = self.outbox.take(now, 2 * self._high)
        self._given += len(data)
        self._wire.write(data)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(0)  # the transport writes, and notices that it is behind, between turns
                await self._wire.drain()
                self._tell_space()
                if not self.outbox:
                    return
                self._write(loop.time())
        except ConnectionError:
            self.outbox.clear()  # the reader learns of the loss by itself
        finally:
            self._task = None
            self._tell_space()

    def _tell_space(self) -> None:
        if self._space is not None and not self.over:
            self._space.set()
        self._on_space()

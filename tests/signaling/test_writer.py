"""The writer of a socket: one write for each turn, waiting only when the socket is behind, stalls seen."""

from __future__ import annotations

import asyncio

from signaling.door.outbox import Outbox
from signaling.door.writer import Turn, Writer, high_water

LIMIT = 64 * 1024


class ScriptedWire:
    """A socket that takes ``room`` bytes and buffers the rest until it is given more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.writes: list[bytes] = []
        self.sent = b""
        self.waiting = b""
        self.lost = False
        self._drained = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.waiting += data
        self._move()

    def take(self, room: int) -> None:
        """The peer reads so many bytes."""
        self.room += room
        self._move()

    def lose(self) -> None:
        """The socket breaks."""
        self.lost = True
        self._drained.set()

    def buffered(self) -> int:
        return len(self.waiting)

    async def drain(self) -> None:
        await self._drained.wait()
        if self.lost:
            raise ConnectionResetError

    def _move(self) -> None:
        self.sent += self.waiting[: self.room]
        moved = min(self.room, len(self.waiting))
        self.waiting, self.room = self.waiting[moved:], self.room - moved
        if len(self.waiting) < high_water(LIMIT):
            self._drained.set()
        else:
            self._drained.clear()


def writer_on(wire: ScriptedWire) -> tuple[Writer, list[int]]:
    """A writer, and how often it has told of space."""
    spaces: list[int] = []
    return Writer(wire, Outbox(LIMIT, 10.0), Turn(), lambda: spaces.append(1)), spaces


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_one_turn_gives_is_one_write() -> None:
    wire = ScriptedWire(1 << 20)
    writer, _ = writer_on(wire)
    for number in range(10):
        writer.send(bytes([number]))
    assert wire.writes == []
    await turns()
    assert wire.writes == [bytes(range(10))]


async def test_a_socket_that_is_behind_is_not_given_more_than_a_part() -> None:
    wire = ScriptedWire(0)
    writer, _ = writer_on(wire)
    message = b"x" * 1024
    for _ in range(60):
        writer.send(message)
        await turns(1)
    await turns()
    assert len(wire.waiting) <= 3 * high_water(LIMIT) + len(message)
    assert not writer.fits(8 * 1024)
    while len(wire.sent) < 60 * 1024:
        wire.take(4096)
        await turns()
    assert wire.sent == message * 60
    assert writer.fits(8 * 1024)


async def test_whoever_waits_for_space_goes_on_when_there_is_some() -> None:
    wire = ScriptedWire(0)
    writer, spaces = writer_on(wire)
    for _ in range(70):
        writer.send(b"x" * 1024)
    assert writer.over
    waiting = asyncio.create_task(writer.until_space())
    await turns()
    assert not waiting.done()
    wire.take(1 << 20)
    await waiting
    assert writer.fits(LIMIT // 2)
    assert spaces


async def test_a_lost_socket_leaves_nobody_waiting() -> None:
    wire = ScriptedWire(0)
    writer, _ = writer_on(wire)
    for _ in range(70):
        writer.send(b"x" * 1024)
    waiting = asyncio.create_task(writer.until_space())
    await turns()
    wire.lose()
    await waiting
    assert not writer.outbox


async def test_stopping_leaves_nobody_waiting() -> None:
    wire = ScriptedWire(0)
    writer, _ = writer_on(wire)
    for _ in range(70):
        writer.send(b"x" * 1024)
    waiting = asyncio.create_task(writer.until_space())
    await turns()
    writer.stop()
    await waiting


async def test_a_stall_is_time_without_a_byte_taken() -> None:
    wire = ScriptedWire(0)
    writer, _ = writer_on(wire)
    assert writer.stalled_seconds(0.0) == 0.0
    writer.send(b"x" * 1024)
    await turns()
    assert [writer.stalled_seconds(now) for now in (1.0, 4.0, 9.0)] == [0.0, 3.0, 8.0]
    wire.take(1)
    assert [writer.stalled_seconds(now) for now in (10.0, 12.0)] == [0.0, 2.0]
    wire.take(1 << 20)
    assert [writer.stalled_seconds(now) for now in (13.0, 99.0)] == [0.0, 0.0]


async def test_everything_left_goes_out_at_the_end() -> None:
    wire = ScriptedWire(0)
    writer, _ = writer_on(wire)
    for _ in range(50):
        writer.send(b"x" * 1024)
    writer.flush_all()
    assert len(wire.waiting) == 50 * 1024

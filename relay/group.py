"""Group commit: one batch in flight, no timer. What arrives while a batch is being written forms the next
one.

The calls' side belongs to an event loop; who writes the batches is the store's business: a thread, a task.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from relay.errors import Overloaded, StoreClosed, StoreError
from relay.keys import PutDeviceList, PutPrekeys
from relay.webhooks import PutDelivery
from relay.writes import Append, Outcome, Write

Call = Sequence[Write]
Answer = tuple[Outcome, ...] | StoreError

_WITH_BODY: Final = (Append, PutDelivery, PutDeviceList)

Done = Callable[[Answer], None]
_Waiting = tuple[Call, Done]


class BatchWriter(Protocol):
    """Writes batches, one at a time."""

    def begin(self, calls: Sequence[Call], done: Callable[[Sequence[Answer]], None]) -> None:
        """Write a batch: `done` is given one answer for each call, in a later turn of the event loop."""

    async def end(self) -> None:
        """Release what batches are written with. None is under way, and none will come."""


class GroupCommit:
    """Hands batches of calls to a writer.

    At most `max_waiting` calls with at most `max_waiting_bytes` of events and deliveries wait, beyond that
    `submit` raises `Overloaded`; a batch takes at most `max_batch` of them, which bounds how long the next
    one waits.
    """

    def __init__(
        self,
        writer: BatchWriter,
        *,
        max_waiting: int = 16_384,
        max_waiting_bytes: int = 64 << 20,
        max_batch: int = 2_048,
    ) -> None:
        self._writer: Final = writer
        self._max_waiting: Final = max_waiting
        self._max_waiting_bytes: Final = max_waiting_bytes
        self._max_batch: Final = max_batch
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._writing = False  # a batch is in flight, or will be at the end of this loop turn
        self._closed = False
        self._idle: Final = asyncio.Event()
        self._idle.set()
        self.commits = 0
        self.batches = 0

    @property
    def waiting(self) -> int:
        """Calls behind the batch in flight."""
        return len(self._waiting)

    def submit(self, call: Call) -> asyncio.Future[tuple[Outcome, ...]]:
        """Queue a call. Raises `StoreClosed` or `Overloaded`; the future gives outcomes or a `StoreError`."""
        future: asyncio.Future[tuple[Outcome, ...]] = self._loop.create_future()
        self.enter(call, partial(_resolve, future))
        return future

    def enter(self, call: Call, done: Done) -> None:
        """The same without a future: `done` is given the answer, in the order of the calls."""
        if self._closed:
            raise StoreClosed("the store is closed")
        size = _size(call)
        if len(self._waiting) >= self._max_waiting or self._waiting_bytes + size > self._max_waiting_bytes:
            raise Overloaded("too many writes wait for the store")
        self._waiting.append((call, done))
        self._waiting_bytes += size
        if not self._writing:
            self._writing = True
            self._idle.clear()
            # At the end of this turn: what the same turn still brings goes into the same batch.
            self._loop.call_soon(self._hand_over)

    async def close(self) -> None:
        """Take no more calls, finish those taken, end the writer."""
        self._closed = True
        await self._idle.wait()
        await self._writer.end()

    def _hand_over(self) -> None:
        batch = self._waiting[: self._max_batch]
        self._waiting = self._waiting[self._max_batch :]
        self._waiting_bytes = sum(_size(call) for call, _ in self._waiting) if self._waiting else 0
        self._writer.begin([call for call, _ in batch], partial(self._settle, batch))

    def _settle(self, batch: list[_Waiting], answers: Sequence[Answer]) -> None:
        """Give each caller its answer, and the writer its next batch."""
        if self._waiting:
            self._hand_over()
        else:
            self._writing = False
            self._idle.set()
        self.batches += 1
        self.commits += len(batch)
        for (_, done), answer in zip(batch, answers, strict=True):
            try:
                done(answer)
            except Exception as error:  # noqa: BLE001 - a caller's fault is not that of the others in its batch
                context = {"message": "an answer of the store was not taken", "exception": error}
                self._loop.call_exception_handler(context)


def _resolve(future: asyncio.Future[tuple[Outcome, ...]], answer: Answer) -> None:
    if future.cancelled():
        return
    if isinstance(answer, StoreError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _size(call: Call) -> int:
    if len(call) == 1:  # nearly all of them
        return _bytes(call[0])
    return sum([_bytes(write) for write in call])


def _bytes(write: Write) -> int:
    if isinstance(write, _WITH_BODY):
        return len(write.body)
    if isinstance(write, PutPrekeys):
        return sum([len(prekey.body) for prekey in write.one_time])
    return 0

"""Group commit: one batch in flight, no timer. What arrives while a batch is being written forms the next
one.

The calls' side belongs to an event loop, the batches are written by a thread of their own; per batch the loop
is woken once.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from relay.errors import Overloaded, StoreClosed, StoreError
from relay.keys import PutDeviceList, PutPrekeys
from relay.sqlite.writer import Answer, Call
from relay.webhooks import PutDelivery
from relay.writes import Append, Outcome, Write

_log = logging.getLogger(__name__)

_WITH_BODY: Final = (Append, PutDelivery, PutDeviceList)

Apply = Callable[[Sequence[Call]], list[Answer]]
Done = Callable[[Answer], None]
_Waiting = tuple[Call, Done]


class GroupCommit:
    """Hands batches of calls to `apply` in a thread.

    At most `max_waiting` calls with at most `max_waiting_bytes` of events and deliveries wait, beyond that
    `submit` raises `Overloaded`; a batch takes at most `max_batch` of them, which bounds how long the next
    one waits.
    """

    def __init__(
        self,
        apply: Apply,
        *,
        max_waiting: int = 16_384,
        max_waiting_bytes: int = 64 << 20,
        max_batch: int = 2_048,
    ) -> None:
        self._apply: Final = apply
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
        self._batches: Final[queue.SimpleQueue[list[_Waiting] | None]] = queue.SimpleQueue()
        self._thread: Final = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()
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
        """Take no more calls, finish those taken, end the thread."""
        if not self._closed:
            self._closed = True
            await self._idle.wait()
            self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        batch = self._waiting[: self._max_batch]
        self._waiting = self._waiting[self._max_batch :]
        self._waiting_bytes = sum(_size(call) for call, _ in self._waiting) if self._waiting else 0
        self._batches.put(batch)

    def _settle(self, batch: list[_Waiting], answers: Sequence[Answer]) -> None:
        """Give each caller its answer, and the thread its next batch."""
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

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            answers: list[Answer]
            try:
                answers = self._apply([call for call, _ in batch])
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for an answer
                _log.exception("store_batch_failed")
                answers = [StoreError(f"the batch failed ({type(error).__name__})") for _ in batch]
            self._loop.call_soon_threadsafe(self._settle, batch, answers)


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

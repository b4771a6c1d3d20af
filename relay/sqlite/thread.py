"""The thread that batches are written in; per batch the event loop is woken once."""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final

from relay.errors import StoreError
from relay.group import Answer, Call

Apply = Callable[[Sequence[Call]], list[Answer]]
Done = Callable[[Sequence[Answer]], None]

_log = logging.getLogger(__name__)


class WriterThread:
    """A `relay.group.BatchWriter` that hands batches to `apply` in a thread of its own."""

    def __init__(self, apply: Apply) -> None:
        self._apply: Final = apply
        self._loop: Final = asyncio.get_running_loop()
        self._batches: Final[queue.SimpleQueue[tuple[Sequence[Call], Done] | None]] = queue.SimpleQueue()
        self._thread: Final = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def begin(self, calls: Sequence[Call], done: Done) -> None:
        self._batches.put((calls, done))

    async def end(self) -> None:
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            calls, done = batch
            answers: list[Answer]
            try:
                answers = self._apply(calls)
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for an answer
                _log.exception("store_batch_failed")
                answers = [StoreError(f"the batch failed ({type(error).__name__})") for _ in calls]
            self._loop.call_soon_threadsafe(done, answers)

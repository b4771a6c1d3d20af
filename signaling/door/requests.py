"""The requests of one connection while they are carried out: each on its own, each answered exactly once.

A request never holds up the next one. Messages are appended in the order in which they came; pages of history
are read one at a time, and only while the outbox has room, so that replies cannot pile up without bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

import structlog

from protocol import errors
from protocol.errors import ProtocolError
from protocol.frames import AnyRequest, Error, Ok, Result, RoomHistory
from relay.errors import StoreError
from signaling.dispatch import Asker, Dispatcher, Work
from signaling.door.writer import Writer
from signaling.observe.logs import failure
from signaling.storage_errors import refusal

_log = structlog.get_logger("rapport.door")
Reply = Callable[[Ok | Error], None]


def error_frame(error: ProtocolError, request_id: int | None = None) -> Error:
    """A refusal as a frame; without ``request_id`` the connection is about to be closed."""
    kind = error.kind
    return Error(
        kind.code,
        kind.name,
        kind.temporary,
        error.detail,
        kind.hint,
        id=request_id,
        retry_after_ms=error.retry_after_ms,
        mismatch=error.mismatch,
    )


class Requests:
    """Carries out what one connection asks for; ``reply`` sends its answers."""

    __slots__ = ("_asker", "_dispatcher", "_pages", "_reply", "_tasks", "_writer")

    def __init__(self, asker: Asker, dispatcher: Dispatcher, writer: Writer, reply: Reply) -> None:
        self._asker = asker
        self._dispatcher = dispatcher
        self._writer = writer
        self._reply = reply
        self._tasks: set[asyncio.Task[None]] = set()  # at most the requests in flight
        self._pages: asyncio.Lock | None = None

    def begin(self, request: AnyRequest) -> None:
        """Carry out a request; it is answered now or later, exactly once."""
        try:
            work = self._dispatcher.begin(self._asker, request, partial(self._answer, request.id))
        except Exception as error:  # noqa: BLE001 - see `_refusal`
            self._answer(request.id, self._refusal(request, error))
            return
        if work is not None:
            self.spawn(
                self._page(request, work) if isinstance(request, RoomHistory) else self._await(request, work)
            )

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something that belongs to the connection, and is waited for at its end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until everything that needs this connection has come to its end."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _page(self, request: RoomHistory, work: Work) -> None:
        self._pages = self._pages or asyncio.Lock()
        async with self._pages:
            await self._writer.until_space()
            await self._await(request, work)

    async def _await(self, request: AnyRequest, work: Work) -> None:
        try:
            outcome: Result | ProtocolError | None = await work
        except Exception as error:  # noqa: BLE001 - see `_refusal`
            outcome = self._refusal(request, error)
        self._answer(request.id, outcome)

    def _refusal(self, request: AnyRequest, error: Exception) -> ProtocolError:
        """What to answer when carrying out a request has failed: the connection and the process live on."""
        if isinstance(error, ProtocolError):
            return error
        if isinstance(error, StoreError):
            return refusal(error)
        connection = self._asker.caller.connection
        _log.error("request_failed", connection=connection, op=type(request).__name__, error=failure(error))
        return ProtocolError(errors.INTERNAL)

    def _answer(self, request_id: int, outcome: Result | ProtocolError | None) -> None:
        if isinstance(outcome, ProtocolError):
            self._reply(error_frame(outcome, request_id))
        else:
            self._reply(Ok(request_id, outcome))

"""The requests of one connection while they are carried out: each on its own, each answered exactly once.

A request never holds up the next one. Messages are appended in the order in which they came; pages of history
are read one at a time, and only while the outbox has room, so that replies cannot pile up without bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import structlog

from protocol import errors
from protocol.errors import ProtocolError
from protocol.frames import AnyRequest, Error, Ok, RoomHistory
from relay.errors import StoreError
from signaling.dispatch import Asker, Dispatcher
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
        """Carry out a request, in a task of its own."""
        work = self._page(request) if isinstance(request, RoomHistory) else self._answer(request)
        self.spawn(work)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something that belongs to the connection, and is waited for at its end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until everything that was begun has come to its end."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _page(self, request: RoomHistory) -> None:
        self._pages = self._pages or asyncio.Lock()
        async with self._pages:
            await self._writer.until_space()
            await self._answer(request)

    async def _answer(self, request: AnyRequest) -> None:
        reply: Ok | Error
        try:
            reply = Ok(request.id, await self._dispatcher.perform(self._asker, request))
        except ProtocolError as error:
            reply = error_frame(error, request.id)
        except StoreError as error:
            reply = error_frame(refusal(error), request.id)
        except Exception as error:  # noqa: BLE001 - one request fails; the connection and the process live on
            caller = self._asker.caller
            _log.error(
                "request_failed",
                connection=caller.connection,
                op=type(request).__name__,
                error=failure(error),
            )
            reply = error_frame(ProtocolError(errors.INTERNAL), request.id)
        self._reply(reply)

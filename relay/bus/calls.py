"""Requests from one node to another, over a bus that may lose anything.

A request is repeated with the same id until its reply comes or the caller's patience ends; the node that is
asked carries it out once, however often it comes within a minute. What requests and replies say is for those
who make and answer them, who number what may be overtaken by time.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, assert_never

import structlog

from relay.bus import Addressed, AskNotice, ReplyNotice
from relay.bus.replies import Replies, Standing

MAX_BODY_BYTES = 1 << 20
"""Of a request or a reply."""

MAX_WAITING = 16_384
"""Requests of this node that wait for their replies."""

MAX_PATIENCE_SECONDS = 30.0
"""Half of the time for which replies are remembered, so that what comes late is known, too."""

Handler = Callable[[str, bytes], Awaitable[bytes]]
"""Carries out a request, given the node that asks and what it asks."""

_log = structlog.get_logger("rapport.bus")


class Line(Protocol):
    """What calls need of a `relay.bus.Bus`."""

    @property
    def node(self) -> str: ...

    def send(self, node: str, notice: Addressed) -> None: ...


class NoReply(Exception):
    """No reply came. The request may have been carried out, or may still be."""


class Calls:
    """What this node asks others and they ask it. Hand :meth:`take` what the bus brings of that."""

    def __init__(self, bus: Line, *, repeat_seconds: float = 0.5, replies: Replies | None = None) -> None:
        self._bus: Final = bus
        self._repeat_seconds: Final = repeat_seconds
        self._replies: Final = replies or Replies()
        self._waiting: dict[str, tuple[str, asyncio.Future[bytes]]] = {}
        self._handler: Handler | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._stopped = False

    def serve(self, handler: Handler) -> None:
        """Have requests carried out by ``handler``; until then none is taken. What it raises is logged, and
        the caller has no reply: a refusal that callers are to understand is a reply.
        """
        self._handler = handler

    async def ask(self, node: str, request: bytes, timeout: float) -> bytes:
        """The reply of that node, which may be this one, within so many seconds.

        Raises :exc:`NoReply`; it is safe to ask again, as a new request. ``ValueError`` for a request that is
        too large, or a patience that is too long.
        """
        if len(request) > MAX_BODY_BYTES or timeout > MAX_PATIENCE_SECONDS:
            raise ValueError(f"{len(request)} bytes, {timeout} seconds")
        if self._stopped or len(self._waiting) >= MAX_WAITING:
            raise NoReply("too much is asked, or this node is stopping")
        notice = AskNotice(self._bus.node, secrets.token_hex(12), request)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[notice.id] = (node, future)
        try:
            async with asyncio.timeout(timeout):
                return await self._repeat(node, notice, future)
        except TimeoutError:
            raise NoReply("within the time given") from None
        finally:
            del self._waiting[notice.id]

    def take(self, notice: AskNotice | ReplyNotice) -> None:
        """Something came over the bus."""
        match notice:
            case AskNotice():
                self._asked(notice)
            case ReplyNotice(id, body):
                _, future = self._waiting.get(id, (None, None))
                if future is None or future.done():
                    return
                if body is None:
                    future.set_exception(NoReply("it failed there"))
                else:
                    future.set_result(body)
            case _:
                assert_never(notice)

    def gone(self, node: str) -> None:
        """That node is dead: whoever waits for it has no reply at once."""
        for asked, future in self._waiting.values():
            if asked == node and not future.done():
                future.set_exception(NoReply("the node is gone"))

    async def stop(self) -> None:
        """Take nothing more; what is under way is broken off."""
        self._stopped = True
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(NoReply("this node is stopping"))
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _repeat(self, node: str, notice: AskNotice, future: asyncio.Future[bytes]) -> bytes:
        while not future.done():
            self._bus.send(node, notice)
            await asyncio.wait([future], timeout=self._repeat_seconds)
        return future.result()

    def _asked(self, notice: AskNotice) -> None:
        if self._stopped or self._handler is None or len(notice.body) > MAX_BODY_BYTES:
            return
        match self._replies.take(notice.caller, notice.id, asyncio.get_running_loop().time()):
            case ReplyNotice() as reply:
                self._bus.send(notice.caller, reply)
            case Standing.NEW:
                task = asyncio.create_task(self._carry_out(self._handler, notice))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            case Standing.UNDER_WAY | Standing.TOO_MUCH:
                pass  # its reply will come, or the request will

    async def _carry_out(self, handler: Handler, notice: AskNotice) -> None:
        body: bytes | None = None
        try:
            body = await handler(notice.caller, notice.body)
            if len(body) > MAX_BODY_BYTES:
                body = None
                _log.error("reply_too_large")
        except Exception as error:  # noqa: BLE001 - the caller is told, and nobody else is disturbed
            _log.error("call_failed", error=type(error).__name__)
        reply = ReplyNotice(notice.id, body)
        self._replies.done(notice.caller, reply, asyncio.get_running_loop().time())
        self._bus.send(notice.caller, reply)

"""The supervisor's handle of one worker process: start it, ask it, hear from it, stop it.

Whether and when a dead worker is replaced is the supervisor's decision: it makes a new `MediaWorker` and
places its sessions there with a higher generation.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import sys
from collections.abc import Callable
from typing import Final, TypeVar, cast

import msgspec

from protocol.fields import Modality
from rtc import control
from rtc.errors import ControlError, RequestTimeout, RtcError, WorkerGone

START_SECONDS: Final = 20.0
"Until the worker must listen; importing takes a second on a small machine."
STOP_SECONDS: Final = 5.0
"Until a worker that was asked to end is killed."

ReplyT = TypeVar("ReplyT", bound=control.Reply)


class Refused(RtcError):
    """The worker refused the request; `name` is the name of the error that it met."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail or name)
        self.name = name


class MediaWorker(asyncio.Protocol):
    """One worker process. `on_event` and `on_exit` are called on the loop that `start` ran on.

    Requests raise `Refused` with the name of an error of `rtc.errors`, `RequestTimeout` when the worker does
    not answer in time, and `WorkerGone` when it dies or is not running.
    """

    def __init__(
        self,
        options: control.WorkerOptions,
        *,
        on_event: Callable[[control.EventMessage], None],
        on_exit: Callable[[], None],
        request_timeout_seconds: float = 5.0,
    ) -> None:
        self._options = options
        self._on_event = on_event
        self._on_exit = on_exit
        self._timeout = request_timeout_seconds
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[control.ReplyMessage]] = {}
        self._frames = control.FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._ready: asyncio.Future[control.Ready] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int:
        """The process id. Raises `WorkerGone` before `start`."""
        if self._process is None:
            raise WorkerGone
        return self._process.pid

    @property
    def port(self) -> int:
        """The UDP port that it listens on. Raises `WorkerGone` before `start`."""
        if self._ready is None or not self._ready.done():
            raise WorkerGone
        return self._ready.result().port

    async def start(self) -> None:
        """Start the process; returns when it listens. Raises `WorkerGone` when it does not come up."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "rtc.worker"),
                *("--control-fd", str(theirs.fileno())),
                *("--options", msgspec.json.encode(self._options).decode()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        await loop.connect_accepted_socket(lambda: self, ours)
        self._watcher = loop.create_task(self._watch())
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._ready
        except (TimeoutError, WorkerGone):
            await self.stop()
            raise WorkerGone("the worker did not come up") from None

    async def stop(self) -> None:
        """End the process, by force if need be; returns when it is gone. `on_exit` is not called."""
        self._stopping = True
        if self._process is None or self._watcher is None:
            return
        if self._transport is not None:
            self._transport.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.shield(self._watcher)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._watcher

    async def offer(self, session: str, generation: int, participant: str, sdp: str) -> str:
        """The answer to a participant's offer."""
        request = control.Offer(next(self._ids), session, generation, participant, sdp)
        return (await self._ask(request, control.Answered)).sdp

    async def remove(self, session: str, generation: int, participant: str) -> None:
        """Take a participant out of a session."""
        await self._ask(control.Remove(next(self._ids), session, generation, participant), control.Done)

    async def close_session(self, session: str, generation: int) -> None:
        """Take everyone out of a session and forget it."""
        await self._ask(control.CloseSession(next(self._ids), session, generation), control.Done)

    async def set_modality(self, session: str, generation: int, modality: Modality) -> None:
        """Forward only what the modality allows from now on."""
        await self._ask(control.SetModality(next(self._ids), session, generation, modality), control.Done)

    async def stats(self) -> control.WorkerStats:
        """Totals of the worker."""
        return await self._ask(control.Stats(next(self._ids)), control.WorkerStats)

    async def ping(self) -> None:
        """Return when the worker has answered."""
        await self._ask(control.Ping(next(self._ids)), control.Done)

    async def _ask(self, request: control.RequestMessage, expected: type[ReplyT]) -> ReplyT:
        if self._transport is None or self._transport.is_closing():
            raise WorkerGone
        reply: asyncio.Future[control.ReplyMessage] = asyncio.get_running_loop().create_future()
        self._pending[request.id] = reply
        try:
            self._transport.write(control.encode(request))
            async with asyncio.timeout(self._timeout):
                result = await reply
        except TimeoutError:
            raise RequestTimeout from None
        finally:
            del self._pending[request.id]
        if isinstance(result, control.Failure):
            raise Refused(result.name, result.detail)
        if not isinstance(result, expected):
            raise ControlError("a reply of the wrong type")
        return result

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's, but are stream transports all the same.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            messages = [control.decode_from_worker(body) for body in self._frames.feed(data)]
        except ControlError:
            # Both ends are ours: this is a defect, and what would follow cannot be trusted.
            self._kill()
            return
        for message in messages:
            if isinstance(message, control.Reply):
                waiting = self._pending.get(message.id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            elif isinstance(message, control.Ready):
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(message)
                self._on_event(message)
            else:
                self._on_event(message)

    def connection_lost(self, exc: Exception | None) -> None:
        # Without its channel the process ends by itself; `_watch` sees it and tells.
        self._fail_pending()

    async def _watch(self) -> None:
        assert self._process is not None
        await self._process.wait()
        if self._transport is not None:
            self._transport.close()
        self._fail_pending()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(WorkerGone())
        elif not self._stopping:
            self._on_exit()

    def _fail_pending(self) -> None:
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(WorkerGone())

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

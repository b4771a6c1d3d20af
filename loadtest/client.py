"""The reference client: one device's conversation with the server, across as many connections as it takes.

It says ``hello`` with its positions, hands the app every event of every room once and in order, acknowledges
it afterwards, answers pings, comes back with jitter after a cut, and sends again what was not answered.
Messages are made once, with a ``mid``, so that sending them again cannot double them. What is in a message is
the app's business: :mod:`loadtest.sealed_chat` makes and reads those that are encrypted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from loadtest import wire
from loadtest.backoff import Backoff
from loadtest.errors import Closed, LoadTestError, Refused, ServerFault, TimedOut, Unreachable
from loadtest.in_flight import InFlight
from loadtest.link import Link
from loadtest.logs import RoomLogs, Verdict
from loadtest.wire import Map

REPEAT_SECONDS = 0.5
"""The pause before a message is sent again after a temporary refusal that names no time itself."""

STEADY_SECONDS = 5.0
"""A connection that lasted as long was good: the next attempt does not wait for earlier failures."""

LONGEST_PLANNED_PAUSE_SECONDS = 60.0
"""However late a ``goodbye`` asks to come back."""


class App(Protocol):
    """What the conversation is for. Called from the reading of frames: quick, and never awaiting a reply."""

    def on_welcome(self, welcome: Map) -> None:
        """Connected, for the first time or again. Sessions are joined again before anything is sent."""

    def on_event(self, event: Map) -> None:
        """The next event of a room. When this returns, the event counts as persisted and is acknowledged."""

    def on_log(self, frame: Map) -> None:
        """Where a room's log stands: ``caught_up`` with what there was, or ``reset`` to begin anew."""

    def on_signal(self, signal: Map) -> None:
        """Something short-lived."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of a client, in seconds."""

    connect: float = 10.0
    """From opening a connection to its welcome."""
    reply: float = 10.0
    """From asking to the reply, reconnecting included."""
    backoff: Backoff = field(default_factory=Backoff)
    """Between attempts to connect."""


@dataclass(slots=True)
class Tally:
    """What a conversation went through; all but ``connections`` are 0 with a good server and a good path."""

    connections: int = 0
    cuts: int = 0
    repeated: int = 0
    """Events that came although this device had them."""
    gaps: int = 0
    """Events that came before the ones that precede them."""
    resets: int = 0
    faults: int = 0
    """Frames that break the protocol."""


class Client:
    """One device of one account. ``async with`` connects and, at the end, says goodbye.

    ``url`` is the ``ws://`` or ``wss://`` address; ``token`` gives a fresh token whenever one is needed.
    """

    def __init__(
        self, url: str, device: str, token: Callable[[], str], app: App, *, pace: Pace | None = None
    ) -> None:
        self.tally = Tally()
        self.logs = RoomLogs()
        self._url = url
        self._device = device
        self._token = token
        self._app = app
        self._pace = pace or Pace()
        self._link: Link | None = None
        self._entered: Link | None = None  # the same, once the sessions have been joined again on it
        self._joined: dict[str, None] = {}  # in the order of joining
        self._in_flight = InFlight()
        self._sending = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self._welcomed = asyncio.Event()
        self._over: LoadTestError | None = None
        self._trouble: LoadTestError | None = None  # why the last attempt to connect failed
        self._come_back_seconds: float | None = None

    async def __aenter__(self) -> Client:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Start, and wait for the first welcome. Raises what kept it from coming."""
        self._running = asyncio.create_task(self._run(), name=f"client {self._device}")
        # Whatever ends it, nobody is left waiting for a reply.
        self._running.add_done_callback(lambda _: self._end(Closed(1000)))
        welcomed = asyncio.create_task(self._welcomed.wait())
        try:
            await asyncio.wait(
                (welcomed, self._running), timeout=self._pace.connect, return_when=asyncio.FIRST_COMPLETED
            )
            if not welcomed.done():
                raise self._over or self._trouble or Unreachable("no welcome in time")
        except BaseException:
            await self.close()
            raise
        finally:
            welcomed.cancel()

    async def close(self) -> None:
        """End the conversation; requests that wait for a reply fail with :exc:`Closed`.

        What the app raised from one of its methods, which ended the conversation, is raised again here.
        """
        link, self._link = self._link, None
        running, self._running = self._running, None
        self._end(Closed(1000))
        if running is not None:
            running.cancel()
            await asyncio.wait((running,))
        if link is not None:
            await link.close()
        if running is not None and not running.cancelled():
            running.result()

    def cut(self, away_seconds: float | None = None) -> None:
        """Lose the connection as if the network did; the client comes back by itself, or after so long."""
        if self._link is not None:
            self._come_back_seconds = away_seconds
            self._link.cut()

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment, with all sessions joined on it."""
        return self._entered is not None

    # --- Asking ---------------------------------------------------------------------------------------

    async def join(self, session: str) -> Map:
        """Join a session, and stay in it across connections. Raises what :meth:`request` does."""
        view = await self.request("session.join", session=session)
        self._joined[session] = None
        return view

    async def leave(self, session: str) -> Map:
        """Go out of a session. Raises what :meth:`request` does."""
        self._joined.pop(session, None)
        return await self.request("session.leave", session=session)

    async def request(self, op: str, **fields: Any) -> Map:
        """Send a request and wait for its result (empty for a request that has none).

        Raises :exc:`Refused`, :exc:`Disconnected` when the connection is lost before the reply,
        :exc:`TimedOut`, or :exc:`Closed`.
        """
        return await self._ask({"op": op, **fields}, durable=False)

    async def send_message(self, room: str, data: bytes, session: str | None = None) -> tuple[UUID, Map]:
        """Store ``data`` in the room's log, across cuts and temporary refusals: its ``mid``, and its place.

        Raises :exc:`Refused`, :exc:`TimedOut`, or :exc:`Closed`.
        """
        mid = wire.message_id(time.time_ns() // 1_000_000, random.getrandbits(74))
        frame: Map = {"op": "message.send", "room": room, "mid": mid.bytes, "data": data}
        if session is not None:
            frame["session"] = session
        try:
            async with asyncio.timeout(self._pace.reply):
                return mid, await self._insist(frame)
        except TimeoutError:
            raise TimedOut("message.send") from None

    async def _insist(self, frame: Map) -> Map:
        while True:
            try:
                return await self._ask(frame, durable=True)
            except Refused as refusal:
                if not refusal.temporary:
                    raise
                wait_ms = refusal.retry_after_ms
                await asyncio.sleep(REPEAT_SECONDS if wait_ms is None else wait_ms / 1000)

    async def _ask(self, frame: Map, *, durable: bool) -> Map:
        if self._over is not None:
            raise self._over
        with self._in_flight.ask(frame, durable=durable) as pending:
            try:
                async with asyncio.timeout(self._pace.reply):
                    await self._push()
                    return await pending.reply
            except TimeoutError:
                raise TimedOut(frame["op"]) from None

    async def _push(self) -> None:
        """Send everything that was not sent on this connection yet, in the order it was asked."""
        async with self._sending:
            link = self._entered
            while link is not None and link is self._entered:
                unsent = self._in_flight.next_unsent(link)
                if unsent is None:
                    return
                unsent.sent_on = link
                await link.send(unsent.frame)

    # --- Connecting -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            try:
                await self._converse()
            except (Refused, Closed) as error:
                self._end(error)
                return
            except Unreachable as error:
                self._trouble = error
                if not error.retry:
                    self._end(error)
                    return
            except ServerFault:
                self.tally.faults += 1
            self._lost()
            failures = 0 if loop.time() - started > STEADY_SECONDS else failures + 1
            await asyncio.sleep(self._pause(failures))

    def _pause(self, failures: int) -> float:
        planned, self._come_back_seconds = self._come_back_seconds, None
        if planned is not None:
            return min(planned, LONGEST_PLANNED_PAUSE_SECONDS)
        return self._pace.backoff.seconds(failures, random.random())  # noqa: S311 - jitter

    async def _converse(self) -> None:
        """One connection from hello to its end."""
        hello = {
            "op": "hello",
            "token": self._token(),
            "device": self._device,
            "versions": [wire.VERSION],
            "rooms": self.logs.positions(),
        }
        link = await Link.open(self._url, hello, timeout=self._pace.connect)
        self._link = link
        self.tally.connections += 1
        self.logs.welcomed(link.welcome["rooms"])
        self._app.on_welcome(link.welcome)
        entering = asyncio.create_task(self._enter(link))
        try:
            while (frame := await link.receive()) is not None:
                await self._take(link, frame)
        finally:
            entering.cancel()

    async def _enter(self, link: Link) -> None:
        """Join the sessions again, for what is sent into them presumes it; then send what is unsent."""
        for session in tuple(self._joined):
            with self._in_flight.ask({"op": "session.join", "session": session}, durable=False) as pending:
                pending.sent_on = link
                await link.send(pending.frame)
                try:
                    await pending.reply
                except Refused:
                    # It is over, or the account is no longer invited: who sends into it will be told.
                    del self._joined[session]
        self._entered = link
        self._welcomed.set()
        await self._push()

    def _lost(self) -> None:
        """The connection, if there was one, is gone, and with it what was asked on it and is not durable."""
        link, self._link, self._entered = self._link, None, None
        if link is None:
            return
        link.cut()
        self.tally.cuts += 1
        self._in_flight.lost(link)

    def _end(self, error: LoadTestError) -> None:
        self._over = self._over or error
        self._entered = None
        self._in_flight.fail(self._over)

    # --- Reading --------------------------------------------------------------------------------------

    async def _take(self, link: Link, frame: Map) -> None:
        match frame["op"]:
            case "ok":
                self._in_flight.answered(frame["id"], frame.get("result") or {})
            case "error":
                self._in_flight.answered(frame.get("id"), _refusal(frame))
            case "event":
                await self._event(link, frame)
            case "signal":
                self._app.on_signal(frame)
            case "ping":
                await link.send({"op": "pong", "t_ms": frame["t_ms"]})
                if self.logs.stuck(frame.get("heads", {})):
                    link.cut()
            case "reset":
                self.tally.resets += 1
                self.logs.reset(frame["room"], frame["epoch"], frame["lowest"])
                self._app.on_log(frame)
            case "caught_up":
                self._app.on_log(frame)
            case "removed":
                self.logs.removed(frame["room"])
            case "goodbye":
                self._come_back_seconds = frame["reconnect_after_ms"] / 1000
            case "welcome":
                raise ServerFault("a second `welcome`")

    async def _event(self, link: Link, event: Map) -> None:
        room, epoch, offset = event["room"], event["epoch"], event["offset"]
        match self.logs.event(room, epoch, offset):
            case Verdict.NEW:
                self._app.on_event(event)
                await link.send({"op": "ack", "room": room, "epoch": epoch, "offset": offset})
            case Verdict.REPEATED:
                self.tally.repeated += 1
            case Verdict.GAP:
                self.tally.gaps += 1
                link.cut()


def _refusal(frame: Map) -> Refused:
    retry_after_ms = frame.get("retry_after_ms")
    return Refused(
        frame["code"],
        frame["name"],
        temporary=frame["temporary"],
        retry_after_ms=retry_after_ms,
        mismatch=frame.get("mismatch"),
    )

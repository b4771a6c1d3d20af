"""A media worker with peers around it: what signaling would do, reduced to what a test of media needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from aiortc import InvalidStateError, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from rtc.client import MediaWorker
from rtc.control import EventMessage, RosterChanged, WorkerOptions

SESSION = "session"
WAIT_SECONDS = 30.0

EventT = TypeVar("EventT", bound=EventMessage)


class Hall:
    """One worker and one session. Participants that registered with `on_roster` offer again when told to."""

    def __init__(self, options: WorkerOptions | None = None) -> None:
        self.generation = 1
        self.events: list[EventMessage] = []
        self.died = asyncio.Event()
        self.worker = self._worker(options or WorkerOptions())
        self._options = options or WorkerOptions()
        self._arrived = asyncio.Condition()
        self._renegotiate: dict[str, Callable[[], Awaitable[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.worker.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.worker.stop()
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        if error is None:
            # Who hangs up in the middle of an exchange can do nothing with the answer.
            failures = [
                result
                for result in results
                if isinstance(result, Exception) and not isinstance(result, InvalidStateError)
            ]
            assert not failures, failures

    async def replace_worker(self) -> None:
        """Start another worker, as signaling does when one has died."""
        self.died.clear()
        self.generation += 1
        self.worker = self._worker(self._options)
        await self.worker.start()

    def on_roster(self, participant: str, renegotiate: Callable[[], Awaitable[None]]) -> None:
        """Have `renegotiate` called whenever the participant is to offer again."""
        self._renegotiate[participant] = renegotiate

    async def answer(self, participant: str, offer: str) -> str:
        """The worker's answer."""
        return await self.worker.offer(SESSION, self.generation, participant, offer)

    async def remove(self, participant: str) -> None:
        """Take a participant out, who need not be told of the roster any more."""
        self._renegotiate.pop(participant, None)
        await self.worker.remove(SESSION, self.generation, participant)

    async def event(self, kind: type[EventT], participant: str, count: int = 1) -> EventT:
        """The `count`th event of a kind about a participant, waited for."""

        def found() -> list[EventT]:
            return [
                event
                for event in self.events
                if isinstance(event, kind) and getattr(event, "participant", None) == participant
            ]

        async with asyncio.timeout(WAIT_SECONDS), self._arrived:
            await self._arrived.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    def _worker(self, options: WorkerOptions) -> MediaWorker:
        return MediaWorker(options, on_event=self._on_event, on_exit=self.died.set)

    def _on_event(self, event: EventMessage) -> None:
        self.events.append(event)
        self.spawn(self._notify())
        if isinstance(event, RosterChanged) and event.participant in self._renegotiate:
            self.spawn(self._renegotiate[event.participant]())

    def spawn(self, work: Awaitable[None]) -> None:
        """Let something run; if it fails, the test does when the hall closes."""
        self._tasks.add(asyncio.ensure_future(work))

    async def _notify(self) -> None:
        async with self._arrived:
            self._arrived.notify_all()


class Sink:
    """Takes the decoded frames of a remote track and counts them."""

    def __init__(self, track: MediaStreamTrack) -> None:
        self.kind = track.kind
        self.track_id = track.id
        self.frames = 0
        self._track = track
        self._more = asyncio.Condition()
        self._task = asyncio.create_task(self._pump())

    async def more(self, frames: int) -> None:
        """Wait for so many frames from now on."""
        target = self.frames + frames
        async with asyncio.timeout(WAIT_SECONDS), self._more:
            await self._more.wait_for(lambda: self.frames >= target)

    async def _pump(self) -> None:
        while True:
            await self._track.recv()
            self.frames += 1
            async with self._more:
                self._more.notify_all()

    async def close(self) -> None:
        """Stop counting."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class AiortcPeer:
    """A stock aiortc connection in a hall, which renegotiates when the roster changes."""

    def __init__(self, hall: Hall, name: str) -> None:
        self.hall = hall
        self.name = name
        self.pc = RTCPeerConnection()
        self.sinks: list[Sink] = []
        self._heard = asyncio.Condition()
        self._negotiating = asyncio.Lock()
        self.pc.on("track", self._on_track)

    async def join(self, *tracks: MediaStreamTrack) -> None:
        """Send `tracks`, and receive in the same media sections."""
        for track in tracks:
            self.pc.addTrack(track)
        self.hall.on_roster(self.name, self.negotiate)
        await self.negotiate()

    async def negotiate(self) -> None:
        """Offer, and take the answer."""
        async with self._negotiating:
            await self.pc.setLocalDescription(await self.pc.createOffer())
            answer = await self.hall.answer(self.name, self.pc.localDescription.sdp)
            await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def sink(self, kind: str, count: int = 1) -> Sink:
        """The `count`th remote track of a kind, waited for."""

        def found() -> list[Sink]:
            return [sink for sink in self.sinks if sink.kind == kind]

        async with asyncio.timeout(WAIT_SECONDS), self._heard:
            await self._heard.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    async def receives(self, frames: int = 10) -> None:
        """Wait for decoded video and audio."""
        await (await self.sink("video")).more(frames)
        await (await self.sink("audio")).more(frames)

    async def leave(self) -> None:
        """Close the connection and leave the session."""
        await self.hall.remove(self.name)
        await self.close()

    async def close(self) -> None:
        """Close the connection without telling anybody."""
        for sink in self.sinks:
            await sink.close()
        await self.pc.close()

    def _on_track(self, track: MediaStreamTrack) -> None:
        self.sinks.append(Sink(track))
        self.hall.spawn(self._tell())

    async def _tell(self) -> None:
        async with self._heard:
            self._heard.notify_all()

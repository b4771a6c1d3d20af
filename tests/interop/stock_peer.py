"""A therapist without a browser: the Python client, and a stock aiortc peer connection."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack, VideoStreamTrack
from av import AudioFrame

from loadtest import sound
from loadtest.client import Client
from loadtest.target import Target
from tests.interop.people import PATIENCE


class Tone(AudioStreamTrack):
    """aiortc's audio track, which is silent, with a tone in it."""

    async def recv(self) -> AudioFrame:
        silence = await super().recv()
        assert isinstance(silence, AudioFrame)
        assert silence.pts is not None
        frame = sound.tone(silence.pts // silence.samples)
        frame.pts, frame.time_base = silence.pts, Fraction(1, silence.sample_rate)
        return frame


class StockPeer:
    """One participant. What it receives is decoded by aiortc and counted here."""

    def __init__(self, target: Target, account: str, *kinds: str) -> None:
        self.frames = dict.fromkeys(kinds, 0)
        self.energy = 0.0
        self.heard: list[str] = []
        self.reason: str | None = None
        self._client = Client(
            target.connect, "stock", lambda: target.participant_token(account, "therapist"), self
        )
        self._account = account
        self._room = self._session = ""
        self._connection = RTCPeerConnection()
        self._connection.on("track", self._receive)
        for kind in kinds:
            self._connection.addTrack(Tone() if kind == "audio" else VideoStreamTrack())
        self._negotiating = asyncio.Lock()
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(self, room: str, session: str) -> None:
        """Connect, join and offer."""
        self._room, self._session = room, session
        await self._client.connect()
        await self._client.join(session)
        await self._negotiate()

    async def say(self, text: str) -> None:
        """Send a chat message; returns when it is durable."""
        await self._client.send_message(self._room, text.encode(), self._session)

    async def end_session(self) -> None:
        """End the session for everyone."""
        await self._client.request("session.end", session=self._session)

    async def until(self, condition: Any) -> None:
        """Wait until a condition over what was received holds."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(condition)

    async def close(self) -> None:
        """Hang up and leave; what failed in the background fails here."""
        await self._connection.close()
        await self._client.close()
        await asyncio.gather(*self._tasks)

    def on_welcome(self, welcome: dict[str, Any]) -> None:
        """Nothing to do: there is one connection in these tests."""

    def on_event(self, event: dict[str, Any]) -> None:
        """Keep what others write, and why the session ended."""
        body = event["body"]
        if body["kind"] == "message" and event["sender"] != self._account:
            self.heard.append(body["data"].decode())
        self.reason = body.get("reason", self.reason)
        self._spawn(self._tell())

    def on_log(self, frame: dict[str, Any]) -> None:
        """Where a log stands is of no interest here."""

    def on_signal(self, signal: dict[str, Any]) -> None:
        """Offer again when told to."""
        if signal["body"]["kind"] == "reoffer":
            self._spawn(self._negotiate())

    async def _negotiate(self) -> None:
        async with self._negotiating:
            connection = self._connection
            await connection.setLocalDescription(await connection.createOffer())
            offer = connection.localDescription.sdp
            answer = await self._client.request("media.offer", session=self._session, sdp=offer)
            await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))

    def _receive(self, track: MediaStreamTrack) -> None:
        self._spawn(self._count(track))

    async def _count(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return  # the track has ended
            self.frames[track.kind] += 1
            if isinstance(frame, AudioFrame):
                self.energy += sound.energy(frame)
            await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _spawn(self, work: Any) -> None:
        self._tasks.add(asyncio.ensure_future(work))

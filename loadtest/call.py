"""One peer connection of a synthetic participant: real VP8 and Opus out, decoded pictures and sound in.

It is stock aiortc through its public classes. Who offers when, and what becomes of the answer, is
:mod:`loadtest.peer`'s.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from loadtest import pictures, sound
from loadtest.errors import ServerFault

Modality: TypeAlias = Literal["video", "audio", "chat"]

PICTURES_PER_SECOND: Final = 15
_VIDEO_CLOCK: Final = 90_000
_AUDIBLE: Final = 1e-7
"""The least energy of a frame that counts as sound; the tone has a thousand times as much."""


@dataclass(slots=True)
class Meter:
    """What a participant has received, over all its peer connections."""

    modality: Modality
    pictures: int = 0
    """Decoded pictures that differ from the one before: a frozen image does not count."""
    sounds: int = 0
    """Decoded audio frames of 20 ms that are audible."""
    energy: float = 0.0
    """As ``totalAudioEnergy`` of WebRTC statistics."""
    first_at: float | None = None
    """``time.monotonic()`` of the first picture, or in an audio session of the first sound."""
    packets_received: int = 0
    packets_lost: int = 0

    def picture(self) -> None:
        """A picture has come."""
        self.pictures += 1
        self._first("video")

    def sound(self, energy: float) -> None:
        """An audio frame has come."""
        self.energy += energy
        if energy > _AUDIBLE:
            self.sounds += 1
            self._first("audio")

    def _first(self, kind: str) -> None:
        if self.first_at is None and self.modality == kind:
            self.first_at = time.monotonic()


class _Paced(MediaStreamTrack):
    """A track that gives its frames at a steady rate; what is late is left out, as a camera does."""

    def __init__(self, per_second: int) -> None:
        super().__init__()
        self._per_second = per_second
        self._started: float | None = None
        self._number = -1

    async def _next(self) -> int:
        if self.readyState != "live":
            raise MediaStreamError
        now = time.monotonic()
        if self._started is None:
            self._started = now
        self._number = max(self._number + 1, int((now - self._started) * self._per_second))
        await asyncio.sleep(self._started + self._number / self._per_second - now)
        return self._number


class _Camera(_Paced):
    kind = "video"

    def __init__(self) -> None:
        super().__init__(PICTURES_PER_SECOND)

    async def recv(self) -> VideoFrame:
        number = await self._next()
        frame = pictures.draw(number)
        frame.pts = number * _VIDEO_CLOCK // PICTURES_PER_SECOND
        frame.time_base = Fraction(1, _VIDEO_CLOCK)
        return frame


class _Microphone(_Paced):
    kind = "audio"

    def __init__(self) -> None:
        super().__init__(sound.RATE // sound.SAMPLES)

    async def recv(self) -> AudioFrame:
        return sound.tone(await self._next())


class Call:
    """A peer connection that sends what the meter's modality has, and meters what it receives."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        # No ICE servers: the media worker is reached directly, and nobody else is to be asked.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._watching: set[asyncio.Task[None]] = set()
        self._connection.on("track", self._received)
        self._add(_Microphone(), "audio/opus")
        if meter.modality == "video":
            self._add(_Camera(), "video/VP8")

    def _add(self, track: MediaStreamTrack, codec: str) -> None:
        sender = self._connection.addTrack(track)
        transceiver = next(one for one in self._connection.getTransceivers() if one.sender is sender)
        codecs = RTCRtpSender.getCapabilities(track.kind).codecs
        transceiver.setCodecPreferences([one for one in codecs if one.mimeType == codec])

    async def offer(self) -> str:
        """A complete offer of the tracks there are."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return self._connection.localDescription.sdp

    async def answer(self, sdp: str) -> None:
        """The server's answer to the last offer. Raises :exc:`ServerFault` if it does not fit the offer."""
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        except (ValueError, InvalidAccessError, InvalidStateError, OperationError) as error:
            raise ServerFault(f"an answer that does not fit the offer: {type(error).__name__}") from None

    async def close(self) -> None:
        """Count what was received and lost, and end the connection."""
        for receiver in self._connection.getReceivers():
            for stats in (await receiver.getStats()).values():
                if stats.type == "inbound-rtp":
                    self._meter.packets_received += stats.packetsReceived
                    self._meter.packets_lost += stats.packetsLost
        await self._connection.close()
        if self._watching:
            await asyncio.wait(self._watching)

    def _received(self, track: MediaStreamTrack) -> None:
        watch = self._watch_pictures(track) if track.kind == "video" else self._listen(track)
        self._watching.add(asyncio.create_task(watch))

    async def _watch_pictures(self, track: MediaStreamTrack) -> None:
        shown: int | None = None
        while (frame := await _frame(track)) is not None:
            number = pictures.read(frame) if isinstance(frame, VideoFrame) else None
            if number is not None and number != shown:
                shown = number
                self._meter.picture()

    async def _listen(self, track: MediaStreamTrack) -> None:
        while (frame := await _frame(track)) is not None:
            if isinstance(frame, AudioFrame):
                self._meter.sound(sound.energy(frame))


async def _frame(track: MediaStreamTrack) -> object | None:
    """The next decoded frame; none when the track has ended."""
    try:
        return await track.recv()
    except MediaStreamError:
        return None

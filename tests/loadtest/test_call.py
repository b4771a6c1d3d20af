"""A synthetic participant's peer connection, against a stock one that sends everything back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from loadtest.call import Call, Meter, Modality


async def _mirror(offer: str) -> tuple[RTCPeerConnection, str]:
    """A peer connection that decodes what it gets and sends it back, and its answer."""
    mirror = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    def back(track: MediaStreamTrack) -> None:
        mirror.addTrack(track)

    mirror.on("track", back)
    await mirror.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await mirror.setLocalDescription(await mirror.createAnswer())
    return mirror, mirror.localDescription.sdp


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the meter is a plain record, and tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("modality", ["video", "audio"])
async def test_pictures_and_sound_go_out_and_come_in(modality: Modality) -> None:
    meter = Meter(modality)
    call = Call(meter)
    mirror, answer = await _mirror(await call.offer())
    await call.answer(answer)
    await _until(lambda: meter.sounds > 10 and (modality == "audio" or meter.pictures > 5))
    await call.close()
    await mirror.close()
    assert meter.first_at is not None
    assert meter.packets_received > 0
    assert meter.packets_lost == 0
    assert meter.energy > 0.0
    assert (meter.pictures > 0) == (modality == "video")


async def test_only_vp8_and_opus_are_offered() -> None:
    call = Call(Meter("video"))
    offer = await call.offer()
    await call.close()
    assert "VP8/90000" in offer
    assert "opus/48000" in offer
    assert not any(other in offer for other in ("H264", "PCMU", "VP9"))

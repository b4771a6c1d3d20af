"""Stock aiortc connections with real VP8, H.264 and Opus through a real media worker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
from aiortc import RTCRtpSender
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from rtc.client import Refused
from rtc.control import Connected, Disconnected, Reason, RosterChanged, WorkerOptions
from rtc.errors import WorkerGone
from tests.interop.rtc_hall import SESSION, AiortcPeer, Hall


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    async with Hall() as hall:
        yield hall


async def call(hall: Hall, *names: str) -> list[AiortcPeer]:
    peers = [AiortcPeer(hall, name) for name in names]
    for peer in peers:
        await peer.join(AudioStreamTrack(), VideoStreamTrack())
    return peers


async def test_two_people_see_and_hear_each_other(hall: Hall) -> None:
    alice, bob = await call(hall, "alice", "bob")
    await asyncio.gather(alice.receives(), bob.receives())
    await hall.event(Connected, "alice")
    await hall.event(Connected, "bob")
    assert {sink.track_id for sink in alice.sinks} == {"bob.0", "bob.1"}

    stats = await hall.worker.stats()
    assert (stats.sessions, stats.peers) == (1, 2)
    assert stats.packets_in > 40
    assert stats.packets_out > 40
    assert stats.dropped == {}
    await bob.leave()
    await alice.close()
    closed = await hall.event(Disconnected, "alice")
    assert closed.reason is Reason.CLOSED


async def test_h264_is_forwarded_when_both_choose_it(hall: Hall) -> None:
    h264 = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType == "video/H264"]
    peers = [AiortcPeer(hall, name) for name in ("alice", "bob")]
    for peer in peers:
        transceiver = peer.pc.addTransceiver(VideoStreamTrack(), direction="sendrecv")
        transceiver.setCodecPreferences(h264)
        await peer.join(AudioStreamTrack())
    await asyncio.gather(*(peer.receives() for peer in peers))
    for peer in peers:
        assert "H264" in peer.pc.remoteDescription.sdp
        assert "VP8" not in peer.pc.remoteDescription.sdp
        await peer.close()


async def test_who_leaves_and_comes_back_is_seen_in_the_same_place(hall: Hall) -> None:
    alice, bob = await call(hall, "alice", "bob")
    await asyncio.gather(alice.receives(), bob.receives())
    await bob.leave()
    told = await hall.event(RosterChanged, "alice", count=2)
    assert (told.audio, told.video) == (0, 0)

    (bob,) = await call(hall, "bob")
    await asyncio.gather(alice.receives(), bob.receives())
    assert len(alice.sinks) == 2
    await alice.close()
    await bob.close()


async def test_a_new_connection_replaces_the_old_one(hall: Hall) -> None:
    alice, bob = await call(hall, "alice", "bob")
    await asyncio.gather(alice.receives(), bob.receives())
    # As a page that was reloaded: nobody has told the worker that the old connection is gone.
    (again,) = await call(hall, "bob")
    await asyncio.gather(alice.receives(), again.receives())
    assert (await hall.worker.stats()).peers == 2
    for peer in (alice, bob, again):
        await peer.close()


async def test_a_third_person_is_heard_by_both(hall: Hall) -> None:
    peers = await call(hall, "alice", "bob", "carol")
    for peer in peers:
        # One section of each kind is there already; the second one is for the third person.
        peer.pc.addTransceiver("audio", direction="recvonly")
        peer.pc.addTransceiver("video", direction="recvonly")
        await peer.negotiate()
    for peer in peers:
        others = {name for name in ("alice", "bob", "carol") if name != peer.name}
        sinks = [await peer.sink(kind, count) for kind in ("audio", "video") for count in (1, 2)]
        await asyncio.gather(*(sink.more(10) for sink in sinks))
        assert {sink.track_id for sink in sinks} == {f"{name}.{mid}" for name in others for mid in "01"}
    for peer in peers:
        await peer.close()


async def test_the_modality_is_enforced_whatever_clients_send(hall: Hall) -> None:
    alice, bob = await call(hall, "alice", "bob")
    await asyncio.gather(alice.receives(), bob.receives())
    video, audio = await alice.sink("video"), await alice.sink("audio")

    await hall.worker.set_modality(SESSION, hall.generation, "audio")
    await audio.more(20)  # what was on its way has arrived
    frames = video.frames
    await audio.more(50)
    assert video.frames == frames

    await hall.worker.set_modality(SESSION, hall.generation, "video")
    await video.more(10)
    await alice.close()
    await bob.close()


async def test_a_new_worker_takes_over_after_sigkill(hall: Hall) -> None:
    alice, bob = await call(hall, "alice", "bob")
    await asyncio.gather(alice.receives(), bob.receives())
    os.kill(hall.worker.pid, signal.SIGKILL)
    await asyncio.wait_for(hall.died.wait(), 60)
    with pytest.raises(WorkerGone):
        await hall.worker.stats()

    await hall.replace_worker()
    again = await call(hall, "alice", "bob")
    await asyncio.gather(*(peer.receives() for peer in again))
    for peer in (alice, bob, *again):
        await peer.close()


async def test_bad_offers_and_full_sessions_disturb_nobody() -> None:
    async with Hall(WorkerOptions(max_participants=2)) as hall:
        alice, bob = await call(hall, "alice", "bob")
        await asyncio.gather(alice.receives(), bob.receives())
        for participant, text, name in (
            ("carol", "garbage", "sdp_malformed"),
            ("alice", "v=0\r\n" * 100_000, "sdp_too_large"),
            ("alice", "", "sdp_malformed"),
            ("carol", alice.pc.localDescription.sdp, "session_full"),
            ("not a name", alice.pc.localDescription.sdp, "bad_name"),
        ):
            with pytest.raises(Refused) as refused:
                await hall.answer(participant, text)
            assert refused.value.name == name
        await asyncio.gather(alice.receives(), bob.receives())
        await alice.close()
        await bob.close()

"""Chromium with Chromium, and Chromium with aiortc, through a real media worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from rtc.control import Connected
from tests.chromium import Chromium, Page
from tests.interop.rtc_hall import AiortcPeer, Hall

EMPTY_PAGE = "<!doctype html><link rel=icon href=data:,><title>call</title>"

OFFER = """(async () => {
    await pc.setLocalDescription(await pc.createOffer(%s));
    return pc.localDescription.sdp;
})()"""

SETUP = """(async () => {
    window.pc = new RTCPeerConnection();
    window.streams = new Set();
    pc.ontrack = ({ track, streams }) => {
        for (const stream of streams) window.streams.add(stream.id);
        const element = document.createElement(track.kind);
        element.srcObject = new MediaStream([track]);
        element.autoplay = true;
        element.muted = track.kind === "video";
        document.body.append(element);
    };
    const own = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    for (const track of own.getTracks()) pc.addTrack(track, own);
    window.inbound = async (kind, field) => {
        let most = 0;
        for (const report of (await pc.getStats()).values())
            if (report.type === "inbound-rtp" && report.kind === kind)
                most = Math.max(most, report[field] || 0);
        return most;
    };
})()"""


class Browser:
    """A page with a peer connection in a hall."""

    def __init__(self, hall: Hall, page: Page, name: str) -> None:
        self.hall = hall
        self.page = page
        self.name = name
        self._negotiating = asyncio.Lock()

    async def join(self) -> None:
        await self.page.evaluate(SETUP)
        self.hall.on_roster(self.name, self.negotiate)
        await self.negotiate()

    async def negotiate(self, options: str = "{}") -> None:
        async with self._negotiating:
            offer = await self.page.evaluate(OFFER % options)
            answer = await self.hall.answer(self.name, offer)
            description = json.dumps({"type": "answer", "sdp": answer})
            await self.page.evaluate(f"pc.setRemoteDescription({description})")

    async def receives(self, frames: int = 30) -> None:
        """Wait for further decoded video and audible sound."""
        decoded = await self.page.evaluate("inbound('video', 'framesDecoded')")
        energy = await self.page.evaluate("inbound('audio', 'totalAudioEnergy')")
        await self.page.until(f"inbound('video', 'framesDecoded').then(n => n > {decoded + frames})")
        await self.page.until(f"inbound('audio', 'totalAudioEnergy').then(e => e > {energy})")

    async def streams(self) -> list[str]:
        """The participants whose streams were announced here."""
        found: list[str] = await self.page.evaluate("[...streams]")
        return found


@asynccontextmanager
async def blank_page() -> AsyncIterator[str]:
    """The address of an empty page: camera and microphone need a secure origin, which loopback is."""

    async def serve(_: web.Request) -> web.Response:
        return web.Response(
            text="<!doctype html><link rel=icon href=data:,><title>call</title>", content_type="text/html"
        )

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_two_chromiums_hold_a_call_and_survive_an_ice_restart() -> None:
    async with blank_page() as url, Hall() as hall, Chromium() as chromium:
        alice = Browser(hall, await chromium.page(url), "alice")
        bob = Browser(hall, await chromium.page(url), "bob")
        await alice.join()
        await bob.join()
        await asyncio.gather(alice.receives(), bob.receives())
        assert await alice.streams() == ["bob"]
        assert await bob.streams() == ["alice"]

        before = await alice.page.evaluate("pc.localDescription.sdp.match(/ice-ufrag:(.*)/)[1]")
        await alice.negotiate("{ iceRestart: true }")
        assert before != await alice.page.evaluate("pc.localDescription.sdp.match(/ice-ufrag:(.*)/)[1]")
        await asyncio.gather(alice.receives(), bob.receives())
        assert not alice.page.problems + bob.page.problems


async def test_chromium_and_aiortc_hold_a_call() -> None:
    async with blank_page() as url, Hall() as hall, Chromium() as chromium:
        alice = Browser(hall, await chromium.page(url), "alice")
        await alice.join()
        bob = AiortcPeer(hall, "bob")
        try:
            await bob.join(AudioStreamTrack(), VideoStreamTrack())
            await hall.event(Connected, "bob")
            await bob.receives()
            await alice.page.until("inbound('video', 'framesDecoded').then(n => n > 20)")
            await alice.page.until("inbound('audio', 'packetsReceived').then(n => n > 50)")
        finally:
            await bob.close()

"""A call through a real TURN server (coturn), for a browser whose network lets nothing else through."""

from __future__ import annotations

import secrets
from pathlib import Path

import aiohttp

from loadtest.backend import BackEnd
from loadtest.private_server import private_server
from tests.chromium import Chromium
from tests.interop.people import PATIENCE, REMEMBER_PEERS, WITHOUT_ML_KEM, Person
from tests.interop.stock_peer import StockPeer
from tests.interop.test_browser_aiortc import link
from tests.turn_server import turn_server

# In the page: as behind a firewall that lets nothing but the TURN server through.
ONLY_RELAYED = """
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  setConfiguration(given) { super.setConfiguration({ ...given, iceTransportPolicy: "relay" }); }
  constructor(given) { super({ ...given, iceTransportPolicy: "relay" }); }
};
globalThis.path = async () => {
  const reports = await peers.at(-1).getStats();
  const used = [...reports.values()].find((one) => one.type === "candidate-pair" && one.nominated);
  return used && reports.get(used.localCandidateId).candidateType;
};
"""


async def test_a_page_behind_a_firewall_sees_and_hears_through_the_turn_server(tmp_path: Path) -> None:
    name, secret = secrets.token_hex(4), secrets.token_hex(32)
    async with turn_server(tmp_path, secret) as port, aiohttp.ClientSession() as http, Chromium() as browser:
        settings = {
            "RAPPORT_TURN_URLS": f"turn:127.0.0.1:{port}?transport=udp,turn:127.0.0.1:{port}?transport=tcp",
            "RAPPORT_TURN_SECRET": secret,
        }
        async with private_server(settings) as target:
            back_end = BackEnd(target, http)
            room = await back_end.create_room({f"t-{name}": "therapist", f"c-{name}": "client"})
            session = await back_end.create_session(room, "video", 1800)
            before_load = ONLY_RELAYED + REMEMBER_PEERS + WITHOUT_ML_KEM
            page = await browser.page(link(target, f"c-{name}", session), before_load=before_load)
            peer = StockPeer(target, f"t-{name}", "audio", "video")
            try:
                await peer.join(room, session)
                person = Person(page)
                await person.come_in()
                await peer.until(lambda: peer.frames["video"] > 10 and peer.energy > 0)
                await person.sees_and_hears(frames=10)
                await page.until("path().then((kind) => kind === 'relay')", seconds=PATIENCE)
                assert page.problems == []
            finally:
                await peer.close()

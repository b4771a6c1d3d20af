"""A person at a real page in session with a stock aiortc peer, through the real server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
import pytest

from loadtest.backend import BackEnd
from loadtest.private_server import private_server
from loadtest.target import Target
from tests.chromium import Chromium
from tests.interop.people import PATIENCE, REMEMBER_PEERS, WITHOUT_ML_KEM, Person
from tests.interop.stock_peer import StockPeer

KINDS = {"video": ("audio", "video"), "audio": ("audio",)}


@asynccontextmanager
async def session_of_two(modality: str) -> AsyncIterator[tuple[Person, StockPeer]]:
    """A client at the page and a therapist without one, both in a session of this modality."""
    name = secrets.token_hex(4)
    async with private_server() as target, aiohttp.ClientSession() as http, Chromium() as browser:
        back_end = BackEnd(target, http)
        room = await back_end.create_room({f"t-{name}": "therapist", f"c-{name}": "client"})
        session = await back_end.create_session(room, modality, 1800)  # type: ignore[arg-type]
        # The other side has no keys that could be sealed to.
        before_load = REMEMBER_PEERS + WITHOUT_ML_KEM
        page = await browser.page(link(target, f"c-{name}", session), before_load=before_load)
        peer = StockPeer(target, f"t-{name}", *KINDS[modality])
        try:
            await peer.join(room, session)
            person = Person(page)
            await person.come_in()
            yield person, peer
            assert page.problems == []
        finally:
            await peer.close()


def link(target: Target, account: str, session: str) -> str:
    """The link that a platform would send to a client."""
    fragment = urlencode({"token": target.participant_token(account, "client"), "session": session})
    return f"{target.url}/app/client.html#{fragment}"


async def test_a_page_and_aiortc_see_hear_and_read_each_other() -> None:
    async with session_of_two("video") as (person, peer):
        await peer.until(lambda: peer.frames["video"] > 10 and peer.energy > 0)
        await person.sees_and_hears(frames=10)
        await person.photograph("call-with-aiortc")
        await person.writes("Hello from the page.")
        await peer.until(lambda: peer.heard == ["Hello from the page."])
        await peer.say("Hello from aiortc: grüß Gott.")
        await person.reads("#messages .theirs", "Hello from aiortc: grüß Gott.")
        await peer.end_session()
        await person.reads("#farewell", "Your therapist ended it.")
        await peer.until(lambda: peer.reason == "left")


async def test_an_audio_session_has_sound_and_no_picture() -> None:
    async with session_of_two("audio") as (person, peer):
        await peer.until(lambda: peer.frames["audio"] > 10 and peer.energy > 0)
        await person.page.until("received().then((now) => now.energy > 0)", seconds=PATIENCE)
        await person.photograph("audio-session")
        offered = await person.page.evaluate("peers.at(-1).localDescription.sdp.match(/^m=[a-z]+/gm)")
        assert offered == ["m=audio"]
        await person.reads(".person .veil", "Sound only")


@pytest.mark.parametrize("role", ["therapist", "client"])
async def test_a_link_that_was_tampered_with_is_told_in_words(role: str) -> None:
    async with private_server() as target, Chromium() as browser:
        token = target.participant_token("someone", "client")[:-6] + "AAAAAA"
        fragment = urlencode({"token": token, "session": "none"})
        person = Person(await browser.page(f"{target.url}/app/{role}.html#{fragment}"))
        await person.reads("#farewell", "This link is not valid here")
        await person.reads("#farewell", "Ask for a new link")
        await person.photograph(f"bad-link-{role}")

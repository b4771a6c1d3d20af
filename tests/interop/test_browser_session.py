"""A session from the waiting room to its end, as two people at the pages live through it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from loadtest.private_server import private_server
from tests.chromium import Chromium
from tests.interop.people import PATIENCE, Person, open_trial

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT = {
    "RAPPORT_SESSIONS_MIN_MINUTES": "0.1",
    "RAPPORT_SESSIONS_OVERRUN_MINUTES": "0.2",
    "RAPPORT_SESSIONS_CUE_MINUTES": "0.2,0",
    "RAPPORT_SESSIONS_CAP_CUE_MINUTES": "0.1",
}
"""Twelve seconds of overrun, and cues that come within seconds."""

CAMERA = "document.querySelector('.own video.self').srcObject"
SECTIONS = "peers.at(-1).localDescription?.sdp.match(/^m=[a-z]+/gm)"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[str]:
    """The address of a development server whose sessions may be short."""
    async with private_server(SHORT) as target:
        yield target.url


@pytest_asyncio.fixture(loop_scope="module")
async def browser() -> AsyncIterator[Chromium]:
    """A browser for one test."""
    async with Chromium() as chromium:
        yield chromium


async def admit(therapist: Person, client: Person) -> None:
    """The client knocks, and the therapist lets them in."""
    await therapist.come_in()
    await therapist.reads(".stage .waiting", "is not here yet")
    await client.come_in()
    await client.reads("#lobby-title", "You are in the waiting room")
    await therapist.reads("#knock", "Your client is waiting")
    await therapist.page.click("#knock [data-action=admit]")
    for person in (therapist, client):
        await person.is_inside()


async def choose(person: Person, tool: str, value: str) -> None:
    """Open one of the dialogs from the bar, and press the button of this value."""
    await person.page.click(f"[data-action={tool}]")
    await person.page.until("document.querySelector('dialog[open]') !== null", seconds=PATIENCE)
    await person.page.click(f"dialog[open] [value={json.dumps(value)}]")


async def both_in_the_call(*people: Person) -> None:
    for person in people:
        await person.sees_and_hears()


async def only_sound(person: Person) -> None:
    """The peer connection has no picture in it any more, the camera is let go of, and there is sound."""
    await person.page.until(f"{SECTIONS}?.join() === 'm=audio'", seconds=PATIENCE)
    assert await person.page.evaluate(CAMERA) is None
    await person.page.until("received().then((now) => now.energy > 0)", seconds=PATIENCE)
    assert (await person.page.evaluate("received()"))["frames"] == 0


async def clock_matches(person: Person, pattern: str) -> None:
    script = f"/^{pattern}$/.test(document.getElementById('clock').innerText)"
    await person.page.until(script, seconds=PATIENCE)


def finish(*people: Person) -> None:
    for person in people:
        assert person.page.problems == []


async def test_who_waits_learns_nothing_until_they_are_let_in(browser: Chromium, server: str) -> None:
    therapist, client = await open_trial(browser, server, length_seconds=240, waiting_room="everyone")
    await therapist.come_in()
    await therapist.writes("A note that nobody outside may see.")
    await client.come_in()
    await client.reads("#lobby-title", "You are in the waiting room")
    await client.photograph("waiting-room")
    await therapist.reads("#announcer", "Your client is in the waiting room.")
    await therapist.reads(".stage .waiting", "Your client is in the waiting room.")
    await therapist.photograph("knock")
    assert "nobody outside" not in await client.page.evaluate("document.body.innerText")
    assert await client.page.evaluate("peers.length") == 0  # no media before the admission
    await therapist.page.viewport(390, 780, dark=True, mobile=True)
    await therapist.photograph("knock-phone")
    await therapist.page.viewport(1280, 800)

    await therapist.page.click("#knock [data-action=deny]")
    await client.reads("#lobby-title", "Not just now")
    await client.photograph("denied")
    await client.page.click("#join")
    await therapist.reads("#knock", "Your client is waiting")
    await therapist.page.click("#knock [data-action=admit]")
    await both_in_the_call(therapist, client)
    await client.reads("#messages", "A note that nobody outside may see.")

    await therapist.page.click("[data-action=time]")
    value = await therapist.page.evaluate("document.querySelector('#inside button').value")
    await therapist.page.click(f"dialog[open] [value={json.dumps(value)}]")
    await client.reads("#lobby-title", "You are in the waiting room again")
    await therapist.reads("#knock", "Your client is waiting")
    await therapist.page.click("#knock [data-action=admit]")
    await both_in_the_call(therapist, client)
    finish(therapist, client)


async def test_every_way_of_talking_and_an_extension(browser: Chromium, server: str) -> None:
    therapist, client = await open_trial(browser, server, length_seconds=240, waiting_room="everyone")
    await admit(therapist, client)
    await both_in_the_call(therapist, client)
    await clock_matches(client, "[34] minutes left")
    await clock_matches(therapist, "[0-3]:[0-5][0-9] left")

    await choose(client, "talk", "change audio")
    await therapist.reads("#news", "Your client changed to sound only.")
    for person in (therapist, client):
        await only_sound(person)
    await therapist.photograph("sound-only")
    await choose(therapist, "talk", "propose video")
    await client.reads("#offer", "Your therapist would like to go on with sound and picture.")
    await client.page.viewport(390, 780, mobile=True)
    await client.photograph("proposal-phone")
    await client.page.click("#accept")
    await both_in_the_call(therapist, client)

    await therapist.page.click("[data-action=time]")
    await therapist.page.until("document.querySelector('dialog[open]') !== null", seconds=PATIENCE)
    await therapist.photograph("time-and-people")
    await therapist.page.click("dialog[open] [value='extend 5']")
    for person in (therapist, client):
        await person.reads("#news", "The session now ends at")
    await clock_matches(client, "[89] minutes left")
    await therapist.page.click("[data-action=leave]")
    await therapist.page.click("dialog [value=end]")
    await client.reads("#farewell", "Your therapist ended it.")
    finish(therapist, client)


async def test_it_runs_over_gently_and_ends_at_the_cap(browser: Chromium, server: str) -> None:
    therapist, client = await open_trial(browser, server, length_seconds=40, waiting_room="everyone")
    await admit(therapist, client)
    await therapist.reads("#news", "12 seconds left.")
    await client.reads("#clock", "less than a minute left")
    await therapist.reads("#news", "The agreed time is over. You can still come to a close.")
    await therapist.reads("#clock", "Over time, 0:")
    await client.reads("#clock", "A little over time, less than a minute at most")
    await client.sees_and_hears()
    await client.photograph("overrun-client")
    await therapist.photograph("overrun-therapist")
    await therapist.reads("#news", "The session ends for everyone in 6 seconds.")
    assert (
        await client.page.evaluate("document.getElementById('news').innerText") == ""
    )  # cues are not for them
    for person in (therapist, client):
        await person.reads("#farewell", "The session ran over its agreed time and has now ended.")
    await client.photograph("ended-at-the-cap")
    finish(therapist, client)


async def test_an_urgent_session_stays_open_until_the_therapist_lets_it_end(
    browser: Chromium, server: str
) -> None:
    therapist, client = await open_trial(browser, server, length_seconds=30, waiting_room="everyone")
    await admit(therapist, client)
    await choose(therapist, "time", "urgent")
    await therapist.reads("#clock", "Over time, kept open")
    await client.reads("#clock", "The session stays open")
    # Longer than the overrun is allowed to last: by the server's own clock, the cap has passed.
    cap = "document.getElementById('standing').textContent.includes('stays open until you allow')"
    await therapist.page.click("[data-action=time]")
    assert await therapist.page.evaluate(cap)
    await therapist.page.click("#urgent")
    for person in (therapist, client):
        await person.reads("#farewell", "The session ran over its agreed time and has now ended.")
    finish(therapist, client)

"""A session from the waiting room to its end, as two people at the pages live through it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from loadtest.backend import BackEnd
from loadtest.private_server import private_server
from loadtest.target import Target
from protocol.fields import Role
from tests.chromium import Chromium
from tests.interop.people import PATIENCE, Person, open_link, open_trial

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT = {
    "RAPPORT_SESSIONS_MIN_MINUTES": "0.1",
    "RAPPORT_SESSIONS_OVERRUN_MINUTES": "0.3",
    "RAPPORT_SESSIONS_CUE_MINUTES": "0.2,0",
    "RAPPORT_SESSIONS_CAP_CUE_MINUTES": "0.1",
}
"""A short overrun, and cues that come within seconds."""

OVERRUN = 18.0

CAMERA = "document.querySelector('.own video.self').srcObject"
SECTIONS = "peers.at(-1).localDescription?.sdp.match(/^m=[a-z]+/gm)"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Target]:
    """A development server whose sessions may be short."""
    async with private_server(SHORT) as target:
        yield target


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


async def test_who_waits_learns_nothing_until_they_are_let_in(browser: Chromium, server: Target) -> None:
    therapist, client = await open_trial(browser, server.url, length_seconds=600, waiting_room="everyone")
    await therapist.come_in()
    await therapist.writes("A note that nobody outside may see.")
    await client.come_in()
    await client.reads("#lobby-title", "You are in the waiting room")
    await client.photograph("waiting-room")
    await therapist.was_told("announcer", "Your client is in the waiting room.")
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


async def test_every_way_of_talking_and_an_extension(browser: Chromium, server: Target) -> None:
    therapist, client = await open_trial(browser, server.url, length_seconds=600, waiting_room="everyone")
    await admit(therapist, client)
    await both_in_the_call(therapist, client)
    await clock_matches(client, "[0-9]+ minutes left")
    await clock_matches(therapist, "[0-9]+:[0-5][0-9] left")

    await choose(client, "talk", "change audio")
    await therapist.was_told("news", "Your client changed to sound only.")
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
        await person.was_told("news", "The session now ends at")
    await clock_matches(client, "1[1-5] minutes left")
    await therapist.page.click("[data-action=leave]")
    await therapist.page.click("dialog [value=end]")
    await client.reads("#farewell", "Your therapist ended it.")
    finish(therapist, client)


async def test_it_runs_over_gently_and_ends_at_the_cap_unless_it_is_urgent(
    browser: Chromium, server: Target
) -> None:
    # Two sessions beside each other, so that the time has to be waited for once.
    spec = {"length_seconds": 60, "waiting_room": "everyone"}
    therapist, client = await open_trial(browser, server.url, **spec)
    begun = time.time()
    other_therapist, other_client = await open_trial(browser, server.url, modality="chat", **spec)
    await admit(therapist, client)
    await admit(other_therapist, other_client)
    await choose(other_therapist, "time", "urgent")

    await therapist.was_told("news", "12 seconds left.")
    await client.was_told("clock", "less than a minute left")
    await therapist.was_told("news", "The agreed time is over. You can still come to a close.")
    await client.was_told("clock", "A little over time, less than a minute at most")
    await client.sees_and_hears(frames=5)
    await client.photograph("overrun-client")
    await therapist.photograph("overrun-therapist")
    await therapist.was_told("clock", "Over time, 0:")
    await therapist.was_told("news", "The session ends for everyone in 6 seconds.")
    for person in (therapist, client):
        await person.reads("#farewell", "The session ran over its agreed time and has now ended.")
    assert await client.page.evaluate("said.news") == []  # cues are not for them
    await client.photograph("ended-at-the-cap")

    await rate(client)
    await open_when_the_cap_has_passed(other_therapist, begun + 60 + OVERRUN)
    await other_client.was_told("clock", "The session stays open")
    await other_therapist.page.click("#urgent")
    for person in (other_therapist, other_client):
        await person.reads("#farewell", "The session ran over its agreed time and has now ended.")
    finish(therapist, client, other_therapist, other_client)


async def rate(person: Person) -> None:
    """Say how it was: once, for the server has it then."""
    await person.page.click("#rating [value='4']")
    await person.page.viewport(390, 780, mobile=True)
    await person.photograph("rating-phone")
    await person.page.click("#rating [type=submit]")
    await person.reads("#rated", "Thank you.")


async def open_when_the_cap_has_passed(therapist: Person, cap: float) -> None:
    """Look at what holds the session, later than it would have ended without."""
    await therapist.page.until(f"Date.now() > {1000 * cap + 1000}", seconds=2 * PATIENCE)
    await therapist.was_told("clock", "Over time, kept open")
    await therapist.page.click("[data-action=time]")
    await therapist.reads("#standing", "It stays open until you allow it to end again.")


async def test_an_interpreter_hears_both_and_reads_nothing(browser: Chromium, server: Target) -> None:
    async with aiohttp.ClientSession() as http:
        back_end = BackEnd(server, http)
        room = await back_end.create_room({"theo": "therapist", "clara": "client"})
        attendees = [{"account": "ines", "role": "interpreter"}]
        session = await back_end.create_session(room, "audio", 600, attendees=attendees)
    roles: dict[str, Role] = {"theo": "therapist", "clara": "client", "ines": "guest"}
    therapist, client, interpreter = [
        await open_link(browser, link(server, session, account, role)) for account, role in roles.items()
    ]
    for person in (therapist, client, interpreter):
        await person.come_in()
        await person.is_inside()
    for person in (therapist, client):
        await person.has_keys()
    await client.writes("Not for everyone.")
    await therapist.reads("#messages .theirs", "Not for everyone.")
    for person in (therapist, client, interpreter):
        # Everyone hears the two others, and sees who they are.
        await person.page.until("document.querySelectorAll('.person').length === 2", seconds=PATIENCE)
        await person.page.until("received().then((now) => now.energy > 0)", seconds=PATIENCE)
    await therapist.reads("#people", "Your client")
    await therapist.reads("#people", "The interpreter")
    await interpreter.reads("#people", "The therapist")
    await interpreter.reads("#people", "The client")
    assert "Not for everyone" not in await interpreter.page.evaluate("document.body.textContent")
    await interpreter.photograph("interpreter")
    await therapist.photograph("three-people")
    await therapist.page.click("[data-action=leave]")
    await therapist.page.click("dialog [value=end]")
    for person in (client, interpreter):
        await person.reads("#farewell", "ended it.")
    finish(therapist, client, interpreter)


async def test_an_observer_is_there_for_as_long_as_the_client_agrees(
    browser: Chromium, server: Target
) -> None:
    async with aiohttp.ClientSession() as http:
        back_end = BackEnd(server, http)
        room = await back_end.create_room({"tara": "therapist", "carl": "client"})
        attendees = [{"account": "omar", "role": "observer"}]
        session = await back_end.create_session(room, "chat", 600, attendees=attendees)
    roles: dict[str, Role] = {"tara": "therapist", "carl": "client", "omar": "guest"}
    therapist, client, observer = [
        await open_link(browser, link(server, session, account, role)) for account, role in roles.items()
    ]
    await therapist.come_in()
    await client.come_in()
    await client.reads("#consent", "Someone observing the session without taking part")
    await client.page.click("#consents [type=submit]")  # without agreeing to that
    await client.is_inside()
    await observer.come_in()
    await observer.reads("#notice", "Not everyone has agreed to being observed.")

    await client.page.click(".bar [data-action=consents]")
    await client.reads("#agreements", "You do not agree")
    await client.page.click("#consenting [value='give 0']")
    await client.was_told("news", "You agree to: Someone observing")
    await observer.come_in()
    await observer.is_inside()
    await therapist.was_told("announcer", "The observer is here.")

    await client.page.viewport(390, 780, mobile=True)
    await client.photograph("consent-phone")
    await client.page.click(".bar [data-action=consents]")
    await client.reads("#agreements", "You agree")
    await client.photograph("consents-phone")
    await client.page.click("#consenting [value='withdraw 0']")
    await client.reads("#withdrawal", "Whoever observes is taken out of the session at once.")
    await client.photograph("consent-withdrawal-phone")
    await client.page.click("#withdrawing [value=withdraw]")
    await observer.reads("#farewell", "You are no longer in the session")
    await client.was_told("announcer", "The observer has left.")
    assert await client.page.evaluate("!document.getElementById('room').hidden")
    finish(therapist, client, observer)


def link(server: Target, session: str, account: str, role: Role) -> str:
    """The link that a platform would give to a person."""
    page = "therapist" if role == "therapist" else "client"
    token = server.participant_token(account, role)
    return f"{server.url}/app/{page}.html#token={token}&session={session}"

"""Two people hold a session as they would: two pages, cameras, microphones, and the clock of the server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from loadtest.private_server import private_server
from tests.chromium import Chromium
from tests.interop.people import PATIENCE, SCREENSHOTS, Person, open_links, open_trial

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[str]:
    """The address of a development server in a process of its own."""
    hard_end = {"RAPPORT_SESSIONS_MIN_MINUTES": "0.1", "RAPPORT_SESSIONS_OVERRUN_MINUTES": "0"}
    async with private_server(hard_end) as target:
        yield target.url


@pytest_asyncio.fixture(loop_scope="module")
async def browser() -> AsyncIterator[Chromium]:
    """A browser for one test: calls that are over take no part of the machine from the next."""
    async with Chromium() as chromium:
        yield chromium


async def both_come_in(*people: Person) -> None:
    for person in people:
        await person.come_in()
    for person in people:
        await person.sees_and_hears()


async def test_a_session_from_the_first_page_to_the_farewell(browser: Chromium, server: str) -> None:
    landing = await browser.page(server)
    await landing.click("#start")
    await landing.until("!document.getElementById('links').hidden")
    await landing.screenshot(SCREENSHOTS / "landing.png")
    links = [
        await landing.evaluate(f"document.getElementById('{role}').href") for role in ("therapist", "client")
    ]
    therapist, client = await open_links(browser, *links)

    await client.reads("#lobby", "Your session with your therapist")
    await client.page.until("document.querySelector('video.self').videoWidth > 0", seconds=PATIENCE)
    await client.photograph("lobby")
    assert "token" not in await client.page.evaluate("location.href")
    await both_come_in(therapist, client)
    await therapist.reads("#connection", "Connected")
    await therapist.reads(".person .name", "Your client")
    await client.reads(".person .name", "Your therapist")

    await therapist.writes("Good morning. Can you hear me?")
    await client.reads("#messages .theirs", "Good morning. Can you hear me?")
    await client.writes("Yes. This is my first time.")
    await therapist.reads("#messages .theirs", "Yes. This is my first time.")
    await therapist.photograph("call-therapist")
    await client.page.viewport(390, 780, dark=True, mobile=True)
    await client.photograph("call-phone-chat")
    await client.page.click("#chat [data-action=chat]")
    await client.photograph("call-phone")

    await client.page.click(".bar [data-action=camera]")
    await therapist.reads(".person .veil", "Your client has the camera off")
    await therapist.photograph("call-camera-off")
    await client.page.click(".bar [data-action=camera]")
    await therapist.page.until("document.querySelector('.person .veil').hidden", seconds=PATIENCE)
    await therapist.sees_and_hears()

    await therapist.page.click("[data-action=leave]")
    await therapist.photograph("leaving")
    await therapist.page.click("dialog [value=end]")
    await therapist.reads("#farewell", "You ended the session.")
    await client.reads("#farewell", "Your therapist ended it.")
    await client.photograph("ended-by-therapist")
    assert landing.problems + therapist.page.problems + client.page.problems == []


async def test_the_clock_of_the_server_ends_the_session(browser: Chromium, server: str) -> None:
    therapist, client = await open_trial(browser, server, length_seconds=40)
    await both_come_in(therapist, client)
    for person in (therapist, client):
        await person.reads("#farewell", "Your time together is up")
        await person.reads("#farewell", "The session ended at its agreed time.")
        # Nothing goes on behind the farewell: the camera is let go of, and the call is over.
        assert await person.page.evaluate("peers.every((peer) => peer.connectionState === 'closed')")
        assert await person.page.evaluate("document.querySelector('video.self').srcObject === null")
        assert person.page.problems == []
    await client.photograph("ended-by-the-clock")


async def test_a_killed_media_worker_is_replaced_under_the_call(browser: Chromium, server: str) -> None:
    therapist, client = await open_trial(browser, server)
    await both_come_in(therapist, client)
    for worker in workers_of_this_test():
        os.kill(worker, signal.SIGKILL)
    for person in (therapist, client):
        await person.page.until("peers.length > 1", seconds=PATIENCE)
    for person in (therapist, client):
        await person.sees_and_hears()
        await person.reads("#connection", "Connected")
        assert person.page.problems == []
    await client.writes("There you are again.")
    await therapist.reads("#messages .theirs", "There you are again.")


async def test_a_reload_comes_back_into_the_session_with_its_messages(browser: Chromium, server: str) -> None:
    therapist, client = await open_trial(browser, server)
    await both_come_in(therapist, client)
    await client.writes("Before the reload.")
    await therapist.reads("#messages .theirs", "Before the reload.")
    await client.page.reload()
    await both_come_in(client)
    await therapist.sees_and_hears()
    await therapist.writes("After the reload.")
    await client.reads("#messages", "After the reload.")
    bodies = "[...document.querySelectorAll('#messages .body')].map((body) => body.textContent)"
    assert await client.page.evaluate(bodies) == ["Before the reload.", "After the reload."]


async def test_leaving_and_coming_back(browser: Chromium, server: str) -> None:
    therapist, client = await open_trial(browser, server)
    await both_come_in(therapist, client)
    await client.page.click("[data-action=leave]")
    await client.reads("#farewell", "You have left the session")
    await therapist.reads(".stage .waiting", "Your client is not here yet.")
    await client.page.click("#again")
    await both_come_in(client)
    await therapist.sees_and_hears()


async def test_two_write_without_camera_and_microphone_in_a_chat_session(
    browser: Chromium, server: str
) -> None:
    therapist, client = await open_trial(browser, server, modality="chat")
    for person in (therapist, client):
        await person.come_in()
    await client.writes("I would rather write today.")
    await therapist.reads("#messages .theirs", "I would rather write today.")
    await asyncio.gather(therapist.photograph("chat-therapist"), client.photograph("chat-client"))
    for person in (therapist, client):
        assert await person.page.evaluate("peers.length") == 0
        assert person.page.problems == []


def workers_of_this_test() -> Iterator[int]:
    """The process ids of the media workers among the descendants of this process."""
    parents: dict[int, int] = {}
    workers: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        parents[int(folder.name)] = int(status[1])
        if b"rtc.worker" in command:
            workers.append(int(folder.name))
    for worker in workers:
        ancestor = worker
        while ancestor in parents and ancestor != os.getpid():
            ancestor = parents[ancestor]
        if ancestor == os.getpid():
            yield worker

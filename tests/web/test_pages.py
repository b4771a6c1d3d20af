"""The two pages in a browser, against a scripted server: what people see and can do, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.chromium import Chromium, Page
from tests.web.scripted import ScriptedServer
from tests.web.therapy import MINUTE, Therapy, now_ms, therapy

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives


@asynccontextmanager
async def at_the_page(
    browser: Chromium, server: ScriptedServer, **options: Any
) -> AsyncIterator[tuple[Page, Therapy]]:
    """A person's page, with the lobby ready; it must end without problems."""
    async with therapy(server, **options) as scripted:
        page = await browser.page(scripted.link)
        yield page, scripted
        problems = page.problems
        await page.close()
        assert problems == []


async def come_in(page: Page) -> None:
    await page.until("!document.getElementById('join').disabled")
    await page.click("#join")
    await page.until("!document.getElementById('room').hidden")


async def reads(page: Page, selector: str, text: str) -> None:
    await page.until(f"document.querySelector({selector!r})?.innerText.includes({text!r})")


async def cut_and_meanwhile(page: Page, scripted: Therapy, script: str) -> None:
    """Cut the connection, and run ``script`` at the moment in which the page says so."""
    await page.evaluate(
        f"""{{
            const connection = document.getElementById("connection");
            const observer = new MutationObserver(() => {{
                if (!connection.textContent.includes("Reconnecting")) return;
                observer.disconnect();
                {script};
            }});
            observer.observe(connection, {{ childList: true, characterData: true, subtree: true }});
        }} 0"""
    )
    assert scripted.peer is not None
    scripted.peer.cut()


async def test_before_the_door_opens_the_lobby_says_when(browser: Chromium, server: ScriptedServer) -> None:
    async with therapy(server) as scripted:
        scripted.view.update(starts_ms=now_ms() + 40 * MINUTE, opens_ms=now_ms() + 30 * MINUTE)
        page = await browser.page(scripted.link)
        await reads(page, "#before", "in 30 minutes")
        assert await page.evaluate("document.getElementById('join').disabled")
        await reads(page, "#clock", "Begins at")
        await page.close()


async def test_a_wrong_clock_of_the_device_does_no_harm(browser: Chromium, server: ScriptedServer) -> None:
    async with therapy(server) as scripted:
        page = await browser.page(before_load="const real = Date.now; Date.now = () => real() + 7_000_000;")
        await page.go(scripted.link)
        await reads(page, "#clock", "35 minutes left")
        await page.close()


async def test_the_therapist_sees_the_time_to_the_second(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        await scripted.countdown(agreed_end_ms=now_ms() + 5 * MINUTE + 1500, cap_ms=now_ms() + 20 * MINUTE)
        await page.until("/^5:0[01] left$/.test(document.getElementById('clock').textContent)")
        await scripted.countdown(state="overrun")
        await reads(page, "#clock", "Over time")


async def test_a_message_goes_out_and_comes_in_once(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        await page.click("#text")
        await page.type("Hello")
        await page.press("Enter", 13)
        await page.until("document.querySelector('#messages .mine')?.dataset.state === 'sent'")
        await scripted.say("<b>Good morning</b>")
        await reads(page, "#messages .theirs .body", "<b>Good morning</b>")  # text is text, whatever is in it
        assert await page.evaluate("document.querySelectorAll('#messages li').length") == 2
        assert await page.evaluate("document.getElementById('text').value") == ""
        sent = scripted.asked("message.send")
        assert [(request["data"], request["session"]) for request in sent] == [(b"Hello", "s1")]


async def test_messages_written_during_a_cut_arrive_in_their_order(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        await scripted.say("one")
        await reads(page, "#messages", "one")
        write = "document.getElementById('text').value = 'two'"
        await cut_and_meanwhile(
            page, scripted, f"{write}; document.getElementById('compose').requestSubmit()"
        )
        await page.until("document.querySelector('#messages .mine')?.dataset.state === 'sent'")
        bodies = "[...document.querySelectorAll('#messages .body')].map((body) => body.textContent)"
        assert await page.evaluate(bodies) == ["one", "two"]
        await scripted.request("session.join", 2)  # a new connection joins again


async def test_a_message_written_while_coming_back_waits_for_the_join(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        scripted.held.add("session.join")
        assert scripted.peer is not None
        scripted.peer.cut()
        await scripted.request("session.join", 2)
        await page.click("#text")
        await page.type("Already here")
        await page.press("Enter", 13)
        await reads(page, "#messages .mine", "Sending")
        await scripted.ping()  # frames keep their order: were the message not to wait, it would come before
        assert scripted.asked("message.send") == []
        await scripted.release("session.join")
        await scripted.request("message.send")
        await page.until("document.querySelector('#messages .mine').dataset.state === 'sent'")


async def test_a_refused_message_is_marked_and_explained(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        scripted.refusals["message.send"] = "too_large"
        await come_in(page)
        await page.click("#text")
        await page.type("A very long message")
        await page.press("Enter", 13)
        await reads(page, "#messages .mine", "Not sent")
        await reads(page, "#notice", "This message is too long. Please send it in two parts.")


async def test_unread_messages_are_counted_while_the_chat_is_closed(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, modality="audio") as (page, scripted):
        scripted.refusals["media.offer"] = "media_unavailable"
        await come_in(page)
        await reads(page, "#notice", "Sound and picture are not available")  # it moves what is to be pressed
        await page.click("#chat [data-action=chat]")
        await scripted.say("Are you there?")
        await reads(page, "#unread", "1")
        await page.click(".bar [data-action=chat]")
        await page.until("document.getElementById('unread').hidden")
        assert await page.evaluate("document.activeElement.id") == "text"


@pytest.mark.parametrize(
    ("reason", "state", "role", "expected"),
    [
        ("completed", "ended", "client", "Your time together is up"),
        ("cap", "ended", "client", "ran over its agreed time"),
        ("left", "ended", "client", "Your therapist ended it."),
        ("left", "ended", "therapist", "You ended the session."),
        ("operator", "ended", "client", "by the people who run this service"),
        ("no_show", "no_show", "client", "You were not both here"),
        ("cancelled", "cancelled", "therapist", "The session was cancelled"),
    ],
)
async def test_every_end_is_told_in_words(
    browser: Chromium, server: ScriptedServer, reason: str, state: str, role: str, expected: str
) -> None:
    async with at_the_page(browser, server, role=role) as (page, scripted):
        await come_in(page)
        await scripted.end(reason, state)
        await reads(page, "#farewell", expected)
        assert await page.evaluate("document.activeElement.id") == "farewell-title"


async def test_an_end_that_only_the_countdown_told_is_asked_about(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        scripted.view["reason"] = "completed"
        await scripted.countdown(state="ended")
        await reads(page, "#farewell", "The session ended at its agreed time.")


@pytest.mark.parametrize(
    ("op", "name", "where", "expected"),
    [
        ("session.get", "no_such_session", "#farewell", "There is no such session for you"),
        ("session.get", "token_scope", "#farewell", "This link is for another session"),
        ("session.join", "session_not_open", "#notice", "It is too early to come in."),
        ("session.join", "session_full", "#notice", "Everyone who may be in this session is already here."),
        ("session.join", "made_up_later", "#notice", "It is called “made_up_later”."),
    ],
)
async def test_refusals_are_told_with_what_to_do(
    browser: Chromium, server: ScriptedServer, op: str, name: str, where: str, expected: str
) -> None:
    async with at_the_page(browser, server, refusals={op: name}) as (page, _):
        if op == "session.join":
            await page.until("!document.getElementById('join').disabled")
            await page.click("#join")
        await reads(page, where, expected)


async def test_the_same_link_in_another_window_can_be_taken_back(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        assert scripted.peer is not None
        await scripted.peer.close(4509)
        await reads(page, "#farewell", "open in another window")
        await page.click("#again")
        await come_in(page)
        await reads(page, "#connection", "Connected")


async def test_a_page_without_its_link_says_so(browser: Chromium, server: ScriptedServer) -> None:
    page = await browser.page(f"{server.url}/app/client.html")
    await reads(page, "#farewell", "This link is not complete")
    assert page.problems == []
    await page.close()


async def test_a_camera_that_is_not_allowed_is_explained_and_the_session_goes_on(
    browser: Chromium, server: ScriptedServer
) -> None:
    denied = """navigator.mediaDevices.getUserMedia = async () => {
        throw new DOMException("no", "NotAllowedError");
    };"""
    async with therapy(server, modality="video") as scripted:
        scripted.refusals["media.offer"] = "media_unavailable"
        page = await browser.page(before_load=denied)
        await page.go(scripted.link)
        await reads(page, "#notice", "Your browser does not allow the camera and microphone.")
        await reads(page, "#notice", "Try again")
        await come_in(page)
        await reads(page, ".stage .waiting", "You are in the right place. Your therapist is not here yet.")
        assert page.problems == []
        await page.close()


async def test_switching_off_the_camera_lets_go_of_it(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server, modality="video") as (page, scripted):
        scripted.refusals["media.offer"] = "media_unavailable"
        await page.until("document.querySelector('video.self').srcObject !== null")
        track = "document.querySelector('video.self').srcObject.getTracks()[0]"
        await page.evaluate(f"globalThis.track = {track}; 0")
        await page.click("#lobby [data-action=camera]")
        await page.until("track.readyState === 'ended'")  # its light is out
        await reads(page, "#lobby .veil", "Your camera is off")
        await come_in(page)
        told = await scripted.request("signal.send")
        assert told["body"]["data"] == b'{"media":{"microphone":true,"camera":false}}'


async def test_everything_can_be_reached_and_named_without_seeing_it(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, role="therapist", modality="video") as (page, scripted):
        scripted.refusals["media.offer"] = "media_unavailable"
        await page.until("!document.getElementById('join').disabled")
        assert await page.evaluate("document.activeElement.id") == "lobby-title"
        await page.evaluate("document.getElementById('join').focus()")
        await page.press("Enter", 13)
        await page.until("!document.getElementById('room').hidden")
        for device in ("microphone", "camera"):  # opened while the lobby is shown already
            await page.until(f"document.querySelector('[data-action={device}]').dataset.on === 'true'")
        tree = (await page.command("Accessibility.getFullAXTree"))["nodes"]
        named = {
            (node["role"]["value"], node["name"]["value"])
            for node in tree
            if not node["ignored"] and node.get("name", {}).get("value")
        }
        assert {
            ("button", "Mute microphone"),
            ("button", "Turn camera off"),
            ("button", "Chat"),
            ("button", "Switch between video, sound and writing"),
            ("button", "Time and people"),
            ("button", "Leave"),
            ("button", "Send"),
            ("textbox", "Your message"),
            ("log", "Messages"),
            ("heading", "Chat"),
        } <= named
        unnamed = [node for node in tree if node["role"]["value"] == "button" and not node["name"]["value"]]
        assert unnamed == []
        # The dialog opens on the harmless choice, and Escape is that choice.
        await page.click("[data-action=leave]")
        await page.until("document.querySelector('dialog').open")
        assert await page.evaluate("document.activeElement.value") == "stay"
        await page.press("Escape", 27)
        await page.until("!document.querySelector('dialog').open")
        assert scripted.asked("session.end", "session.leave") == []


@pytest.mark.parametrize("size", [(320, 568), (390, 780), (1280, 800)], ids=str)
async def test_nothing_is_cut_off_at_any_size(
    browser: Chromium, server: ScriptedServer, size: tuple[int, int]
) -> None:
    async with at_the_page(browser, server, modality="video") as (page, scripted):
        scripted.refusals["media.offer"] = "media_unavailable"
        scripted.view["consented"] = [{"kind": "observer", "version": "1"}]  # for a full bar
        await page.viewport(*size, mobile=size[0] < 600)
        wide = "document.documentElement.scrollWidth > innerWidth"
        await page.until("!document.getElementById('join').disabled")
        assert not await page.evaluate(wide)
        await come_in(page)
        assert not await page.evaluate(wide)
        boxes = """[...document.querySelectorAll('.bar button')]
            .map((button) => button.getBoundingClientRect())
            .every((box) => box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight)"""
        assert await page.evaluate(boxes)
        await page.until("document.querySelector('.bar [data-action=consents]').offsetParent !== null")
        texts = """[...document.querySelectorAll('.bar button')]
            .filter((button) => button.scrollWidth > button.clientWidth).map((button) => button.innerText)"""
        assert await page.evaluate(texts) == []


async def test_a_chat_session_says_who_is_missing(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        await reads(page, ".chat .waiting", "Your therapist is not here yet.")
        await scripted.countdown(present=["clara", "theo"])
        await page.until("document.querySelector('.chat .waiting').hidden")
        await reads(page, "#announcer", "Your therapist is here.")


async def test_a_muted_microphone_stays_muted_until_its_person_opens_it(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, modality="audio") as (page, scripted):
        scripted.refusals["media.offer"] = "media_unavailable"
        await come_in(page)
        await scripted.request("signal.send")
        await page.click(".bar [data-action=microphone]")
        muted = await scripted.request("signal.send", 2)
        assert muted["body"]["data"] == b'{"media":{"microphone":false,"camera":false}}'
        await page.click("[data-action=leave]")
        await reads(page, "#farewell", "You have left the session")
        await page.click("#again")
        await come_in(page)
        again = await scripted.request("signal.send", 3)
        assert again["body"]["data"] == muted["body"]["data"]
        await reads(page, ".bar [data-action=microphone]", "Unmute")

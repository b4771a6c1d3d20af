"""After the session: one answer about it. And links that run out before it does."""

from __future__ import annotations

import base64
import json
import time

import pytest

from tests.chromium import Chromium
from tests.web.scripted import ScriptedServer
from tests.web.test_pages import at_the_page, come_in, reads
from tests.web.therapy import therapy

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

SHOWN = "!document.getElementById('rating').hidden"


async def test_who_was_in_a_session_is_asked_once_how_it_was(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        await scripted.end("completed")
        await page.until(SHOWN)
        await page.click("#rating [type=submit]")
        assert scripted.asked("session.rate") == []  # nothing was chosen
        await page.click("#rating [value='2']")
        await page.click("#rating [name=technical]")
        await page.click("#rating [type=submit]")
        asked = await scripted.request("session.rate")
        assert (asked["session"], asked["score"], asked["technical"]) == ("s1", 2, True)
        await reads(page, "#rated", "Thank you. Your answer was sent.")
        assert not await page.evaluate(SHOWN)


async def test_an_answer_is_sent_again_after_a_cut_and_counts_once(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        await scripted.end("left")
        scripted.silent.add("session.rate")
        await page.until(SHOWN)
        await page.click("#rating [value='5']")
        await page.click("#rating [type=submit]")
        await scripted.request("session.rate")
        scripted.refusals["session.rate"] = "already_rated"
        assert scripted.peer is not None
        scripted.peer.cut()
        await reads(page, "#rated", "Thank you.")
        await reads(page, "#farewell", "The session has ended")
        assert await page.evaluate("document.getElementById('notice').hidden")


async def test_in_the_end_camera_and_microphone_are_let_go_of(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, modality="video") as (page, scripted):
        scripted.refusals["media.offer"] = "media_unavailable"
        own = "document.querySelector('video.self').srcObject"
        await page.until(f"globalThis.track = {own}?.getTracks()[0]")
        await come_in(page)
        await scripted.end("completed")
        await reads(page, "#farewell", "Your time together is up")
        await page.until("track.readyState === 'ended'")


@pytest.mark.parametrize(("reason", "state"), [("no_show", "no_show"), ("cancelled", "cancelled")])
async def test_nobody_is_asked_about_what_did_not_take_place(
    browser: Chromium, server: ScriptedServer, reason: str, state: str
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        await scripted.end(reason, state)
        await reads(page, "#farewell", "not take place")
        assert not await page.evaluate(SHOWN)


async def test_who_was_not_in_it_is_not_asked(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await page.until("!document.getElementById('join').disabled")
        await scripted.end("completed")
        await reads(page, "#farewell", "Your time together is up")
        assert not await page.evaluate(SHOWN)


OPENER = """
globalThis.asked = [];
globalThis.opener = { postMessage: (question) => asked.push(question) };
"""


def token(seconds: float) -> str:
    """What looks like a token that runs out so long from now."""
    payload = json.dumps({"exp": int(time.time() + seconds)}).encode()
    return f"e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.c2ln"


async def test_a_link_that_runs_out_is_asked_for_and_another_one_goes_on(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with therapy(server) as scripted:
        scripted.token = token(100)
        page = await browser.page(before_load=OPENER)
        await page.go(scripted.link)
        await come_in(page)
        await page.until("asked.length > 0")
        [question] = await page.evaluate("asked")
        assert question.keys() == {"rapport", "session", "expires_ms"}
        assert (question["rapport"], question["session"]) == ("link", "s1")
        await reads(page, "#notice", "This link runs out at")
        fresh = token(3 * 3600)
        await page.evaluate(f"location.hash = '#token={fresh}&session=s1'; 0")
        assert (await scripted.request("token.refresh"))["token"] == fresh
        await page.until("document.getElementById('notice').hidden")
        assert "token" not in await page.evaluate("location.href")
        assert await page.evaluate("asked.length") == 1
        assert not await page.evaluate("document.getElementById('room').hidden")
        assert page.problems == []
        await page.close()


async def test_a_link_that_lasts_is_not_asked_for(browser: Chromium, server: ScriptedServer) -> None:
    async with therapy(server) as scripted:
        scripted.token = token(3600)
        page = await browser.page(before_load=OPENER)
        await page.go(scripted.link)
        await come_in(page)
        await reads(page, "#clock", "minutes left")
        assert await page.evaluate("asked") == []
        await page.close()


async def test_a_link_that_has_run_out_says_so(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        assert scripted.peer is not None
        error = {"code": 1, "name": "token_expired", "temporary": False, "detail": "no", "hint": "none"}
        await scripted.peer.send("error", **error)
        await scripted.peer.close(4505)
        await reads(page, "#farewell", "This link has run out")
        await reads(page, "#farewell", "Ask for a new link.")

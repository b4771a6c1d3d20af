"""What can be done to a session that runs, and how it is told to the others; against a scripted server."""

from __future__ import annotations

import json

import pytest

from tests.chromium import Chromium, Page
from tests.web.scripted import ScriptedServer
from tests.web.test_pages import at_the_page, come_in, reads
from tests.web.therapy import MINUTE, now_ms, therapy

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives


async def choose(page: Page, tool: str, value: str) -> None:
    await page.click(f".bar [data-action={tool}]")
    await page.until("document.querySelector('dialog[open]') !== null")
    await page.click(f"dialog[open] [value={json.dumps(value)}]")


async def test_how_people_talk_is_changed_by_either_side(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server, modality="video") as (page, scripted):
        scripted.refusals["media.offer"] = "media_unavailable"
        await come_in(page)
        await page.until("document.querySelector('video.self').srcObject !== null")
        await page.evaluate(
            "globalThis.track = document.querySelector('video.self').srcObject.getTracks()[0]; 0"
        )
        await choose(page, "talk", "change audio")
        assert (await scripted.request("session.modality"))["modality"] == "audio"
        await page.until("document.body.dataset.modality === 'audio' && track.readyState === 'ended'")
        await scripted.countdown(modality="video", present=["clara", "theo"])
        change = {"kind": "session", "session": "s1", "change": "modality", "state": "live"}
        times = {"starts_ms": scripted.view["starts_ms"], "ends_ms": scripted.view["agreed_end_ms"]}
        switched = {**change, "modality": "video", "account": "theo", **times}
        await scripted.event({**switched, "modality": "chat"}, "theo", at_ms=now_ms() - MINUTE)
        await scripted.ping()  # what happened before one came in is no news
        assert await page.evaluate("document.getElementById('news').innerText") == ""
        await scripted.event(switched, "theo")
        await reads(page, "#news", "Your therapist changed to sound and picture.")
        await page.until(
            "document.querySelector('video.self').srcObject?.getTracks()[0].readyState === 'live'"
        )


async def test_a_proposal_is_accepted_declined_or_taken_back(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, modality="audio") as (page, scripted):
        scripted.refusals["media.offer"] = "media_unavailable"
        await come_in(page)
        await reads(page, "#notice", "Sound and picture are not available")  # it moves what stands below it
        await scripted.countdown(proposal={"modality": "chat", "account": "theo"}, present=["clara", "theo"])
        await reads(page, "#offer-text", "Your therapist would like to go on with writing.")
        await page.click("#decline")
        assert (await scripted.request("session.decline"))["modality"] == "chat"
        await page.click("#accept")
        assert (await scripted.request("session.accept"))["modality"] == "chat"
        await scripted.countdown(proposal={"modality": "video", "account": "clara"})
        await reads(page, "#offer-text", "You have proposed sound and picture.")
        assert await page.evaluate("document.getElementById('accept').hidden")
        del scripted.view["proposal"]
        await scripted.countdown()
        await page.until("document.getElementById('offer').hidden")
        await choose(page, "talk", "propose video")
        assert (await scripted.request("session.propose"))["modality"] == "video"


async def test_an_extension_tells_the_new_end_and_what_it_runs_into(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        await choose(page, "time", "extend 10")
        await reads(page, "#news", "The session now ends at")
        assert (await scripted.request("session.extend"))["minutes"] == 10
        await page.until("/^4[45]:[0-5][0-9] left$/.test(document.getElementById('clock').textContent)")


async def test_an_extension_that_was_cut_off_is_sent_again_under_the_same_key(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        scripted.silent.add("session.extend")
        await choose(page, "time", "extend 5")
        first = await scripted.request("session.extend")
        scripted.silent.clear()
        assert scripted.peer is not None
        scripted.peer.cut()
        assert (await scripted.request("session.extend", 2))["mid"] == first["mid"]
        await reads(page, "#news", "The session now ends at")


async def test_an_extension_without_a_reply_can_be_made_sure_of(
    browser: Chromium, server: ScriptedServer
) -> None:
    impatient = """const real = setTimeout;
        globalThis.setTimeout = (work, wait, ...rest) => real(work, wait === 15000 ? 300 : wait, ...rest);"""
    async with therapy(server, role="therapist") as scripted:
        page = await browser.page(before_load=impatient)
        await page.go(scripted.link)
        await come_in(page)
        scripted.silent.add("session.extend")
        await choose(page, "time", "extend 5")
        first = await scripted.request("session.extend")
        await reads(page, "#notice", "No answer came when the session was being extended.")
        scripted.silent.clear()
        await page.click("#remedy")
        assert (await scripted.request("session.extend", 2))["mid"] == first["mid"]
        await reads(page, "#news", "The session now ends at")
        await page.close()


async def test_an_urgent_session_is_kept_open_and_let_go(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        await choose(page, "time", "urgent")
        assert (await scripted.request("session.urgent"))["active"] is True
        past = now_ms() - MINUTE
        await scripted.countdown(state="overrun", agreed_end_ms=past, cap_ms=past, present=["theo", "clara"])
        await reads(page, "#clock", "Over time, kept open")
        await choose(page, "time", "urgent")
        assert (await scripted.request("session.urgent", 2))["active"] is False


async def test_someone_is_sent_back_to_the_waiting_room(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        await scripted.countdown(present=["theo", "clara"])
        await scripted.ping()  # the page has taken it: the dialog shows who is there when it opens
        await choose(page, "time", "back clara")
        assert (await scripted.request("session.send_back"))["account"] == "clara"


@pytest.mark.parametrize(
    ("until", "left_ms", "expected"),
    [
        ("agreed_end", 600_000, "10 minutes left."),
        ("agreed_end", 60_000, "1 minute left."),
        ("agreed_end", 0, "The agreed time is over. You can still come to a close."),
        ("cap", 300_000, "The session ends for everyone in 5 minutes."),
    ],
)
async def test_cues_are_shown_and_read_aloud(
    browser: Chromium, server: ScriptedServer, until: str, left_ms: int, expected: str
) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        times = {"left_ms": left_ms, "due_ms": now_ms(), "server_now_ms": now_ms()}
        await scripted.signal({"kind": "cue", "session": "s1", "until": until, **times})
        await reads(page, "#news", expected)
        assert await page.evaluate("document.getElementById('news').role") == "status"


async def test_a_client_is_told_gently_that_time_runs_over(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        now = now_ms()
        await scripted.countdown(state="overrun", agreed_end_ms=now - MINUTE, cap_ms=now + 9.5 * MINUTE)
        await reads(page, "#clock", "A little over time, 10 minutes at most")
        assert await page.evaluate("document.getElementById('clock').dataset.tone") == "calm"
        assert await page.evaluate("getComputedStyle(document.getElementById('time')).display") == "none"

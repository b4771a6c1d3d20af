"""What a person agrees to: asked, given, taken back, given after all; against a scripted server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chromium import Chromium, Page
from tests.web.scripted import Frame, ScriptedServer
from tests.web.test_pages import at_the_page, come_in, reads
from tests.web.therapy import Therapy, now_ms, therapy

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

JOINABLE = "!document.getElementById('join').disabled"
GUESTS = {"kind": "guests", "version": "3"}
OBSERVER = {"kind": "observer", "version": "1"}
IN_ROOM = "!document.getElementById('room').hidden"


@asynccontextmanager
async def asked(
    browser: Chromium, server: ScriptedServer, **view: list[Frame]
) -> AsyncIterator[tuple[Page, Therapy]]:
    """A client's page in a session that asks for consents; it must end without problems."""
    async with therapy(server) as scripted:
        scripted.view.update(view)
        page = await browser.page(scripted.link)
        await page.until(JOINABLE)
        yield page, scripted
        problems = page.problems
        await page.close()
        assert problems == []


async def choose(page: Page, dialog: str, value: str) -> None:
    """Press a button of a dialog that is about to open."""
    await page.until(f"document.getElementById('{dialog}').open")
    await page.click(f'#{dialog} [value="{value}"]')


def said(scripted: Therapy) -> list[tuple[str, str, bool]]:
    """What the page told the server of consents."""
    return [(one["kind"], one["version"], one["given"]) for one in scripted.asked("session.consent")]


async def test_a_therapist_hears_who_takes_what_back(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        withdrawn = [
            {"account": "clara", **OBSERVER},
            {"account": "clara", "kind": "<b>x</b>", "version": "1"},
        ]
        await scripted.signal({"kind": "consents", "session": "s1", "withdrawn": withdrawn})
        await reads(page, "#news", "taken it back: Someone observing the session without taking part.")
        await reads(page, "#news", "taken it back: What your platform calls “<b>x</b>”.")
        await scripted.signal({"kind": "consents", "session": "s1"})
        await page.until("document.getElementById('news').textContent === ''")


async def test_a_session_asks_for_consents_before_one_comes_in(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with asked(browser, server, consents=[GUESTS, OBSERVER]) as (page, scripted):
        await page.click("#join")
        await reads(page, "#consent", "Other people being present who are not your therapist")
        await reads(page, "#consent", "Version 1. You can come in without this one.")
        await page.click("[data-action=decline-consents]")
        await reads(page, "#notice", "You have not agreed, so you stay outside.")
        assert scripted.asked("session.consent", "session.join") == []
        await page.click("#join")
        await page.click("#consent-0")
        await page.click("#consents [type=submit]")
        await page.until(IN_ROOM)
        assert said(scripted) == [("guests", "3", True)]


async def test_a_consent_that_is_asked_for_only_at_the_door_is_shown_at_the_next_knock(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await page.until(JOINABLE)
        scripted.view["consents"] = [GUESTS]
        scripted.refusals["session.join"] = "consent_required"
        await page.click("#join")
        await reads(page, "#notice", "Your agreement is needed before you come in.")
        await page.click("#join")
        await reads(page, "#consent", "Version 3.")


async def test_who_declined_to_be_observed_can_agree_after_all_and_take_it_back(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with asked(browser, server, consents=[OBSERVER]) as (page, scripted):
        await page.click("#join")
        await reads(page, "#consent", "Someone observing the session")
        await page.click("#consents [type=submit]")  # without the box
        await page.until(IN_ROOM)
        assert said(scripted) == []
        await page.click(".bar [data-action=consents]")
        await reads(page, "#agreements", "You do not agree")
        await choose(page, "consenting", "give 0")
        await reads(page, "#news", "You agree to: Someone observing the session without taking part.")
        await page.click(".bar [data-action=consents]")
        await reads(page, "#agreements", "You agree")
        await choose(page, "consenting", "withdraw 0")
        await reads(page, "#withdrawal", "Whoever observes is taken out of the session at once.")
        assert said(scripted) == [("observer", "1", True)]  # nothing is taken back before it is confirmed
        await choose(page, "withdrawing", "withdraw")
        await reads(page, "#news", "You have taken it back: Someone observing")
        assert said(scripted) == [("observer", "1", True), ("observer", "1", False)]
        assert await page.evaluate(IN_ROOM)


async def test_nothing_is_taken_back_by_who_thinks_better_of_it(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with asked(browser, server, consented=[GUESTS]) as (page, scripted):
        await come_in(page)  # what was given before, on another day or page, is not asked again
        await page.click(".bar [data-action=consents]")
        await choose(page, "consenting", "")
        await page.until("document.querySelector('dialog[open]') === null")
        await page.click(".bar [data-action=consents]")
        await choose(page, "consenting", "withdraw 0")
        await reads(page, "#withdrawn-term", "Other people being present")
        await reads(page, "#withdrawal", "You stay in the session for now")
        await choose(page, "withdrawing", "")
        await page.until("document.querySelector('dialog[open]') === null")
        await scripted.ping()
        assert said(scripted) == []


async def test_what_is_taken_back_in_the_lobby_is_asked_again_at_the_door(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with asked(browser, server, consented=[GUESTS]) as (page, scripted):
        await page.click("#lobby [data-action=consents]")
        await choose(page, "consenting", "withdraw 0")
        await reads(page, "#withdrawal", "You cannot come in unless you agree again.")
        await choose(page, "withdrawing", "withdraw")
        await reads(page, "#news", "You have taken it back")
        assert said(scripted) == [("guests", "3", False)]
        await page.click("#join")
        await reads(page, "#consent", "Other people being present")
        assert scripted.asked("session.join") == []


async def test_who_took_a_consent_back_and_was_away_for_too_long_can_agree_again(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with asked(browser, server, consented=[GUESTS]) as (page, scripted):
        await come_in(page)
        scripted.view.update(place="outside", present=[], consented=[], consents=[GUESTS])
        scripted.refusals["session.join"] = "consent_required"
        assert scripted.peer is not None
        scripted.peer.cut()
        await reads(page, "#notice", "Your agreement is needed before you come in.")
        del scripted.refusals["session.join"]
        await page.until(JOINABLE)
        await page.click("#join")
        await page.click("#consent-0")
        await page.click("#consents [type=submit]")
        await page.until(IN_ROOM)
        assert said(scripted) == [("guests", "3", True)]


async def test_a_therapist_is_told_that_somebody_elses_agreement_is_missing(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        await scripted.waiting({"account": "clara", "role": "client", "since_ms": now_ms()})
        await reads(page, "#waiters", "Your client is waiting")
        scripted.refusals["session.admit"] = "consent_required"
        await page.click("#waiters [data-action=admit]")
        await reads(page, "#notice", "Not everyone who waits agrees to what this session asks for.")


async def test_nothing_is_offered_where_nothing_is_asked(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, _):
        await come_in(page)
        offered = "[...document.querySelectorAll('[data-action=consents]')].filter((one) => !one.hidden)"
        assert await page.evaluate(f"{offered}.length") == 0

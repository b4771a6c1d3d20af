"""The pages around a session: being let in, running late; against a scripted server."""

from __future__ import annotations

import pytest

from tests.chromium import Chromium
from tests.web.scripted import Frame, ScriptedServer
from tests.web.test_pages import at_the_page, come_in, cut_and_meanwhile, reads
from tests.web.therapy import HELD_DEVICES, now_ms, therapy

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

JOINABLE = "!document.getElementById('join').disabled"
WAITS = "You are in the waiting room"

REMEMBER_PEERS = """
globalThis.peers = [];
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...options) { super(...options); peers.push(this); }
};
"""


def waiter(account: str = "clara", role: str = "client", *, silent: bool = False) -> Frame:
    return {"account": account, "role": role, "since_ms": now_ms(), "silent": silent}


async def test_who_waits_is_let_in_and_only_then_in_the_call(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, modality="video") as (page, scripted):
        scripted.waits = True
        scripted.refusals["media.offer"] = "media_unavailable"
        await reads(page, "#clock", "minutes left")
        await page.until(JOINABLE)
        await page.click("#join")
        await reads(page, "#lobby-title", WAITS)
        await reads(page, "#announcer", "Your therapist sees that you are here")
        await page.until("document.getElementById('clock').textContent === ''")
        assert scripted.asked("media.offer", "signal.send") == []
        scripted.waits = False
        await scripted.admission("admitted")
        await page.until("!document.getElementById('room').hidden")
        await scripted.request("media.offer")
        assert len(scripted.asked("session.join")) == 2


async def test_a_cut_leaves_one_waiting(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        scripted.waits = True
        await page.until(JOINABLE)
        await page.click("#join")
        await reads(page, "#lobby-title", WAITS)
        assert scripted.peer is not None
        scripted.refusals["room.get"] = "not_admitted"  # as the server does while one waits
        scripted.peer.cut()
        await scripted.request("session.join", 2)
        await reads(page, "#connection", "Connected")
        await reads(page, "#lobby-title", WAITS)
        assert await page.evaluate("document.getElementById('notice').hidden")


async def test_who_is_denied_can_knock_again_or_leave(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        scripted.waits = True
        await page.until(JOINABLE)
        await page.click("#join")
        await reads(page, "#lobby-title", WAITS)
        await scripted.admission("denied", place="outside")
        await reads(page, "#lobby-title", "Not just now")
        await reads(page, "#join", "Knock again")
        await page.click("#join")
        await reads(page, "#lobby-title", WAITS)
        await page.click("#give-up")
        await reads(page, "#lobby-title", "Your session with your therapist")
        await scripted.request("session.leave")


async def test_who_is_sent_back_waits_until_they_are_let_in_or_out(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        await scripted.admission("sent_back", place="waiting")
        await reads(page, "#lobby-title", "You are in the waiting room again")
        await scripted.admission("admitted", place="inside")
        await page.until("!document.getElementById('room').hidden")
        await scripted.admission("out", place="outside", present=[])
        await reads(page, "#farewell", "You are no longer in the session")
        await page.click("#again")
        await reads(page, "#lobby-title", "Your session with your therapist")


async def test_who_is_sent_back_is_out_of_the_call(browser: Chromium, server: ScriptedServer) -> None:
    async with therapy(server, modality="video") as scripted:
        scripted.refusals["media.offer"] = "media_unavailable"
        page = await browser.page(before_load=REMEMBER_PEERS)
        await page.go(scripted.link)
        await come_in(page)
        await scripted.request("media.offer")
        await scripted.admission("sent_back", place="waiting")
        await page.until("peers.every((peer) => peer.connectionState === 'closed')")
        assert await page.evaluate("document.querySelector('video.self').srcObject !== null")
        await page.close()


async def test_who_is_sent_back_during_a_cut_waits(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        scripted.waits = True
        assert scripted.peer is not None
        scripted.peer.cut()
        await reads(page, "#lobby-title", WAITS)
        scripted.waits = False
        await scripted.admission("admitted")
        await page.until("!document.getElementById('room').hidden")


async def test_who_is_sent_back_and_let_in_again_while_the_browser_asks_for_devices(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with therapy(server, modality="video") as scripted:
        scripted.refusals["media.offer"] = "media_unavailable"
        page = await browser.page(before_load=HELD_DEVICES)
        await page.go(scripted.link)
        await come_in(page)
        await scripted.admission("sent_back", place="waiting")
        await reads(page, "#lobby-title", "You are in the waiting room again")
        await scripted.admission("admitted", place="inside")
        await page.until("!document.getElementById('room').hidden")
        assert scripted.asked("media.offer") == []
        await page.evaluate("answerDevices()")
        await scripted.request("media.offer")
        await page.close()


async def test_an_admission_that_overtakes_the_reply_to_the_knock_counts(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        scripted.held.add("session.join")
        await page.until(JOINABLE)
        await page.click("#join")
        await scripted.request("session.join")
        await scripted.admission("admitted")
        scripted.waits = True
        await scripted.answer("session.join")  # as it was before the admission
        await scripted.request("session.join", 2)
        scripted.waits = False
        await scripted.release("session.join")
        await page.until("!document.getElementById('room').hidden")


async def test_who_is_let_in_during_a_cut_of_the_therapist_comes_in_after_it(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        await scripted.waiting(waiter())
        await reads(page, "#waiters", "Your client is waiting")
        press = "document.querySelector('#waiters [data-action=admit]').click()"
        await cut_and_meanwhile(page, scripted, press)
        assert (await scripted.request("session.admit"))["accounts"] == ["clara"]
        joins = [request["op"] for request in scripted.asked("session.join", "session.admit")]
        assert joins == ["session.join", "session.join", "session.admit"]


async def test_leaving_during_a_cut_is_leaving(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await come_in(page)
        await cut_and_meanwhile(page, scripted, "document.querySelector('[data-action=leave]').click()")
        await reads(page, "#farewell", "You have left the session")
        await scripted.request("session.get", 2)  # back, and not in the session
        await scripted.ping()
        assert len(scripted.asked("session.join")) == 1


async def test_a_pair_is_told_apart(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        await scripted.waiting(waiter("clara"), waiter("dora"))
        await reads(page, "#waiters", "Client 1 is waiting")
        await reads(page, "#waiters", "Client 2 is waiting")
        await reads(page, "#announcer", "Client 1 and client 2 are in the waiting room.")
        await scripted.waiting()
        roles = {"theo": "therapist", "clara": "client", "dora": "client"}
        await scripted.countdown(roles=roles, present=["theo", "clara"])
        await reads(page, "#announcer", "Client 1 is here.")
        await scripted.countdown(present=["theo", "clara", "dora"])
        await reads(page, "#announcer", "Client 2 is here.")
        await page.click("[data-action=time]")
        await reads(page, "#inside", "Client 2")


async def test_an_interpreter_takes_part_in_all_but_the_messages(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, modality="audio") as (page, scripted):
        scripted.refusals |= {"media.offer": "media_unavailable", "signal.send": "no_such_room"}
        scripted.refusals["room.get"] = "no_such_room"  # no member of the room
        scripted.view["roles"] = {"theo": "therapist", "dora": "client", "clara": "interpreter"}
        await come_in(page)
        await scripted.request("media.offer")
        await scripted.countdown(present=["clara", "theo", "dora"])
        await reads(page, ".stage .waiting", "Connecting you with the therapist and the client")
        hidden = """['#chat', '.bar [data-action=chat]', '[data-action=talk]']
            .every((one) => getComputedStyle(document.querySelector(one)).display === 'none')"""
        await page.until(hidden)
        await scripted.countdown(proposal={"modality": "chat", "account": "theo"}, modality="chat")
        await reads(page, ".stage .waiting", "The others are writing to each other")
        assert await page.evaluate("document.getElementById('offer').hidden")
        await scripted.ping()
        assert scripted.asked("signal.send") == []


async def test_an_observer_looks_on_without_camera_and_microphone(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, modality="video") as (page, scripted):
        scripted.refusals |= {"media.offer": "media_unavailable", "room.get": "no_such_room"}
        scripted.view["roles"] = {"theo": "therapist", "dora": "client", "clara": "observer"}
        self_track = "document.querySelector('video.self').srcObject?.getTracks()[0]"
        await page.until(f"globalThis.track = {self_track}")
        await come_in(page)
        await page.until("track.readyState === 'ended'")
        await scripted.request("media.offer")
        tools = "[...document.querySelectorAll('.bar button')].filter((one) => one.offsetParent !== null)"
        assert await page.evaluate(f"{tools}.map((one) => one.dataset.action)") == ["leave"]


async def test_an_observer_without_consent_is_told_so(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server, refusals={"session.join": "not_observable"}) as (page, _):
        await page.until(JOINABLE)
        await page.click("#join")
        await reads(page, "#notice", "Not everyone has agreed to being observed. Try again later.")


async def test_a_session_that_ends_meanwhile_is_over_for_who_waits(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        scripted.waits = True
        await page.until(JOINABLE)
        await page.click("#join")
        await reads(page, "#lobby-title", WAITS)
        await scripted.admission("over", state="ended", reason="completed", place="outside")
        await reads(page, "#farewell", "Your time together is up")


async def test_a_therapist_lets_in_denies_and_admits_a_pair(
    browser: Chromium, server: ScriptedServer
) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await page.until(JOINABLE)
        await scripted.waiting(waiter())
        await reads(page, "#before", "Your client is in the waiting room.")
        await come_in(page)
        await reads(page, "#waiters", "Your client is waiting, since")
        named = "document.querySelector('#waiters [data-action=admit]').ariaLabel"
        assert await page.evaluate(named) == "Let in: Your client"
        await page.evaluate("document.querySelector('#waiters [data-action=deny]').focus()")
        await scripted.waiting(waiter(), waiter("ines", "interpreter"))
        await reads(page, "#announcer", "The interpreter is in the waiting room.")
        # Who is looking at one line keeps it, whoever comes besides.
        assert await page.evaluate("document.activeElement.dataset.action") == "deny"
        await page.click("#admit-all")
        assert (await scripted.request("session.admit"))["accounts"] == ["clara", "ines"]
        await scripted.waiting(waiter("ines", "interpreter"))
        await page.until("document.querySelectorAll('#waiters li').length === 1")
        await page.click("#waiters [data-action=deny]")
        assert (await scripted.request("session.deny"))["account"] == "ines"
        await scripted.waiting()
        await page.until("document.getElementById('knock').hidden")


async def test_nothing_rings_for_who_was_denied_twice(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server, role="therapist") as (page, scripted):
        await come_in(page)
        await page.evaluate("document.getElementById('announcer').textContent = ''")
        await scripted.waiting(waiter(silent=True))
        await reads(page, "#waiters", "Your client is waiting")
        assert await page.evaluate("document.getElementById('announcer').textContent") == ""


async def test_running_late_is_said_and_heard(browser: Chromium, server: ScriptedServer) -> None:
    async with at_the_page(browser, server) as (page, scripted):
        await page.until("!document.getElementById('say-late').hidden")
        await page.click("#say-late")
        await page.until("document.getElementById('lateness').open")
        await page.click("dialog[open] [value='10']")
        assert (await scripted.request("session.late"))["minutes"] == 10
        await reads(page, "#late", "You have said that you will be late")
        await scripted.signal({"kind": "late", "session": "s1", "role": "therapist", "minutes": 5})
        await reads(page, "#late", "Your therapist is running late")
        await reads(page, "#news", "Your therapist is running late")
        await scripted.signal({"kind": "late", "session": "s1", "role": "therapist", "minutes": 0})
        await page.until("!document.getElementById('late').innerText.includes('therapist')")

"""People in front of the real pages, in a real browser, at a real server process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.chromium import Chromium, Page

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""What the pages looked like, kept to be looked at."""

PATIENCE = 60.0
"""Seconds for what takes moments on a machine that has nothing else to do."""

# The page keeps its peer connections to itself; the test wants their statistics.
REMEMBER_PEERS = """
globalThis.peers = [];
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...options) { super(...options); peers.push(this); }
};
globalThis.received = async () => {
  const sum = { frames: 0, energy: 0 };
  for (const peer of peers.slice(-1)) {
    for (const report of (await peer.getStats()).values()) {
      if (report.type !== "inbound-rtp") continue;
      if (report.kind === "video") sum.frames += report.framesDecoded ?? 0;
      else sum.energy += report.totalAudioEnergy ?? 0;
    }
  }
  return sum;
};
"""


# What the page said for a while only: a test that looks too late has not missed it.
REMEMBER_WORDS = """
globalThis.said = { news: [], clock: [], announcer: [] };
new MutationObserver(() => {
  for (const [id, texts] of Object.entries(said)) {
    const text = document.getElementById(id)?.textContent ?? "";
    if (text !== "" && texts.at(-1) !== text) texts.push(text);
  }
}).observe(document, { childList: true, characterData: true, subtree: true });
"""

# In the page: a browser of before ML-KEM was there.
WITHOUT_ML_KEM = """
const generate = crypto.subtle.generateKey.bind(crypto.subtle);
crypto.subtle.generateKey = async (algorithm, ...more) => {
  if (algorithm === "ML-KEM-768") throw new DOMException("Unrecognized name.", "NotSupportedError");
  return generate(algorithm, ...more);
};
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Someone at one of the two pages."""

    page: Page

    async def come_in(self) -> None:
        """Wait in the lobby until the session can be joined, and press the button."""
        await self.page.until("!document.getElementById('join').disabled", seconds=PATIENCE)
        await self.page.click("#join")

    async def has_keys(self) -> None:
        """Wait until messages can be sealed to this browser: what is written before is not for it."""
        await self.page.until("document.body.dataset.encryption === 'on'", seconds=PATIENCE)

    async def is_inside(self) -> None:
        """Wait until the server has let this person in."""
        await self.page.until("!document.getElementById('room').hidden", seconds=PATIENCE)

    async def sees_and_hears(self, frames: int = 20) -> None:
        """Wait for more decoded pictures and more sound than so far, on the peer connection of now."""
        await self.page.evaluate("received().then((now) => { globalThis.before = now; })")
        more = f"now.frames >= before.frames + {frames} && now.energy > before.energy"
        await self.page.until(f"received().then((now) => {more})", seconds=PATIENCE)

    async def reads(self, selector: str, text: str) -> None:
        """Wait until a text stands there to be read."""
        shown = f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})"
        await self.page.until(shown, seconds=PATIENCE)

    async def was_told(self, where: str, text: str) -> None:
        """Wait until a text has stood in ``news``, ``clock`` or ``announcer``, if only for a moment."""
        told = f"said[{json.dumps(where)}].some((one) => one.includes({json.dumps(text)}))"
        await self.page.until(told, seconds=PATIENCE)

    async def writes(self, text: str) -> None:
        """Write a message with the keyboard, once inside, and wait until the server has it."""
        await self.is_inside()
        await self.page.click("#text")
        await self.page.type(text)
        await self.page.press("Enter", 13)
        stored = "[...document.querySelectorAll('#messages .mine')].at(-1)?.dataset.state === 'sent'"
        await self.page.until(stored, seconds=PATIENCE)

    async def photograph(self, name: str) -> None:
        """Keep a screenshot."""
        await self.page.screenshot(SCREENSHOTS / f"{name}.png")


async def open_trial(browser: Chromium, url: str, **spec: object) -> tuple[Person, Person]:
    """A therapist and a client at the pages of a new session of a development server, in their lobbies."""
    landing = await browser.page(url)
    body = json.dumps(json.dumps(spec))
    request = f"fetch('/dev/session', {{ method: 'POST', body: {body} }}).then((answer) => answer.json())"
    links = await landing.evaluate(request)
    await landing.close()
    return await open_links(browser, *(url + links[role] for role in ("therapist", "client")))


async def open_links(browser: Chromium, therapist: str, client: str) -> tuple[Person, Person]:
    """The two people, each with their own link open, and with a device that messages can be sealed to."""
    people = await open_link(browser, therapist), await open_link(browser, client)
    for person in people:
        await person.has_keys()
    return people


async def open_link(browser: Chromium, link: str) -> Person:
    """Someone with their link open."""
    return Person(await browser.page(link, before_load=REMEMBER_PEERS + REMEMBER_WORDS))

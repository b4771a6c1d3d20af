"""Sealed messages between browsers through a real server: what one writes the others read, each once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from loadtest.backend import BackEnd
from loadtest.private_server import private_server
from loadtest.target import Target
from protocol.fields import Role
from tests.chromium import Chromium, Page
from tests.interop.people import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")

# In the page: a device on a connection, and what its app is told.
APP = """
globalThis.ready = (async () => {
  const load = (name) => import(`/app/e2ee/${name}.js`);
  const names = ["client", "device", "keystore"];
  const [{ Client }, { Device }, { Keystore }] = await Promise.all(names.map(load));
  globalThis.begin = async (account, name, token, isFirst) => {
    const store = await Keystore.open(account);
    const state = await store.load();
    const options = { store, prekeys: 20 };
    const made = async () =>
      isFirst
        ? (await Device.first(account, name, Date.now(), options)).device
        : Device.further(account, name, options);
    globalThis.device = state === null ? await made() : new Device(state, options);
    Object.assign(globalThis, { texts: [], told: [] });
    const tell = (outcomes) => {
      for (const { what, content, error } of outcomes) {
        if (what === "opened") texts.push(content.text);
        else told.push(error ?? what);
      }
    };
    const url = `${location.origin}/v1/connect`;
    globalThis.client = new Client(device, { url, token, device: name, tell });
    client.start();
  };
  globalThis.share = async (account, name, token) => {
    const { SharedClient } = await load("shared");
    globalThis.texts = [];
    const begin = async (tell) => {
      const store = await Keystore.open(account);
      const device = new Device(await store.load(), { store });
      const url = `${location.origin}/v1/connect`;
      return new Client(device, { url, token, device: name, tell });
    };
    const tell = (outcomes) => texts.push(...outcomes.map(({ content, what }) => content?.text ?? what));
    globalThis.client = new SharedClient(account, begin, { tell });
  };
  globalThis.write = (room, text) => client.send(room, { type: "text", text }).then(() => null);
  globalThis.kept = async (account, room) => {
    const store = await Keystore.open(account);
    return (await store.outcomes(room)).map(({ content }) => content?.text);
  };
})()
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Target]:
    async with private_server() as target:
        yield target


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Chromium]:
    async with Chromium() as chromium:
        yield chromium


async def begin(
    page: Page, server: Target, account: str, role: Role, name: str, *, first: bool = True
) -> None:
    """Connect with the device that this browser has, or with a new one."""
    await page.evaluate(APP)
    token = server.participant_token(account, role)
    given = ", ".join(map(json.dumps, (account, name, token, first)))
    await page.evaluate(f"begin({given})")
    await page.until("client.connection.state === 'ready'", seconds=PATIENCE)


async def reads(page: Page, *texts: str) -> None:
    """What was opened since the page was loaded, in whatever order different people wrote it."""
    await page.until(f"texts.length === {len(texts)}", seconds=PATIENCE)
    assert sorted(await page.evaluate("texts")) == sorted(texts)


async def test_browsers_read_each_other_after_a_reload_and_on_a_new_device(
    browser: Chromium, server: Target
) -> None:
    async with aiohttp.ClientSession() as http:
        room = await BackEnd(server, http).create_room({"ada": "therapist", "ben": "client"})
    ada = await browser.page(f"{server.http}/app/index.html")
    ben = await browser.page(f"{server.http}/app/index.html")
    await begin(ada, server, "ada", "therapist", "laptop")
    await begin(ben, server, "ben", "client", "phone")
    for page in (ada, ben):
        await page.until("device.requests().then((due) => due.length === 0)", seconds=PATIENCE)
    await ada.evaluate(f"write({json.dumps(room)}, 'How are you?')")
    await ben.evaluate(f"write({json.dumps(room)}, 'Better.')")
    for page in (ada, ben):
        await reads(page, "How are you?", "Better.")

    # What was read is kept, and the same device goes on with its keys.
    await ben.go(f"{server.http}/app/index.html")
    await begin(ben, server, "ben", "client", "phone")
    await ada.evaluate(f"write({json.dumps(room)}, 'Good.')")
    await reads(ben, "Good.")
    kept = await ben.evaluate(f"kept('ben', {json.dumps(room)})")
    assert sorted(kept) == ["Better.", "Good.", "How are you?"]

    # A new device reads from when it was let in, and what was before is not an error.
    tablet = await browser.page(f"{server.http}/app/index.html")
    await begin(tablet, server, "ben", "client", "tablet", first=False)
    await tablet.until("device.requests().then((due) => due.length === 0)", seconds=PATIENCE)
    key = await tablet.evaluate("[...device.key]")
    assert await ben.evaluate("device.code()") is not None
    await ben.evaluate(f"client.step('approve', 'tablet', Uint8Array.from({json.dumps(key)}), Date.now())")
    listed = "devices.every(({ state }) => state === 'listed')"
    asked = f"client.connection.request('device.list').then(({{ devices }}) => {listed})"
    await ben.until(asked, seconds=PATIENCE)
    await ada.evaluate(f"write({json.dumps(room)}, 'Welcome to both.')")
    await reads(tablet, "Welcome to both.")
    await reads(ben, "Good.", "Welcome to both.")
    assert set(await tablet.evaluate("told")) <= {"before_this_device", "unlisted"}
    for page in (ada, ben):
        assert await page.evaluate("told") == []
    for page in (ada, ben, tablet):
        assert page.problems == []


async def test_tabs_share_a_device_and_survive_the_one_that_leads(browser: Chromium, server: Target) -> None:
    async with aiohttp.ClientSession() as http:
        room = await BackEnd(server, http).create_room({"eva": "therapist", "finn": "client"})
    eva = await browser.page(f"{server.http}/app/index.html")
    one = await browser.page(f"{server.http}/app/index.html")
    await begin(eva, server, "eva", "therapist", "laptop")
    await begin(one, server, "finn", "client", "phone")
    for page in (eva, one):
        await page.until("device.requests().then((due) => due.length === 0)", seconds=PATIENCE)
    await one.evaluate("client.stop()")

    given = ", ".join(map(json.dumps, ("finn", "phone", server.participant_token("finn", "client"))))
    await one.evaluate(f"share({given})")
    await one.until("client.leads", seconds=PATIENCE)
    two = await browser.page(f"{server.http}/app/index.html", beside=one)
    await two.evaluate(APP)
    await two.evaluate(f"share({given})")
    await two.evaluate(f"write({json.dumps(room)}, 'from the second tab')")
    for page in (eva, one, two):
        await reads(page, "from the second tab")

    await one.close()
    await two.until("client.leads", seconds=PATIENCE)
    await two.evaluate(f"write({json.dumps(room)}, 'still here')")
    await eva.evaluate(f"write({json.dumps(room)}, 'so am I')")
    for page in (eva, two):
        await reads(page, "from the second tab", "still here", "so am I")
        assert page.problems == []

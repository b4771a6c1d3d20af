"""Sealed messages between browsers through a real server: what one writes the others read, each once."""

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
from protocol.tokens import Claims, mint
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
    const made = async () => {
      if (!isFirst) return Device.further(account, name, options);
      const { device, secrets } = await Device.first(account, name, Date.now(), options);
      globalThis.secrets = secrets;
      return device;
    };
    globalThis.device = state === null ? await made() : new Device(state, options);
    Object.assign(globalThis, { texts: [], told: [] });
    const tell = (outcomes) => {
      for (const { what, content, error } of outcomes) {
        if (what === "opened") texts.push(content.text);
        else told.push(error ?? what);
      }
    };
    const url = `${location.origin}/v1/connect`;
    globalThis.client = new Client(device, { url, token, device: name, tell, lookAgainMs: 200 });
    client.start();
  };
  globalThis.putVault = async (account) => {
    const [{ lock }, { xwing }] = await Promise.all([load("archive"), load("xwing")]);
    const archiveSeed = crypto.getRandomValues(new Uint8Array(32));
    const { publicKey } = await xwing.fromSeed(archiveSeed);
    await client.step("keepArchive", publicKey, Date.now());
    const cost = { passes: 1, memoryKib: 64, lanes: 1 };
    const blob = await lock({ ...secrets, archiveSeed }, "correct horse", account, cost);
    await client.connection.request("vault.put", { blob, revision: 0 });
  };
  globalThis.openVault = async (account) => {
    const { unlock } = await load("archive");
    const { blob } = await client.connection.request("vault.get");
    await client.step("adopt", await unlock(blob, "correct horse", account));
    await client.step("approve", device.name, device.key, Date.now());
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


async def rests(page: Page) -> None:
    """Wait until the device has nothing to ask for."""
    await page.until("device.requests().then((due) => due.length === 0)", seconds=PATIENCE)


async def test_with_the_vault_a_next_device_lets_itself_in_and_reads_what_was_before(
    browser: Chromium, server: Target
) -> None:
    async with aiohttp.ClientSession() as http:
        room = await BackEnd(server, http).create_room({"ivy": "therapist", "jon": "client"})
    ivy = await browser.page(f"{server.http}/app/index.html")
    jon = await browser.page(f"{server.http}/app/index.html")
    await begin(ivy, server, "ivy", "therapist", "laptop")
    await begin(jon, server, "jon", "client", "phone")
    await rests(ivy)
    await rests(jon)
    await jon.evaluate("putVault('jon')")
    await rests(jon)
    for number in range(3):
        await ivy.evaluate(f"write({json.dumps(room)}, 'before {number}')")
    await reads(jon, "before 0", "before 1", "before 2")
    assert jon.problems == []
    await jon.close()  # and it is lost

    tablet = await browser.page(f"{server.http}/app/index.html")
    await begin(tablet, server, "jon", "client", "tablet", first=False)
    await rests(tablet)
    await tablet.evaluate("openVault('jon')")
    await reads(tablet, "before 0", "before 1", "before 2")
    await ivy.evaluate(f"write({json.dumps(room)}, 'after')")
    await reads(tablet, "before 0", "before 1", "before 2", "after")
    assert set(await tablet.evaluate("told")) <= {"before_this_device", "unlisted"}
    assert await ivy.evaluate("told") == []
    for page in (ivy, tablet):
        assert page.problems == []


async def test_what_waits_for_someone_without_keys_goes_when_they_have_some_again(
    browser: Chromium, server: Target
) -> None:
    async with aiohttp.ClientSession() as http:
        room = await BackEnd(server, http).create_room({"kim": "therapist", "lee": "client"})
        kim = await browser.page(f"{server.http}/app/index.html")
        lee = await browser.page(f"{server.http}/app/index.html")
        await begin(kim, server, "kim", "therapist", "laptop")
        await begin(lee, server, "lee", "client", "phone")
        await rests(kim)
        await rests(lee)
        await kim.evaluate(f"write({json.dumps(room)}, 'one')")
        await reads(lee, "one")
        claims = Claims(server.key, "platform", "operator", exp=time.time() + 600, scope="accounts")
        headers = {"Authorization": f"Bearer {mint(claims, server.secret)}", "Idempotency-Key": "lost"}
        reset = f"{server.http}/v1/accounts/lee/keys/reset"
        async with http.post(reset, json={}, headers=headers) as response:
            assert response.status == 200
    await lee.close()
    await kim.evaluate(f"write({json.dumps(room)}, 'two')")
    await kim.until("told.includes('list_rolled_back')", seconds=PATIENCE)

    again = await browser.page(f"{server.http}/app/index.html")
    await begin(again, server, "lee", "client", "tablet")
    await kim.until("told.includes('identity_changed')", seconds=PATIENCE)
    await kim.evaluate("client.step('trust', 'lee')")
    await reads(again, "two")
    for page in (kim, again):
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

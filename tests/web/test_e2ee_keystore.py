"""The keystore of a browser's device: of two pages that hold one device, only the later one goes on."""

from __future__ import annotations

import pytest

from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

TWO_PAGES = """
(async () => {
  const { Keystore } = await import("/app/e2ee/keystore.js");
  const { Device } = await import("/app/e2ee/device.js");
  const stores = [await Keystore.open("two pages"), await Keystore.open("two pages")];
  globalThis.lost = [];
  await stores[0].takeOver(() => lost.push("first"));
  const first = await Device.further("ada", "a1", { store: stores[0], prekeys: 2 });
  await stores[1].takeOver(() => lost.push("second"));
  const second = new Device(await stores[1].load(), { store: stores[1], prekeys: 2 });
  globalThis.settled = [];
  const write = (name, device) =>
    device.send("room", { type: "text", text: name }, 1).finally(() => settled.push(name));
  write("first", first);
  await write("second", second);
  globalThis.kept = async () => {
    const { rooms } = await stores[1].load();
    return rooms.get("room").drafts.map(({ content }) => new TextDecoder().decode(content).slice(-6));
  };
})()
"""


AGED = """
(async () => {
  const { Keystore } = await import("/app/e2ee/keystore.js");
  const store = await Keystore.open("aged");
  const state = { rooms: new Map() };
  const now = Date.now;
  for (const at of [1000, 2000, 3000]) {
    Date.now = () => at;
    await store.save(state, [{ what: "opened", room: "r", at }], []);
  }
  Date.now = now;
  Date.now = () => 1000;
  await store.save(state, [{ what: "opened", room: "notes", at: 1000 }], []);
  Date.now = now;
  await store.forgetBefore(2000, (room) => room === "notes");
  const kept = [...(await store.outcomes("r")), ...(await store.outcomes("notes"))];
  return kept.map(({ at }) => at);
})()
"""


async def test_what_was_read_is_kept_no_longer_than_it_may(page: Page) -> None:
    assert await page.evaluate(AGED) == [2000, 3000, 1000]


async def test_what_was_taken_over_saves_nothing_any_more(page: Page) -> None:
    await page.evaluate(TWO_PAGES)
    await page.until("lost.length > 0")
    assert await page.evaluate("lost") == ["first"]
    assert await page.evaluate("settled") == ["second"]  # what was not saved does not go on
    assert await page.evaluate("kept()") == ["second"]

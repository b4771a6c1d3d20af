"""What the page says of what its device tells it: one thing for each outcome."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

# In the page: an Encryption over a device that tells what the test says. What is then done stands in `done`.
PART = """
(async () => {
  const { Encryption } = await import("/app/encryption.js");
  const { Device } = await import("/app/e2ee/device.js");
  const { Keystore } = await import("/app/e2ee/keystore.js");
  const { uuidFromBytes } = await import("/app/uuid.js");
  for (const id of ["sealing", "question", "question-text", "key-accept", "key-decline"]) {
    document.body.append(Object.assign(document.createElement("p"), { id }));
  }
  globalThis.done = [];
  const page = {
    conversation: {
      note: ({ account, place }, text) => done.push(["note", account, place.offset, text]),
      notSent: (mid, { kind }) => done.push(["not sent", mid, kind]),
    },
    name: (account) => account.toUpperCase(),
    complain: ({ text }) => done.push(["complain", text]),
    run: (promise) => (globalThis.running = promise),
    failed: (error) => done.push(["failed", String(error)]),
  };
  const claims = btoa(JSON.stringify({ sub: "ben" })).replaceAll("=", "");
  const encryption = new Encryption({ session: { room: "r" }, isInside: true }, page);
  const url = `${location.origin}/v1/connect`;
  const client = await encryption.begin({ url, token: () => `x.${claims}.x`, handlers: {} });
  const told = { room: "r", place: { log: 1, offset: 7 }, account: "ada", device: "a1", session: "s" };
  const mid = Uint8Array.from({ length: 16 }, (_, i) => (i === 6 ? 0x70 : i === 8 ? 0x80 : i));
  const store = await Keystore.open("ben");
  const content = { type: "text", text: "once more" };
  await store.save({ rooms: new Map() }, [{ ...told, what: "opened", mid, content }], []);
  Device.prototype.send = async (room, { text }, _, options) => {
    done.push(["send", room, text, uuidFromBytes(options.mid), options.session]);
    return options.mid;
  };
  globalThis.tell = async (outcome) => {
    done.length = 0;
    Device.prototype.caughtUp = async () => [{ ...told, mid, ...outcome }];
    await client.step("caughtUp");
    await globalThis.running;
    return done;
  };
})()
"""

MID = "00010203-0405-7007-8009-0a0b0c0d0e0f"

SAID: dict[str, tuple[str, list[Any]]] = {
    "some missing": (
        "{ what: 'missing', count: 2 }",
        ["note", "ada", 7, "2 messages before this one are missing."],
    ),
    "nobody knows how many": (
        "{ what: 'missing', count: null }",
        ["note", "ada", 7, "Messages before this one are missing."],
    ),
    "an archive": (
        "{ what: 'archived', archive: new Uint8Array(32) }",
        ["note", "ada", 7, "What follows can be read in an archive of the organisation, too."],
    ),
    "no archive any more": (
        "{ what: 'archived', archive: null }",
        ["note", "ada", 7, "What follows is not kept in an archive any more."],
    ),
    "lost, and so sent again": ("{ what: 'lost' }", ["send", "r", "once more", MID, "s"]),
    "not sent": ("{ what: 'not_sent', error: 'room_gone' }", ["not sent", MID, "room_gone"]),
    "keys that cannot be right": (
        "{ what: 'suspicion', error: 'list_forked' }",
        ["complain", "What the server shows of the keys of ADA cannot be right (“list_forked”)."],
    ),
}


async def test_each_outcome_is_said_or_acted_on(page: Page) -> None:
    await page.evaluate(PART)
    for name, (outcome, expected) in SAID.items():
        assert await page.evaluate(f"tell({outcome})") == [expected], name
    assert await page.evaluate("tell({ what: 'missing', count: 1, room: 'another' })") == []

"""What messages of a log say on a page: opened, in clear, or the reason why they cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

MID = "01890a5d-ac96-774b-bcce-b302099a8057"

# In the page: `read(event, options)` with what the device told of places 1 to 3 of a log.
DEVICE = f"""
(async () => {{
  const {{ Readings }} = await import("/app/readings.js");
  const {{ uuidToBytes }} = await import("/app/uuid.js");
  const place = (offset) => ({{ room: "r", place: {{ log: 1, offset }}, account: "ada" }});
  const opened = {{ what: "opened", mid: uuidToBytes("{MID}"), session: "s" }};
  const outcomes = [
    {{ ...opened, ...place(1), content: {{ type: "text", text: "Hello" }} }},
    {{ ...place(2), what: "set_aside", error: "forged_signature" }},
    {{ ...opened, ...place(3), mid: new Uint8Array(16), content: {{ type: "dance", unknown: true }} }},
    {{ ...place(3), what: "missing", count: 2 }},
  ];
  const readings = new Readings({{ outcomes: async () => outcomes }});
  globalThis.besides = (await readings.recall("r")).map(({{ what }}) => what);
  globalThis.read = ({{ offset, epoch = 1, sender = "ada", mid = "other", text }}, options) => {{
    const data = text === undefined ? Uint8Array.of(0x94, 1, 0xc4) : new TextEncoder().encode(text);
    return readings.of({{ room: "r", epoch, offset, sender, body: {{ mid, data }} }}, options);
  }};
  globalThis.withoutKeys = (data) =>
    Readings.withoutKeys({{ room: "r", epoch: 1, offset: 1, body: {{ mid: "m", data }} }});
}})()
"""


async def read(page: Page, *given: dict[str, Any]) -> Any:
    return await page.evaluate(f"read({', '.join(map(json.dumps, given))})")


async def test_one_that_cannot_be_opened_says_why_and_the_next_is_read(page: Page) -> None:
    await page.evaluate(DEVICE)
    first = await read(page, {"offset": 1, "mid": MID})
    assert (first["key"], first["text"], first["state"]) == (MID, "Hello", "sent")
    forged = await read(page, {"offset": 2, "mid": MID})
    assert (forged["text"], forged["state"]) == ("Not written by the person it names.", "unreadable")
    assert forged["key"] != MID  # it does not stand in for the message whose name it bears
    assert (await read(page, {"offset": 3}))["text"] == "This message needs a newer version of this page."
    assert await page.evaluate("besides") == ["missing"]


async def test_one_in_clear_is_marked(page: Page) -> None:
    await page.evaluate(DEVICE)
    clear = await read(page, {"offset": 4, "text": "grüß Gott"})
    assert (clear["text"], clear["state"]) == ("grüß Gott", "clear")


async def test_what_is_behind_the_device_was_before_it(page: Page) -> None:
    await page.evaluate(DEVICE)
    assert await read(page, {"offset": 5}) is None  # nothing was told of it: the log has begun anew
    before = await read(page, {"offset": 5}, {"isOld": True})
    assert before["text"] == "Written before this browser was there. It cannot be read here."


async def test_after_a_restore_it_is_known_by_its_id_and_its_sender(page: Page) -> None:
    await page.evaluate(DEVICE)
    assert (await read(page, {"offset": 9, "epoch": 2, "mid": MID}))["text"] == "Hello"
    assert await read(page, {"offset": 9, "epoch": 2, "mid": MID, "sender": "eve"}) is None


async def test_without_keys_what_is_encrypted_says_so(page: Page) -> None:
    await page.evaluate(DEVICE)
    sealed = await page.evaluate("withoutKeys(Uint8Array.of(0x94, 1))")
    assert sealed["text"] == "This message is encrypted, and this browser cannot open it."
    clear = await page.evaluate("withoutKeys(new TextEncoder().encode('Hello'))")
    assert (clear["text"], clear["state"]) == ("Hello", "sent")

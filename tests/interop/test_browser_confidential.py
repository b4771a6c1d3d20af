"""What people write at the pages of a real server is encrypted, and what follows from that for them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from loadtest.private_server import private_server
from loadtest.target import Target
from protocol.tokens import Claims, mint
from tests.chromium import Chromium, Page
from tests.interop.people import PATIENCE, WITHOUT_ML_KEM, Person, open_link

pytestmark = pytest.mark.asyncio(loop_scope="module")

# In the page: the network takes no acknowledgement to the server.
LOSE_ACKS = """
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (frame) {
  const text = new TextDecoder("latin1").decode(frame);
  if (text.includes("\\u00a2op\\u00a3ack")) globalThis.lostAcks = true;
  else send.call(this, frame);
};
"""

BODIES = "[...document.querySelectorAll('#messages .body')].map((body) => body.textContent)"
BEFORE = "Written before this browser was there. It cannot be read here."


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server's database."""
    return tmp_path_factory.mktemp("store")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(store: Path) -> AsyncIterator[Target]:
    async with private_server({"RAPPORT_STORE_URL": f"sqlite:///{store / 'rapport.db'}"}) as target:
        yield target


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Chromium]:
    async with Chromium() as chromium:
        yield chromium


async def new_session(server: Target) -> dict[str, str]:
    """A session in writing: the two links, by role, and its room."""
    trial = f"{server.http}/dev/session"
    async with aiohttp.ClientSession() as http, http.post(trial, json={"modality": "chat"}) as response:
        made: dict[str, str] = await response.json()
    return {"room": made["room"]} | {role: server.url + made[role] for role in ("therapist", "client")}


async def both_inside(browser: Chromium, links: dict[str, str]) -> tuple[Person, Person]:
    people = await open_link(browser, links["therapist"]), await open_link(browser, links["client"])
    for person in people:
        await person.has_keys()
        await person.come_in()
        await person.is_inside()
    return people


async def shows(page: Page, *texts: str) -> None:
    """Wait until these are the messages, in this order."""
    await page.until(f"JSON.stringify({BODIES}) === {json.dumps(json.dumps(texts, separators=(',', ':')))}")


def close(*people: Person) -> list[str]:
    return [problem for person in people for problem in person.page.problems]


async def test_the_database_holds_nothing_of_what_is_written(
    browser: Chromium, server: Target, store: Path
) -> None:
    links = await new_session(server)
    therapist, client = await both_inside(browser, links)
    await therapist.writes("Wie war die Nacht nach dem Absetzen von Quetiapin?")
    await client.reads("#messages .theirs", "Quetiapin")
    await client.writes("Schlaflos, mit Herzrasen.")
    await therapist.reads("#messages .theirs", "Herzrasen")
    await therapist.reads("#sealing", "End-to-end encrypted")

    held = b"".join(path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file())
    assert links["room"].encode() in held  # it is this file that has the room
    for word in ("Quetiapin", "Absetzen", "Schlaflos", "Herzrasen"):
        assert word.encode() not in held

    # Both see the same number, by which they can make sure of each other.
    numbers = []
    for person in (therapist, client):
        await person.page.click("#chat [data-action=encryption]")
        await person.page.until("document.querySelector('#encrypting[open]') !== null", seconds=PATIENCE)
        rows = "[...document.querySelectorAll('#numbers span')].map((span) => span.textContent)"
        numbers.append((await person.page.evaluate(rows))[1])
        await person.photograph("encryption")
        await person.page.click("#encrypting button")
    assert numbers[0] == numbers[1]
    assert len(numbers[0].split()) == 12
    assert close(therapist, client) == []


async def test_a_second_browser_is_let_in_by_the_first(browser: Chromium, server: Target) -> None:
    links = await new_session(server)
    therapist, client = await both_inside(browser, links)
    await client.writes("From the laptop.")
    await therapist.reads("#messages .theirs", "From the laptop.")

    phone = await open_link(browser, links["client"])
    await phone.page.until("document.body.dataset.encryption === 'new'", seconds=PATIENCE)
    await phone.come_in()
    await phone.is_inside()
    await phone.reads("#sealing", "This browser is new")
    await shows(phone.page, BEFORE)
    await phone.page.click("#chat [data-action=encryption]")
    await phone.reads("#encryption-text", "It has to show this code:")
    code = await phone.page.evaluate(
        "document.getElementById('encryption-text').textContent.match(/[0-9]{4} [0-9]{4} [0-9]{4}/)[0]"
    )
    await phone.photograph("new-browser")
    await phone.page.click("#encrypting button")

    await client.reads("#question", code)
    await client.photograph("newcomer")
    await client.page.click("#key-accept")
    await phone.has_keys()
    await client.page.until("document.getElementById('question').hidden", seconds=PATIENCE)
    await therapist.writes("To both of yours.")
    await shows(phone.page, BEFORE, "To both of yours.")
    await phone.writes("From the phone.")
    for person in (therapist, client):
        await shows(person.page, "From the laptop.", "To both of yours.", "From the phone.")
    assert close(therapist, client, phone) == []


async def test_a_second_browser_is_turned_away(browser: Chromium, server: Target) -> None:
    links = await new_session(server)
    therapist, client = await both_inside(browser, links)
    stranger = await open_link(browser, links["client"])
    await stranger.page.until("document.body.dataset.encryption === 'new'", seconds=PATIENCE)
    await client.reads("#question", "Another browser has opened your link")
    await client.page.click("#key-decline")
    await client.page.until("document.getElementById('question').hidden", seconds=PATIENCE)
    await stranger.come_in()
    await stranger.is_inside()
    await therapist.writes("Not for everyone.")
    await client.reads("#messages .theirs", "Not for everyone.")
    await shows(stranger.page, BEFORE)
    assert await stranger.page.evaluate("document.body.dataset.encryption") == "new"
    assert close(therapist, client, stranger) == []


async def test_tabs_take_the_device_over_from_each_other(browser: Chromium, server: Target) -> None:
    links = await new_session(server)
    therapist, client = await both_inside(browser, links)
    await client.writes("one")
    await therapist.reads("#messages .theirs", "one")

    second = Person(await browser.page(links["client"], beside=client.page))
    await client.reads("#farewell", "This session is open in another window")
    await second.has_keys()
    await second.come_in()
    await second.is_inside()
    await shows(second.page, "one")
    await therapist.writes("two")
    await shows(second.page, "one", "two")
    await second.writes("three")

    await client.page.click("#again")
    await second.reads("#farewell", "This session is open in another window")
    await client.come_in()
    await client.is_inside()
    await shows(client.page, "one", "two", "three")
    await client.page.reload()
    await client.come_in()
    await client.writes("four")
    for person in (therapist, client):
        await shows(person.page, "one", "two", "three", "four")
    assert close(therapist, client, second) == []


async def test_what_was_read_is_there_after_a_reload_whatever_the_server_has_heard(
    browser: Chromium, server: Target
) -> None:
    links = await new_session(server)
    client = Person(await browser.page(links["client"], before_load=LOSE_ACKS))
    await client.has_keys()
    await client.come_in()
    await client.writes("one")
    await client.page.until("globalThis.lostAcks", seconds=PATIENCE)
    await client.page.reload()
    await client.come_in()
    await client.is_inside()
    await client.writes("two")
    await shows(client.page, "one", "two")
    assert close(client) == []


async def test_other_keys_of_someone_are_asked_about(browser: Chromium, server: Target) -> None:
    links = await new_session(server)
    therapist, client = await both_inside(browser, links)
    await therapist.writes("Before.")
    await client.reads("#messages .theirs", "Before.")
    account = f"client-{links['room'][:8]}"
    claims = Claims(server.key, "platform", "operator", exp=time.time() + 600, scope="accounts")
    headers = {"Authorization": f"Bearer {mint(claims, server.secret)}", "Idempotency-Key": "lost"}
    reset = f"{server.http}/v1/accounts/{account}/keys/reset"
    async with aiohttp.ClientSession() as http, http.post(reset, json={}, headers=headers) as response:
        assert response.status == 200
    await client.reads("#farewell", "Access from this device was withdrawn")

    again = await open_link(browser, links["client"])
    await again.has_keys()
    await again.come_in()
    await again.is_inside()
    await therapist.page.click("#text")
    await therapist.page.type("Are you still you?")
    await therapist.page.press("Enter", 13)
    await therapist.reads("#question", "Your client has other keys than before.")
    await therapist.photograph("other-keys")
    states = "[...document.querySelectorAll('#messages li')].map((item) => item.dataset.state).join()"
    assert await therapist.page.evaluate(states) == "sent,pending"
    await again.writes("It is me.")
    await therapist.page.until(f"{states} === 'sent,unreadable,pending'", seconds=PATIENCE)
    await therapist.page.click("#key-accept")
    await shows(again.page, BEFORE, "It is me.", "Are you still you?")
    await again.writes("Yes.")
    await shows(therapist.page, "Before.", "It is me.", "Are you still you?", "Yes.")
    assert close(therapist, again) == []


async def test_a_browser_that_cannot_encrypt_says_so(browser: Chromium, server: Target) -> None:
    links = await new_session(server)
    old = Person(await browser.page(links["client"], before_load=WITHOUT_ML_KEM))
    await old.come_in()
    await old.is_inside()
    await old.reads("#sealing", "Not end-to-end encrypted: this browser cannot do it.")
    await old.writes("In clear, as the page says.")  # nobody here has keys so far

    therapist = await open_link(browser, links["therapist"])
    await therapist.has_keys()
    await therapist.come_in()
    await therapist.is_inside()
    await therapist.reads("#messages .theirs", "Not encrypted")
    await therapist.writes("Encrypted.")
    await therapist.reads("#sealing", "Your client cannot read it: no keys of theirs are known yet.")
    await old.reads("#messages [data-state=unreadable]", "This message is encrypted")
    await old.page.click("#text")
    await old.page.type("Not any more.")
    await old.page.press("Enter", 13)
    await old.reads("#notice", "Messages are encrypted here, and this browser cannot do that.")
    await old.reads("#messages .mine:last-child", "Not sent")
    await old.photograph("cannot-encrypt")
    assert "Not any more." not in await therapist.page.evaluate(BODIES)
    assert close(therapist, old) == []

"""Files and questionnaires between two pages of a real server: sent, cut off, fetched, damaged, gone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from loadtest.private_server import private_server
from loadtest.target import Target
from protocol.e2ee.attachments import encrypted_size
from tests.chromium import Chromium
from tests.interop.cutting_proxy import CuttingProxy
from tests.interop.people import PATIENCE, Person, open_link

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What a file of this name and type holds, chosen by its person.
CHOOSE = """
(name, type, text) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const chosen = new DataTransfer();
  chosen.items.add(new File([bytes], name, { type }));
  const input = document.getElementById("file");
  input.files = chosen.files;
  input.dispatchEvent(new Event("change"));
}
"""

CARD = "#messages > li:last-child .card"


def picture() -> bytes:
    """A PNG of 96 by 64, with a gradient."""
    rows = b"".join(b"\0" + bytes(part for x in range(96) for part in (2 * x, 4 * y, 128)) for y in range(64))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 96, 64, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server's database and blobs."""
    return tmp_path_factory.mktemp("store")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(store: Path) -> AsyncIterator[Target]:
    async with private_server({"RAPPORT_STORE_URL": f"sqlite:///{store / 'rapport.db'}"}) as target:
        yield target


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Chromium]:
    async with Chromium() as chromium:
        yield chromium


@dataclass(frozen=True, slots=True)
class Visit:
    """Therapist and client in a session in writing; the client's network can be cut."""

    therapist: Person
    client: Person
    room: str
    network: CuttingProxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visit(browser: Chromium, server: Target) -> AsyncIterator[Visit]:
    trial = f"{server.http}/dev/session"
    async with aiohttp.ClientSession() as http, http.post(trial, json={"modality": "chat"}) as response:
        made = await response.json()
    port = urlsplit(server.http).port
    assert port is not None
    async with CuttingProxy(port) as network:
        therapist = await open_link(browser, server.url + made["therapist"])
        client = await open_link(browser, f"http://127.0.0.1:{network.port}{made['client']}")
        for person in (therapist, client):
            await person.has_keys()
            await person.come_in()
            await person.is_inside()
        yield Visit(therapist, client, made["room"], network)
        # What a browser notes of connections that were killed, and of what is gone, is no fault of the page.
        noted = ("Failed to load", "WebSocket connection")
        for person in (therapist, client):
            assert [one for one in person.page.problems if not any(text in one for text in noted)] == []


async def choose(person: Person, name: str, media_type: str, data: bytes) -> None:
    given = ", ".join(map(json.dumps, (name, media_type, base64.b64encode(data).decode())))
    await person.page.evaluate(f"({CHOOSE})({given})")


async def is_sent(person: Person) -> None:
    stored = "[...document.querySelectorAll('#messages .mine')].at(-1)?.dataset.state === 'sent'"
    await person.page.until(stored, seconds=PATIENCE)


async def saves(person: Person, folder: Path, name: str) -> bytes:
    """Press Save in the last message, and take what the browser has saved."""
    command = {"behavior": "allow", "downloadPath": str(folder), "browserContextId": person.page.context}
    await person.page.command("Browser.setDownloadBehavior", **command)
    await person.page.click(f"{CARD} [data-action=file-save]")
    await person.reads(f"{CARD} .card-status", "Checked and handed to your browser")
    async with asyncio.timeout(PATIENCE):
        # Chromium gives it its name once it is complete, and nobody tells of that.
        while not (folder / name).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return (folder / name).read_bytes()


async def test_a_picture_is_shown_and_saved_byte_for_byte(visit: Visit, tmp_path: Path) -> None:
    image = picture()
    await choose(visit.client, "Bild vom Spaziergang.png", "image/png", image)
    await is_sent(visit.client)
    await visit.therapist.reads(CARD, "Bild vom Spaziergang.png")
    await visit.therapist.page.click(f"{CARD} [data-action=file-show]")
    await visit.therapist.page.until(f"document.querySelector('{CARD} img')?.naturalWidth === 96")
    await visit.therapist.photograph("file-picture")
    assert await saves(visit.therapist, tmp_path, "Bild vom Spaziergang.png") == image


async def test_what_only_says_that_it_is_a_picture_is_not_shown_and_runs_nothing(visit: Visit) -> None:
    page = b"<!doctype html><script>globalThis.ran = true</script>"
    await choose(visit.client, "<img src=x onerror=ran=1>\u202egnp.png", "image/png", page)
    await is_sent(visit.client)
    await visit.therapist.reads(CARD, "_img src=x onerror=ran=1_gnp.png")
    await visit.therapist.page.click(f"{CARD} [data-action=file-show]")
    await visit.therapist.reads(CARD, "This is not a picture that can be shown here.")
    # A drawing can hold scripts: it can only be saved.
    await choose(visit.client, "drawing.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    await is_sent(visit.client)
    await visit.therapist.reads(CARD, "drawing.svg")
    labels = f"document.querySelector('{CARD} .choices').textContent"
    assert await visit.therapist.page.evaluate(labels) == "Save"
    assert not await visit.therapist.page.evaluate("globalThis.ran ?? false")


async def test_an_upload_goes_on_where_its_connection_was_killed(visit: Visit, tmp_path: Path) -> None:
    large = hashlib.shake_256(b"worksheet").digest(6_000_000)
    before = visit.network.carried
    visit.network.cut_at = before + 4_000_000
    await choose(visit.client, "Arbeitsblatt.bin", "", large)
    await is_sent(visit.client)
    assert visit.network.cuts == 1
    # Of the part that was cut some is sent again, and all of it if the browser repeats it by itself. From the
    # beginning it would have been 10,000,000 bytes.
    assert visit.network.carried - before < 9_000_000
    await visit.therapist.reads(CARD, "Arbeitsblatt.bin")
    assert await saves(visit.therapist, tmp_path, "Arbeitsblatt.bin") == large
    await visit.client.photograph("file-sent")


async def test_a_damaged_file_is_refused_and_one_that_is_gone_is_told(
    visit: Visit, server: Target, store: Path
) -> None:
    await choose(visit.client, "notes.txt", "text/plain", bytes(123_457))
    await is_sent(visit.client)
    await visit.therapist.reads(CARD, "notes.txt")
    size = encrypted_size(123_457)
    (blob,) = (path for path in store.rglob("*") if path.is_file() and path.stat().st_size == size)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:100_000] + bytes([whole[100_000] ^ 1]) + whole[100_001:])
    await visit.therapist.page.click(f"{CARD} [data-action=file-save]")
    await visit.therapist.reads(CARD, "This is not the file that was sent: it was changed.")
    await visit.therapist.photograph("file-damaged")

    headers = {"Authorization": f"Bearer {server.back_end_token()}", "Idempotency-Key": "gone"}
    url = f"{server.http}/v1/rooms/{visit.room}/blobs/{hashlib.sha256(whole).hexdigest()}"
    async with aiohttp.ClientSession() as http, http.delete(url, headers=headers) as response:
        assert response.status == 204
    await visit.therapist.page.click(f"{CARD} [data-action=file-save]")
    await visit.therapist.reads(CARD, "This file is not there any more.")
    await visit.therapist.photograph("file-gone")


async def test_private_notes_stay_with_the_therapist(visit: Visit, store: Path) -> None:
    therapist = visit.therapist
    written = "Hypothese: Trauer um den Bruder"
    await therapist.page.click("#open-notes")
    await therapist.page.until("document.getElementById('noting').open", seconds=PATIENCE)
    await therapist.page.click("#note-text")
    await therapist.page.type(written)
    await therapist.page.press("Enter", 13)
    kept_there = "document.querySelector('#notes [data-state=sent]') !== null"
    await therapist.page.until(kept_there, seconds=PATIENCE)
    await therapist.photograph("notes")
    await therapist.page.click("#noting .choices button")

    await therapist.page.reload()
    await therapist.come_in()
    await therapist.is_inside()
    await therapist.has_keys()
    await therapist.page.click("#open-notes")
    await therapist.reads("#notes", written)
    assert await therapist.page.evaluate("document.querySelectorAll('#notes li').length") == 1
    await therapist.page.click("#noting .choices button")
    for person in (therapist, visit.client):
        assert written not in await person.page.evaluate("document.getElementById('messages').textContent")
    hidden = "getComputedStyle(document.getElementById('open-notes')).display"
    assert await visit.client.page.evaluate(hidden) == "none"
    kept = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert b"Trauer" not in kept


async def test_a_questionnaire_is_counted_on_the_device_and_can_be_urgent(visit: Visit, store: Path) -> None:
    therapist, client = visit.therapist, visit.client
    await therapist.page.click("#compose [data-action=forms]")
    await therapist.page.click("#offered [value='phq-9']")
    await client.page.until(f"document.querySelector('{CARD} [data-action=form-fill]') !== null")
    await client.page.click(f"{CARD} [data-action=form-fill]")
    second = "document.querySelectorAll('#items input[value=\"1\"]')"
    await client.page.evaluate(f"for (const radio of {second}) radio.click()")
    await client.photograph("form-filling")
    await client.page.click("#filling [value=send]")
    await client.reads("#urging", "call the emergency number")
    await client.photograph("form-urgent")
    await client.page.click("#urging [value=urgent]")
    await is_sent(client)
    for again in (False, True):  # and it is there after a reload
        if again:
            await therapist.page.reload()
            await therapist.come_in()
            await therapist.is_inside()
        await therapist.reads(CARD, "9 of 27: mild")
        await therapist.reads("#messages > li:last-child .meta", "Urgent")
        await therapist.reads(f"{CARD} .card-warning", "Thoughts that you would be better off dead")
    await therapist.photograph("form-result")
    await therapist.page.viewport(360, 700, dark=True, mobile=True)
    await therapist.photograph("form-result-phone")

    kept = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert visit.room.encode() in kept
    for text in ("Spaziergang", "Arbeitsblatt", "phq-9", "mild", "<!doctype html>", "image/png"):
        assert text.encode() not in kept

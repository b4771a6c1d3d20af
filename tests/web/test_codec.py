"""The browser's codec against the server's: every frame of the protocol, in both subprotocols, both ways."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Subprotocol, client_decoder, encode, server_decoder
from protocol.fields import MAX_SAFE_INTEGER
from protocol.frames import MessageSend
from tests.chromium import Page
from tests.strategies import client_frames, server_frames

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

# In the page: messages arrive as base64 and go back as base64; in JSON a WebSocket message is text.
HARNESS = """
globalThis.ready = (async () => {
  const { encode, decode, CodecError } = await import("/app/codec.js");
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const text = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
  const incoming = (one, binary) => binary ? bytes(one).buffer : new TextDecoder().decode(bytes(one));
  const outgoing = (message, binary) => text(binary ? message : new TextEncoder().encode(message));
  globalThis.echo = (all, name) => {
    const binary = name.endsWith("msgpack");
    return all.map((one) => outgoing(encode(decode(incoming(one, binary), name), name), binary));
  };
  globalThis.refusal = (message, name) => {
    try { decode(message, name); return null; } catch (error) { return error instanceof CodecError; }
  };
})()
"""


def exact(value: Any) -> bool:
    """Whether JavaScript can hold all integers of a frame."""
    match msgspec.to_builtins(value):
        case dict() as fields:
            return all(map(exact, fields.values()))
        case list() | tuple() as items:
            return all(map(exact, items))
        case int() as number:
            return abs(number) <= MAX_SAFE_INTEGER
    return True


def examples(strategy: st.SearchStrategy[Any], count: int = 300) -> list[Any]:
    """Many different values, so that they cross to the browser in one go."""
    found: list[Any] = []

    @settings(max_examples=count, database=None)
    @given(strategy.filter(exact))
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


async def echo(page: Page, messages: list[bytes], subprotocol: Subprotocol) -> list[bytes]:
    """Each message after the browser decoded and encoded it."""
    await page.evaluate(HARNESS)
    given_messages = json.dumps([base64.b64encode(message).decode() for message in messages])
    returned = await page.evaluate(f"echo({given_messages}, '{subprotocol.value}')")
    return [base64.b64decode(message) for message in returned]


@pytest.mark.parametrize("subprotocol", list(Subprotocol), ids=lambda subprotocol: subprotocol.name.lower())
@pytest.mark.parametrize(
    ("strategy", "make_decoder"),
    [(client_frames, client_decoder), (server_frames, server_decoder)],
    ids=["client", "server"],
)
async def test_every_frame_survives_the_browser(
    page: Page, strategy: st.SearchStrategy[Any], make_decoder: Any, subprotocol: Subprotocol
) -> None:
    frames = examples(strategy)
    decoder = make_decoder(subprotocol, 1 << 20)
    returned = await echo(page, [encode(frame, subprotocol) for frame in frames], subprotocol)
    text = bytes.decode if subprotocol is Subprotocol.JSON else bytes
    assert [decoder.decode(text(message)) for message in returned] == frames


async def test_a_message_made_in_the_browser_is_what_the_server_expects(page: Page) -> None:
    await page.evaluate(HARNESS)
    packed = await page.evaluate(
        """(async () => {
            const { encode } = await import("/app/codec.js");
            const mid = "0192a3b4-c5d6-7e8f-9012-3456789abcde";
            const frame = { op: "message.send", id: 7, room: "r", mid, data: new TextEncoder().encode("hé"),
                            session: undefined };
            return [...encode(frame, "rapport.v1.msgpack")];
        })()"""
    )
    frame = client_decoder(Subprotocol.MSGPACK, 1 << 16).decode(bytes(packed))
    assert isinstance(frame, MessageSend)
    assert (frame.id, frame.room, frame.data, frame.session) == (7, "r", "hé".encode(), None)
    assert str(frame.mid) == "0192a3b4-c5d6-7e8f-9012-3456789abcde"


@pytest.mark.parametrize(
    ("message", "subprotocol"),
    [
        ("'{}'", "rapport.v1.json"),
        ("'[1]'", "rapport.v1.json"),
        ("'null'", "rapport.v1.json"),
        ("'{\"op\":'", "rapport.v1.json"),
        ("new ArrayBuffer(3)", "rapport.v1.json"),
        ('\'{"op":"event","data":"%%"}\'', "rapport.v1.json"),
        ("'text'", "rapport.v1.msgpack"),
        ("new Uint8Array([0x80]).buffer", "rapport.v1.msgpack"),
        ("new Uint8Array([0xc0]).buffer", "rapport.v1.msgpack"),
        ("new Uint8Array([]).buffer", "rapport.v1.msgpack"),
    ],
)
async def test_what_is_not_a_frame_is_refused(page: Page, message: str, subprotocol: str) -> None:
    await page.evaluate(HARNESS)
    assert await page.evaluate(f"refusal({message}, '{subprotocol}')") is True


async def test_uuids_are_of_version_7_and_sort_by_time(page: Page) -> None:
    made = await page.evaluate(
        """(async () => {
            const { uuid7 } = await import("/app/uuid.js");
            const zeros = new Uint8Array(10);
            return [uuid7(0x0192a3b4c5d6, zeros), uuid7(0x0192a3b4c5d7, zeros), uuid7(), uuid7()];
        })()"""
    )
    assert made[0] == "0192a3b4-c5d6-7000-8000-000000000000"
    assert made[0] < made[1] < made[2]
    assert made[2] != made[3]

"""The browser's connection against a server that misbehaves on purpose."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.chromium import Page
from tests.web.scripted import LIMITS, Frame, Peer, ScriptedServer

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

# In the page: everything the connection tells is kept in `log`.
HARNESS = """
globalThis.begin = async (options = {}) => {
  const { Connection } = await import("/app/connection.js");
  globalThis.log = [];
  const keep = (kind) => (...what) => { log.push([kind, ...what]); };
  const handlers = {
    state: keep("state"), signal: keep("signal"),
    welcome: (frame) => { log.push(["welcome", frame]); return globalThis.welcomed?.(); },
    caughtUp: keep("caughtUp"), reset: keep("reset"), removed: keep("removed"),
    event: ({ offset, epoch, room }) => { log.push(["event", room, epoch, offset]); },
  };
  const timing = { ackMs: 1, backoffBaseMs: 1, backoffCapMs: 5, ...options.timing };
  globalThis.connection = new Connection({
    url: location.origin + "/v1/connect", token: options.token ?? "secret", device: "d1", handlers, timing,
  });
  connection.start();
};
globalThis.events = () => log.filter(([kind]) => kind === "event").map(([, , , offset]) => offset);
globalThis.states = () => log.filter(([kind]) => kind === "state").map(([, state]) => state);
globalThis.outcome = (promise) => promise.then(
  (value) => ({ value }),
  (error) => ({ type: error.constructor.name, kind: error.kind, temporary: error.temporary }),
);
"""

ROOM = {"room": "r", "epoch": 1, "head": 3, "cursor": 0, "read": 0}


async def begin(page: Page, **options: Any) -> None:
    await page.evaluate(HARNESS)
    await page.evaluate(f"begin({json.dumps(options)})")


async def send_event(peer: Peer, offset: int, *, epoch: int = 1, room: str = "r") -> None:
    body = {"kind": "message", "mid": uuid.uuid4().bytes, "data": b"hello"}
    await peer.send("event", room=room, epoch=epoch, offset=offset, at_ms=1, body=body, sender="bob")


async def acked(peer: Peer, offset: int) -> Frame:
    """The acknowledgement that reaches ``offset``."""
    while True:
        ack = await peer.receive("ack")
        if ack["offset"] >= offset:
            return ack


async def test_hello_carries_the_token_and_the_device(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    hello = await (await server.accept()).welcome()
    assert hello == {"op": "hello", "token": "secret", "device": "d1", "versions": [1], "rooms": {}}
    await page.until("connection.state === 'ready'")
    assert await page.evaluate("states()") == ["connecting", "greeting", "ready"]


async def test_json_is_spoken_where_messagepack_is_not(page: Page, server: ScriptedServer) -> None:
    server.protocols = ("rapport.v1.json",)
    await begin(page)
    peer = await server.accept()
    assert (await peer.welcome())["token"] == "secret"
    await page.evaluate("void connection.send('r', new Uint8Array([1, 2, 255]))")
    request = await peer.receive("message.send")
    assert request["data"] == "AQL/"
    assert uuid.UUID(request["mid"]).version == 7


async def test_replies_find_their_requests(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome()
    await page.until("connection.state === 'ready'")
    await page.evaluate("globalThis.a = outcome(connection.request('time.get'))", await_promise=False)
    await page.evaluate(
        "globalThis.b = outcome(connection.request('room.get', { room: 'x' }))", await_promise=False
    )
    first, second = await peer.receive("time.get"), await peer.receive("room.get")
    await peer.refuse(second, "no_such_room")
    await peer.send("ok", id=first["id"], result={"of": "time.get", "server_now_ms": 5})
    assert await page.evaluate("b") == {"type": "RequestError", "kind": "no_such_room", "temporary": False}
    assert await page.evaluate("a") == {"value": {"of": "time.get", "server_now_ms": 5}}


async def test_a_request_without_a_reply_fails_in_time(page: Page, server: ScriptedServer) -> None:
    await begin(page, timing={"requestMs": 20})
    await (await server.accept()).welcome()
    await page.until("connection.state === 'ready'")
    outcome = await page.evaluate("outcome(connection.request('time.get'))")
    assert outcome == {"type": "NoReply", "temporary": True}


async def test_a_request_in_flight_fails_with_its_connection(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome()
    await page.until("connection.state === 'ready'")
    await page.evaluate("globalThis.a = outcome(connection.request('time.get'))", await_promise=False)
    await peer.receive("time.get")
    peer.cut()
    assert await page.evaluate("a") == {"type": "ConnectionLost", "temporary": True}
    await (await server.accept()).welcome()
    await page.until("connection.state === 'ready'")


async def test_events_come_once_in_order_and_are_acknowledged(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome(ROOM)
    for offset in (1, 2, 2, 1, 3):
        await send_event(peer, offset)
    ack = await acked(peer, 3)
    assert ack == {"op": "ack", "room": "r", "epoch": 1, "offset": 3}
    assert await page.evaluate("events()") == [1, 2, 3]


async def test_a_cut_is_resumed_where_it_was(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome(ROOM)
    await send_event(peer, 1)
    await send_event(peer, 2)
    await acked(peer, 2)
    peer.cut()
    again = await server.accept()
    hello = await again.welcome(ROOM)
    assert hello["rooms"] == {"r": {"epoch": 1, "offset": 2}}
    await send_event(again, 2)
    await send_event(again, 3)
    await acked(again, 3)
    assert await page.evaluate("events()") == [1, 2, 3]


async def test_a_gap_is_not_taken_but_resumed_from(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome(ROOM)
    await send_event(peer, 1)
    await send_event(peer, 3)
    again = await server.accept()
    hello = await again.welcome(ROOM)
    assert hello["rooms"] == {"r": {"epoch": 1, "offset": 1}}
    assert await page.evaluate("events()") == [1]


async def test_a_reset_starts_the_room_again_in_its_new_epoch(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome({**ROOM, "cursor": 7})
    await peer.send("reset", room="r", epoch=2, lowest=4, reason="epoch")
    await send_event(peer, 4, epoch=2)
    assert await acked(peer, 4) == {"op": "ack", "room": "r", "epoch": 2, "offset": 4}
    assert await page.evaluate("events()") == [4]


async def test_a_room_joined_while_connected_begins_where_the_server_begins(
    page: Page, server: ScriptedServer
) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome()
    await send_event(peer, 9, room="new")
    assert (await acked(peer, 9))["room"] == "new"
    await peer.send("removed", room="new")
    await page.until("log.some(([kind]) => kind === 'removed')")
    peer.cut()
    assert (await (await server.accept()).welcome())["rooms"] == {}


async def test_a_ping_is_answered_and_a_lost_doorbell_is_noticed(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome(ROOM)
    await send_event(peer, 1)
    await acked(peer, 1)
    await peer.send("ping", t_ms=77, heads={"r": 2})
    assert await peer.receive("pong") == {"op": "pong", "t_ms": 77}
    await peer.send("ping", t_ms=78, heads={"r": 2})  # and it still has not come
    again = await server.accept()
    assert (await again.welcome(ROOM))["rooms"] == {"r": {"epoch": 1, "offset": 1}}


async def test_a_message_is_sent_again_with_its_id_until_it_is_answered(
    page: Page, server: ScriptedServer
) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome(ROOM)
    script = (
        "globalThis.sent = ['one', 'two'].map((t) => connection.send('r', new TextEncoder().encode(t), 's'))"
    )
    await page.evaluate(f"{script}; 0")
    first = await peer.receive("message.send")
    peer.cut()
    again = await server.accept()
    await again.welcome(ROOM)
    repeated = await again.answer("message.send", of="message.send", epoch=1, offset=4, at_ms=9)
    assert (repeated["mid"], repeated["data"], repeated["session"]) == (first["mid"], b"one", "s")
    second = await again.answer("message.send", of="message.send", epoch=1, offset=5, at_ms=9)
    assert second["data"] == b"two"
    results = await page.evaluate("Promise.all(sent.map(({ done }) => done))")
    assert [result["offset"] for result in results] == [4, 5]


async def test_what_is_refused_for_the_moment_is_repeated_before_what_follows(
    page: Page, server: ScriptedServer
) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome(ROOM)
    await page.evaluate("globalThis.sent = [1, 2].map((n) => connection.send('r', new Uint8Array([n]))); 0")
    await page.evaluate("globalThis.second = outcome(sent[1].done); 0")
    refused = await peer.receive("message.send")
    await peer.refuse(refused, "store_full", temporary=True, retry_after_ms=1)
    repeated = await peer.answer("message.send", of="message.send", epoch=1, offset=4, at_ms=9)
    assert repeated["mid"] == refused["mid"]
    await peer.refuse(await peer.receive("message.send"), "too_large")
    assert (await page.evaluate("second"))["kind"] == "too_large"


async def test_messages_written_offline_go_out_in_order(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome(ROOM)
    await page.until("connection.state === 'ready'")
    peer.cut()
    await page.until("connection.state !== 'ready'")
    await page.evaluate("[1, 2, 3].forEach((n) => connection.send('r', new Uint8Array([n]))); 0")
    again = await server.accept()
    await again.welcome(ROOM)
    got = [
        (await again.answer("message.send", of="message.send", epoch=1, offset=n, at_ms=9))["data"]
        for n in (4, 5, 6)
    ]
    assert got == [b"\x01", b"\x02", b"\x03"]


async def test_messages_wait_until_the_app_has_found_its_place_again(
    page: Page, server: ScriptedServer
) -> None:
    await page.evaluate(
        "globalThis.welcomed = () => connection.request('session.join', { session: 's' }).catch(() => {}); 0"
    )
    await begin(page)
    peer = await server.accept()
    await peer.welcome(ROOM)
    joining = await peer.receive("session.join")
    await page.evaluate("connection.send('r', new Uint8Array([1]), 's'); 0")
    peer.cut()
    again = await server.accept()
    await again.welcome(ROOM)
    # Whatever is asked for next, it is not the message: the session is not joined on this connection yet.
    rejoining = await again.receive()
    assert (rejoining["op"], joining["op"]) == ("session.join", "session.join")
    await again.refuse(rejoining, "session_over")
    assert (await again.receive("message.send"))["data"] == b"\x01"


@pytest.mark.parametrize("code", [1011, 4000, 4001, 4002, 4004, 4005, 4006])
async def test_it_comes_back_after_codes_that_ask_for_it(
    page: Page, server: ScriptedServer, code: int
) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome()
    await peer.close(code)
    await (await server.accept()).welcome()
    await page.until("connection.state === 'ready'")


@pytest.mark.parametrize("code", [4500, 4501, 4502, 4503, 4504, 4509])
async def test_it_stays_away_after_codes_that_ask_for_that(
    page: Page, server: ScriptedServer, code: int
) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.receive("hello")
    error = {"code": 1104, "name": "token_expired", "temporary": False, "detail": "past", "hint": "fetch"}
    await peer.send("error", **error)
    await peer.close(code)
    await page.until("connection.state === 'closed'")
    closed = "log.findLast(([kind, state]) => kind === 'state' && state === 'closed')[2]"
    assert await page.evaluate(f"[{closed}.code, {closed}.error.kind]") == [code, "token_expired"]
    # A person can go on by hand.
    await page.evaluate("connection.start()")
    await (await server.accept()).welcome()


async def test_goodbye_says_when_and_where_to_come_back(page: Page, server: ScriptedServer) -> None:
    # Only the goodbye can bring it back: the back-off alone would take longer than the test waits.
    hour = 3_600_000
    await begin(page, timing={"backoffBaseMs": hour, "backoffCapMs": hour})
    peer = await server.accept()
    await peer.welcome()
    elsewhere = f"{server.url}/v1/connect?node=2"
    await peer.send("goodbye", reason="drain", reconnect_after_ms=1, to=elsewhere)
    await peer.close(4000)
    again = await server.accept()
    await again.welcome()
    assert again.address == "/v1/connect?node=2"


async def test_silence_is_taken_for_a_loss(page: Page, server: ScriptedServer) -> None:
    await begin(page, timing={"silenceMs": 10})
    await (await server.accept()).welcome(limits={**LIMITS, "ping_ms": 20})
    await (await server.accept()).welcome()


async def test_a_server_that_never_answers_hello_is_left(page: Page, server: ScriptedServer) -> None:
    await begin(page, timing={"helloMs": 500})
    await (await server.accept()).receive("hello")
    await (await server.accept()).receive("hello")


async def test_the_network_coming_back_ends_the_wait(page: Page, server: ScriptedServer) -> None:
    hour = 3_600_000
    await begin(page, timing={"backoffBaseMs": hour, "backoffCapMs": hour})
    peer = await server.accept()
    await peer.welcome()
    await page.until("connection.state === 'ready'")
    peer.cut()
    await page.until("connection.state === 'waiting'")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await (await server.accept()).welcome()
    await page.until("connection.state === 'ready'")


async def test_after_stop_nothing_comes_back(page: Page, server: ScriptedServer) -> None:
    await begin(page)
    peer = await server.accept()
    await peer.welcome()
    await page.until("connection.state === 'ready'")
    await page.evaluate("connection.stop()")
    with pytest.raises(ConnectionError):
        await peer.receive()
    await page.evaluate("dispatchEvent(new Event('online'))")
    assert await page.evaluate("connection.state") == "closed"


async def test_the_waits_grow_to_their_cap_and_are_spread(page: Page) -> None:
    waits = await page.evaluate(
        """(async () => {
            const { Backoff } = await import("/app/backoff.js");
            const backoff = new Backoff({ baseMs: 100, capMs: 1000, random: () => 0.5 });
            const waits = Array.from({ length: 6 }, () => backoff.next());
            backoff.reset();
            return [...waits, backoff.next()];
        })()"""
    )
    assert waits == [50, 100, 200, 400, 500, 500, 50]

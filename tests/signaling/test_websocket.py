"""The door over real sockets: handshake, hello, tokens, frames that are wrong, and how connections end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from config.settings import ServerSettings, TokenSettings
from protocol import errors
from protocol.tokens import Claims, mint
from relay.writes import RemoveMember, Revoke
from tests.signaling.door_client import JSON, MSGPACK, DoorClient, Frame, door_client
from tests.signaling.door_server import KEY, SECRET, DoorServer, door_server
from tests.signaling.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DoorServer]:
    async with door_server(tmp_path / "s.db") as server:
        await server.room("r", "ann", "ben")
        yield server


async def ending(client: DoorClient) -> tuple[int, str | None]:
    """How the server ends the connection: the close code, and the error frame before it."""
    code = await client.close_code()
    names = [frame["name"] for frame in client.seen if frame["op"] == "error" and "id" not in frame]
    return code, names[-1] if names else None


# --- Handshake ---


async def test_the_servers_favourite_of_the_subprotocols_offered_is_spoken(server: DoorServer) -> None:
    async with connect(server.url, subprotocols=[JSON, MSGPACK, "other"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == MSGPACK


async def test_compression_is_not_agreed_on(server: DoorServer) -> None:
    async with connect(server.url, subprotocols=[MSGPACK]) as socket:  # type: ignore[list-item]
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


@pytest.mark.parametrize("offered", [None, ["other"], ["rapport.v2.msgpack"]])
async def test_without_a_common_subprotocol_there_is_no_handshake(
    server: DoorServer, offered: list[Any] | None
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(server.url, subprotocols=offered):
            pass
    response = caught.value.response
    assert response.status_code == 400
    assert json.loads(response.body)["name"] == "unsupported_version"


async def test_plain_http_is_answered_by_a_problem_document(server: DoorServer) -> None:
    async with aiohttp.ClientSession() as http, http.get(server.url.replace("ws", "http", 1)) as response:
        assert (response.status, (await response.json(content_type=None))["name"]) == (400, "malformed")


async def test_pages_connect_from_trusted_origins_and_our_own(tmp_path: Path) -> None:
    settings = ServerSettings(
        trusted_origins=("https://app.example",), public_url="https://rapport.example/x"
    )
    server = DoorServer(tmp_path / "s.db", server=settings)
    await server.start()
    own = f"http://127.0.0.1:{server.port}"
    for origin in (None, "https://app.example", "https://rapport.example", own):
        async with door_client(server.url, origin=origin) as client:
            assert (await client.hello(server.token("ann")))["op"] == "welcome"
    for origin in ("https://evil.example", "null", "https://app.example.evil.example", "http://[", ""):
        with pytest.raises(InvalidStatus) as caught:
            async with door_client(server.url, origin=origin):
                pass
        assert caught.value.response.status_code == 403
    await server.stop()


async def test_a_full_node_turns_connections_away(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db", connections=1) as server:
        async with door_client(server.url):
            with pytest.raises(InvalidStatus) as caught:
                async with door_client(server.url):
                    pass
            assert caught.value.response.status_code == 503
        await until(lambda: server.hub.stats().connections == 0)
        async with door_client(server.url) as client:
            assert (await client.hello(server.token("ann")))["op"] == "welcome"


# --- Hello ---


@pytest.mark.parametrize("subprotocol", [MSGPACK, JSON])
async def test_welcome_tells_who_where_and_which_limits(server: DoorServer, subprotocol: str) -> None:
    async with door_client(server.url, subprotocol) as client:
        welcome = await client.hello(server.token("ann", "therapist"))
    assert (welcome["op"], welcome["account"], welcome["role"]) == ("welcome", "ann", "therapist")
    assert welcome["version"] == 1
    assert welcome["limits"]["message_bytes"] == 96 * 1024
    assert welcome["limits"]["unacked_events"] == 256
    assert welcome["rooms"] == [{"room": "r", "epoch": server.store.epoch, "head": 2, "cursor": 0, "read": 0}]


async def test_a_device_says_hello_in_time(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db", hello_seconds=0.1) as server, door_client(server.url) as client:
        assert await ending(client) == (4502, "out_of_order")


@pytest.mark.parametrize(
    ("frame", "code", "name"),
    [
        ({"op": "time.get", "id": 1}, 4502, "out_of_order"),
        ({"op": "pong", "t_ms": 1}, 4502, "out_of_order"),
        ({"op": "hello", "device": "d"}, 4500, "token_missing"),
        ({"op": "hello", "device": "d", "token": "x"}, 4500, "token_malformed"),
        ({"op": "hello", "token": "x"}, 4501, "malformed"),
        ({"op": "hello", "device": "d", "token": "x", "versions": [2, 3]}, 4504, "unsupported_version"),
        ({"op": "hello", "device": "d", "token": "x" * 8193}, 4501, "invalid_field"),
        ({"op": "nope"}, 4501, "unknown_op"),
    ],
)
async def test_a_first_frame_that_is_wrong(server: DoorServer, frame: Frame, code: int, name: str) -> None:
    async with door_client(server.url) as client:
        await client.send(frame)
        assert await ending(client) == (code, name)


async def test_tokens_that_are_not_good(server: DoorServer) -> None:
    now = server.timebase.now_ms() / 1000
    good = Claims(KEY, "ann", "client", now + 60)
    refused = {
        "token_expired": server.token("ann", seconds=-60),
        "token_not_yet_valid": server.token("ann", nbf=now + 60),
        "token_signature": mint(good, "another secret that is long enough too"),
        "token_unknown_key": mint(Claims("stranger", "ann", "client", now + 60), SECRET),
        "token_lifetime": server.token("ann", seconds=10 * 86_400),
        "token_scope": server.token("ann", device="other"),
        "token_algorithm": "eyJhbGciOiJub25lIn0." + mint(good, SECRET).split(".")[1] + ".",
    }
    for name, token in refused.items():
        async with door_client(server.url) as client:
            await client.send({"op": "hello", "device": "d1", "token": token})
            assert await ending(client) == (4500, name)


async def test_a_revoked_device_is_kept_out_and_told_so(server: DoorServer) -> None:
    await server.store.commit(Revoke("ann", "d1", 1))
    async with door_client(server.url) as client:
        await client.send({"op": "hello", "device": "d1", "token": server.token("ann")})
        assert await ending(client) == (4503, "revoked")
    async with door_client(server.url) as client:
        assert (await client.hello(server.token("ann"), "d2"))["op"] == "welcome"


async def test_an_account_has_only_so_many_connections(tmp_path: Path) -> None:
    async with (
        door_server(tmp_path / "s.db", connections_per_account=2) as server,
        door_client(server.url) as first,
        door_client(server.url) as second,
        door_client(server.url) as third,
        door_client(server.url) as again,
    ):
        await first.hello(server.token("ann"), "d1")
        await second.hello(server.token("ann"), "d2")
        await third.send({"op": "hello", "device": "d3", "token": server.token("ann")})
        assert await ending(third) == (4006, "rate_limited")
        assert (await again.hello(server.token("ann"), "d2"))["op"] == "welcome"


async def test_keys_that_cannot_be_fetched_ask_to_come_back(tmp_path: Path) -> None:
    tokens = TokenSettings(keys={KEY: SECRET}, jwks={"https://issuer": "http://127.0.0.1:9/jwks"})
    server = DoorServer(tmp_path / "s.db", tokens=tokens)
    await server.start()
    token = mint(Claims("https://issuer", "ann", "client", server.timebase.now_ms() / 1000 + 60), SECRET)
    async with door_client(server.url) as client:
        await client.send({"op": "hello", "device": "d", "token": token})
        assert await ending(client) == (4001, "overloaded")
    await server.stop()


# --- Frames that are wrong ---


@pytest.mark.parametrize(
    ("subprotocol", "data", "name"),
    [
        (MSGPACK, b"\xc1", "malformed"),
        (MSGPACK, b"", "malformed"),
        (MSGPACK, "text on a binary subprotocol", "malformed"),
        (JSON, b"{}", "malformed"),
        (JSON, "{", "malformed"),
        (JSON, '{"op": "time.get"', "malformed"),
        (MSGPACK, msgpack.packb({"op": "nope"}), "unknown_op"),
        (MSGPACK, msgpack.packb({"op": "welcome"}), "unknown_op"),
        (MSGPACK, bytes(256 * 1024 + 1), "too_large"),
        (MSGPACK, bytes(4 << 20), "too_large"),
        (JSON, "[" * 200_000, "malformed"),
    ],
)
async def test_what_is_not_a_frame_ends_the_connection_and_no_other(
    server: DoorServer, subprotocol: str, data: bytes | str, name: str
) -> None:
    async with door_client(server.url, subprotocol) as bad, door_client(server.url) as good:
        await bad.hello(server.token("ann"))
        await good.hello(server.token("ben"))
        await bad.socket.send(data)
        assert await ending(bad) == (4501, name)
        assert (await good.request("time.get"))["op"] == "ok"


@pytest.mark.parametrize(
    "head", [b"\xf2\x80", b"\x83\x80", b"\x89\xfe\x01\x00", b"\x80\x80\0\0\0\0", b"\xc2\x80"]
)
async def test_what_is_not_websocket_ends_the_connection(server: DoorServer, head: bytes) -> None:
    async with door_client(server.url) as client:
        await client.hello(server.token("ann"))
        client.socket.transport.write(head + bytes(8))
        assert await ending(client) == (4501, "malformed")


async def test_requests_that_are_not_valid_are_refused_and_the_connection_lives(server: DoorServer) -> None:
    async with door_client(server.url) as client:
        await client.hello(server.token("ann"))
        wrong: list[tuple[str, Frame, str]] = [
            ("nope", {}, "unknown_op"),
            ("room.get", {}, "invalid_field"),
            ("room.get", {"room": 5}, "invalid_field"),
            ("room.history", {"room": "r", "limit": 0}, "invalid_field"),
            ("message.send", {"room": "r", "mid": b"short", "data": b""}, "invalid_field"),
            ("message.send", {"room": "r", "mid": bytes(16), "data": bytes(96 * 1024 + 1)}, "too_large"),
            ("signal.send", {"room": "r", "body": {"kind": "presence", "online": True}}, "invalid_field"),
            ("signal.send", {"room": "r", "body": {"kind": "opaque", "data": bytes(16385)}}, "too_large"),
        ]
        for op, fields, name in wrong:
            reply = await client.request(op, **fields)
            assert (reply["op"], reply["name"]) == ("error", name), op
            assert reply["hint"]
        assert (await client.request("time.get"))["op"] == "ok"


async def test_an_id_in_use_is_refused_and_the_first_request_answered(server: DoorServer) -> None:
    server.media.hold = asyncio.Event()
    async with door_client(server.url) as client:
        await client.hello(server.token("ann"))
        for _ in range(2):
            await client.send({"op": "media.offer", "id": 1, "session": "r/1", "sdp": "v=0"})
        refused = await client.op("error")
        assert (refused["name"], refused["id"]) == ("id_in_use", 1)
        server.media.hold.set()
        assert (await client.op("ok"))["result"]["sdp"] == "v=0"


async def test_a_slow_request_does_not_hold_up_the_next(server: DoorServer) -> None:
    server.media.hold = asyncio.Event()
    async with door_client(server.url) as client:
        await client.hello(server.token("ann"))
        await client.send({"op": "media.offer", "id": 99, "session": "r/1", "sdp": "v=0"})
        assert (await client.request("time.get"))["op"] == "ok"
        server.media.hold.set()
        assert (await client.op("ok"))["id"] == 99


async def test_a_second_hello_ends_the_connection(server: DoorServer) -> None:
    async with door_client(server.url) as client:
        await client.hello(server.token("ann"))
        await client.send({"op": "hello", "device": "d1", "token": server.token("ann")})
        assert await ending(client) == (4501, "out_of_order")


async def test_fragmented_messages_and_websocket_pings_are_fine(server: DoorServer) -> None:
    async with door_client(server.url) as client:
        await client.hello(server.token("ann"))
        frame = msgpack.packb({"op": "time.get", "id": 1})
        await client.socket.send([frame[:3], frame[3:7], frame[7:]])
        assert (await client.op("ok"))["id"] == 1
        await asyncio.wait_for(await client.socket.ping(b"payload"), 10)


async def test_a_failure_inside_is_answered_and_says_nothing_of_itself(
    server: DoorServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.sessions.broken = True
    async with door_client(server.url) as client:
        await client.hello(server.token("ann"))
        reply = await client.request("session.get", session="r/1")
        assert (reply["name"], reply["temporary"]) == ("internal", True)
        assert "canary" not in str(reply)
        assert (await client.request("time.get"))["op"] == "ok"
    logged = capfd.readouterr()
    assert "RuntimeError" in logged.out + logged.err
    assert "canary" not in logged.out + logged.err


# --- How connections end ---


async def test_a_newer_connection_of_the_same_device_replaces_the_older(server: DoorServer) -> None:
    async with (
        door_client(server.url) as old,
        door_client(server.url) as other,
        door_client(server.url) as new,
    ):
        await old.hello(server.token("ann"), "d1")
        await other.hello(server.token("ann"), "d2")
        await new.hello(server.token("ann"), "d1")
        assert await old.close_code() == 4509
        assert (await other.request("time.get"))["op"] == "ok"
        assert (await new.request("time.get"))["op"] == "ok"


async def test_two_connections_of_a_device_at_once_leave_exactly_one(server: DoorServer) -> None:
    token = server.token("ann")
    async with door_client(server.url) as first, door_client(server.url) as second:
        await asyncio.gather(first.hello(token), second.hello(token), return_exceptions=True)
        await until(lambda: server.hub.stats().closed == {"replaced": 1})
        await until(lambda: server.hub.stats().connections == 1)
        loser, winner = sorted((first, second), key=lambda each: each.socket.close_code is None)
        assert loser.socket.close_code == 4509
        assert (await winner.request("time.get"))["op"] == "ok"


async def test_who_is_revoked_is_cut_off_at_once(server: DoorServer) -> None:
    async with (
        door_client(server.url) as first,
        door_client(server.url) as second,
        door_client(server.url) as ben,
    ):
        await first.hello(server.token("ann"), "d1")
        await second.hello(server.token("ann"), "d2")
        await ben.hello(server.token("ben"))
        await server.rooms.commit(Revoke("ann", "d1", 1))
        assert await ending(first) == (4503, "revoked")
        assert (await second.request("time.get"))["op"] == "ok"
        await server.rooms.commit(Revoke("ann", None, 2))
        assert await ending(second) == (4503, "revoked")
        assert (await ben.request("time.get"))["op"] == "ok"


async def test_what_the_bus_may_have_missed_is_looked_up(server: DoorServer) -> None:
    async with (
        door_client(server.url) as revoked,
        door_client(server.url) as removed,
        door_client(server.url) as other,
    ):
        await revoked.hello(server.token("ann"), "d1")
        await removed.hello(server.token("ben"), "d1")
        await other.hello(server.token("ann"), "d2")
        # Committed on another node, whose notices did not arrive.
        await server.store.commit(Revoke("ann", "d1", 1), RemoveMember("r", "ben"))
        server.hub._may_have_missed()
        assert await ending(revoked) == (4503, "revoked")
        assert (await removed.op("goodbye"))["op"] == "goodbye"
        assert (await other.request("time.get"))["op"] == "ok"


async def test_pings_are_answered_or_the_connection_ends(tmp_path: Path) -> None:
    async with door_server(tmp_path / "s.db", ping_seconds=0.1, pong_seconds=0.3) as server:
        async with door_client(server.url) as client:
            await client.hello(server.token("ann"))
            for _ in range(5):
                ping = await client.op("ping")
                await client.send({"op": "pong", "t_ms": ping["t_ms"]})
            assert await client.close_code() == 4004
        assert server.hub.stats().closed == {"no_pong": 1}


async def test_a_token_that_runs_out_ends_the_connection(server: DoorServer) -> None:
    # https://github.com/livekit/livekit/issues/2804: the session went on without a token.
    async with door_client(server.url) as client:
        await client.hello(server.token("ann", seconds=0.3))
        assert await ending(client) == (4005, "token_expired")


async def test_a_fresh_token_keeps_the_connection(server: DoorServer) -> None:
    async with door_client(server.url) as client:
        await client.hello(server.token("ann", seconds=0.5))
        reply = await client.request("token.refresh", token=server.token("ann", seconds=60))
        assert reply["result"]["of"] == "token.refresh"
        await asyncio.sleep(0.6)
        assert (await client.request("time.get"))["op"] == "ok"
        shorter = await client.request("token.refresh", token=server.token("ann", seconds=0.2))
        assert shorter["op"] == "ok"
        assert await ending(client) == (4005, "token_expired")


async def test_a_fresh_token_of_someone_else_is_refused(server: DoorServer) -> None:
    async with door_client(server.url) as client:
        await client.hello(server.token("ann"))
        for token, name in [
            (server.token("ben"), "token_scope"),
            (server.token("ann", "therapist"), "token_scope"),
            (server.token("ann", room="r"), "token_scope"),
            (server.token("ann", device="other"), "token_scope"),
            (server.token("ann", seconds=-60), "token_expired"),
        ]:
            assert (await client.request("token.refresh", token=token))["name"] == name
        assert (await client.request("time.get"))["op"] == "ok"


async def test_whoever_goes_on_far_beyond_its_rate_is_closed(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"requests_per_second": 1.0, "requests_burst": 20}
    async with door_server(tmp_path / "s.db", **limits) as server, door_client(server.url) as client:
        await client.hello(server.token("ann"))
        for number in range(60):
            await client.send({"op": "time.get", "id": number})
        assert await ending(client) == (4006, "rate_limited")
        replies = [frame for frame in client.seen if "id" in frame]
        assert [frame["op"] for frame in replies] == ["ok"] * 20 + ["error"] * 20
        assert replies[-1]["retry_after_ms"] > 0


async def test_a_drain_says_goodbye_spread_out_and_turns_others_away(server: DoorServer) -> None:
    async with (
        door_client(server.url) as ann,
        door_client(server.url) as ben,
        door_client(server.url) as nobody,
    ):
        await ann.hello(server.token("ann"))
        await ben.hello(server.token("ben"))
        draining = asyncio.create_task(server.hub.close_all(errors.DRAIN, 5.0))
        goodbyes = [await ann.op("goodbye"), await ben.op("goodbye")]
        assert {each["reason"] for each in goodbyes} == {"drain"}
        assert all(0 <= each["reconnect_after_ms"] <= 5000 for each in goodbyes)
        assert [await each.close_code() for each in (ann, ben, nobody)] == [4000] * 3
        await draining
        with pytest.raises(InvalidStatus) as caught:
            async with door_client(server.url):
                pass
        assert caught.value.response.status_code == 503


async def test_whoever_closes_or_is_cut_off_is_let_go(server: DoorServer) -> None:
    async with door_client(server.url) as polite:
        await polite.hello(server.token("ann"))
        await polite.socket.close(4999, "bye")
        assert polite.socket.close_code == 4999
    async with door_client(server.url) as rude:
        await rude.hello(server.token("ben"))
        rude.socket.transport.abort()
    await until(lambda: server.hub.stats().connections == 0)
    assert [caller.account for caller in server.sessions.closed] == ["ann", "ben"]
    assert await server.bus.online(["ann", "ben"]) == frozenset()


async def test_requests_under_way_end_before_the_connection_is_told_gone(server: DoorServer) -> None:
    server.media.hold = asyncio.Event()
    async with door_client(server.url) as client:
        await client.hello(server.token("ann"))
        await client.send({"op": "media.offer", "id": 1, "session": "r/1", "sdp": "v=0"})
        await client.request("time.get")
    assert server.sessions.closed == []
    server.media.hold.set()
    await until(lambda: server.sessions.closed)

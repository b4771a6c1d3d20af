"""A node as a whole: a session over HTTP, WebSocket and the clock; planned stops; starts that cannot be."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import os
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from config.settings import MediaSettings, ServerSettings, StoreSettings
from relay.rows import IdempotencyRecord
from relay.writes import PutIdempotency
from signaling.http.idempotency import KEPT_MS
from signaling.node import Node, StartError
from tests.signaling.door_client import DoorClient, Frame, door_client
from tests.signaling.nodes import back_end, running_node, settings, token


def connect_to(node: Node) -> str:
    return f"{node.url.replace('http', 'ws')}/v1/connect"


def change(name: str):  # type: ignore[no-untyped-def]
    """Matches the event of a session's change."""
    return lambda frame: frame["op"] == "event" and frame["body"].get("change") == name


def countdown(state: str):  # type: ignore[no-untyped-def]
    """Matches the signal of a session in a state."""
    return lambda frame: frame["op"] == "signal" and frame["body"].get("state") == state


async def test_a_session_is_held_and_ended_by_the_clock_to_both_sides(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("r")
        session = await api.session("r", session="s", length_seconds=2)
        async with door_client(connect_to(node)) as anna, door_client(connect_to(node)) as ben:
            await anna.hello(token("anna", "therapist"))
            await ben.hello(token("ben", "client"))
            assert (await anna.request("session.join", session="s"))["result"]["state"] == "open"
            assert (await ben.request("session.join", session="s"))["result"]["state"] == "live"
            assert (await ben.message("r", b"hello", session="s"))["op"] == "ok"
            for person in (anna, ben):
                await person.expect(countdown("live"))
                end: Frame = await person.expect(change("ended"))
                assert (end["body"]["reason"], end["body"]["due_ms"]) == (
                    "completed",
                    session["agreed_end_ms"],
                )
                assert end["at_ms"] >= end["body"]["due_ms"]
                await person.expect(countdown("ended"))
            assert (await ben.request("session.join", session="s"))["name"] == "session_over"
        shown = (await api.get("/v1/sessions/s")).json
        assert (shown["state"], shown["reason"]) == ("ended", "completed")
        assert shown["ended_ms"] == session["agreed_end_ms"]


async def test_joining_before_the_window_tells_when_it_opens(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("r")
        starts_ms = node.timebase.now_ms() + 3_600_000
        await api.session("r", session="s", starts_ms=starts_ms)
        async with door_client(connect_to(node)) as anna:
            await anna.hello(token("anna", "therapist"))
            refusal = await anna.request("session.join", session="s")
            assert (refusal["name"], refusal["temporary"]) == ("session_not_open", True)
            assert 0 < refusal["retry_after_ms"] <= 3_000_000


def present(*accounts: str) -> Callable[[Frame], bool]:
    """Whether a frame says that these are in the session."""
    return lambda frame: frame.get("body", {}).get("present") == list(accounts)


async def test_a_connection_that_drops_is_bridged_and_comes_back(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("r")
        await api.session("r", session="s")
        async with door_client(connect_to(node)) as anna:
            await anna.hello(token("anna", "therapist"))
            await anna.request("session.join", session="s")
            await anna.expect(present("anna"))
            async with door_client(connect_to(node)) as ben:
                await ben.hello(token("ben", "client"))
                await ben.request("session.join", session="s")
                await anna.expect(present("anna", "ben"))
                ben.socket.transport.abort()
            async with door_client(connect_to(node)) as ben:
                await ben.hello(token("ben", "client"))
                await ben.request("session.join", session="s")
                await anna.expect(present("anna", "ben"))
                assert not [frame for frame in anna.seen if present("anna")(frame)]
                await ben.request("session.leave", session="s")
                await anna.expect(present("anna"))


async def say_hello(node: Node, client: DoorClient) -> None:
    welcome = await client.hello(token("anna", "therapist"))
    assert welcome["op"] == "welcome"


async def test_a_planned_stop_says_goodbye_and_ends_no_session(tmp_path: Path) -> None:
    given = settings(tmp_path)
    async with running_node(given) as node, back_end(node) as api:
        await api.room("r")
        await api.session("r", session="s")
        async with door_client(connect_to(node)) as anna:
            await say_hello(node, anna)
            await anna.request("session.join", session="s")
            stopping = asyncio.create_task(node.stop())
            goodbye = await anna.op("goodbye")
            assert goodbye["reason"] == "drain"
            assert 0 <= goodbye["reconnect_after_ms"] <= 4000
            assert await anna.close_code() == 4000
            await stopping
        pids = node.pool.pids()
    assert pids == ()
    async with running_node(given) as node, back_end(node) as api:
        shown = (await api.get("/v1/sessions/s")).json
        assert (shown["state"], shown["present"]) == ("open", ["anna"])


async def test_no_process_is_left_behind(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node:
        pids = node.pool.pids()
        assert len(pids) == 1
        os.kill(pids[0], 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


async def start_fails(given: Node) -> str:
    with pytest.raises(StartError) as failed:
        await given.start()
    assert given.pool.pids() == ()
    assert "\n" not in str(failed.value)
    return str(failed.value)


async def test_what_cannot_start_says_why_in_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node:
        other = tmp_path / "other"
        other.mkdir()
        port = int(node.url.rsplit(":", 1)[1])
        taken = dataclasses.replace(settings(other), server=ServerSettings(host="127.0.0.1", port=port))
        assert "Address already in use" in await start_fails(Node(taken))
        assert "another process" in await start_fails(Node(settings(tmp_path)))
        media_port = node.pool.worker(0).port  # type: ignore[union-attr]
        busy = MediaSettings(workers=1, host="127.0.0.1", port=media_port)
        assert "media workers" in await start_fails(Node(dataclasses.replace(settings(other), media=busy)))
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"this is no database" * 100)
    store = StoreSettings(url=f"sqlite:///{garbage}")
    assert "cannot be used" in await start_fails(Node(dataclasses.replace(settings(tmp_path), store=store)))
    async with running_node(settings(other)):
        pass


async def test_a_failing_task_is_tried_again_and_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signaling.node.TASK_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("signaling.node.TICK_SECONDS", 0.0)
    called = 0
    again = asyncio.Event()

    async def tick() -> None:
        nonlocal called
        called += 1
        if called >= 3:
            again.set()
        raise RuntimeError("broken")

    node = Node(settings(tmp_path))
    monkeypatch.setattr(node.sessions, "tick", tick)
    await node.start()
    await again.wait()
    await node.stop()


async def test_serves_over_tls_with_a_certificate_and_says_what_is_wrong_with_another(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    given = settings(tmp_path)
    secure = dataclasses.replace(given.server, tls_certificate=str(certificate), tls_key=str(key))
    trusted = ssl.create_default_context(cafile=str(certificate))
    async with (
        running_node(dataclasses.replace(given, server=secure)) as node,
        aiohttp.ClientSession() as http,
        http.get(f"{node.url}/healthz", ssl=trusted) as response,
    ):
        assert node.url.startswith("https://")
        assert response.status == 200
    swapped = dataclasses.replace(given.server, tls_certificate=str(key), tls_key=str(certificate))
    assert "TLS" in await start_fails(Node(dataclasses.replace(given, server=swapped)))


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


async def test_answers_kept_for_repetition_are_forgotten_after_their_time(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node:
        now_ms = node.timebase.now_ms()
        for key, at_ms in (("old", now_ms - KEPT_MS - 1), ("new", now_ms - KEPT_MS + 60_000)):
            await node.store.commit(PutIdempotency(IdempotencyRecord(key, b"", b"", at_ms)))
        await node.forget()
        assert await node.store.idempotency("old") is None
        assert await node.store.idempotency("new") is not None

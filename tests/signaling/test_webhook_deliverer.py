"""Deliveries over real HTTP, to receivers that behave and to receivers that do not."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config.settings import WebhookSettings
from relay.errors import StoreFull
from relay.sqlite import SqliteStore
from relay.webhooks import DelayDelivery, Delivery, EndDelivery, PutDelivery
from relay.writes import Write
from signaling.timebase import Timebase
from signaling.webhooks import deliverer as deliverer_module
from signaling.webhooks.deliverer import Deliverer
from signaling.webhooks.notices import MemberData, Notice
from signaling.webhooks.posting import Post
from signaling.webhooks.schedule import Accepted, Pace, Result
from signaling.webhooks.service import Webhooks
from tests.signaling.waiting import PATIENCE_SECONDS, until
from tests.signaling.webhook_kit import (
    OLD_SECRET,
    SECRET,
    Received,
    raw_receiver,
    receiver,
    self_signed,
)

TIMEBASE = Timebase()


def to(secret: str = SECRET, *, request_seconds: float = 30.0, **urls: str) -> WebhookSettings:
    """Settings for these endpoints: what fails is soon tried again, and a slow machine is no failure."""
    return WebhookSettings(
        endpoints=urls,
        secrets=dict.fromkeys(urls, secret),
        parallel=2,
        connect_seconds=request_seconds,
        request_seconds=request_seconds,
        retry_seconds=0.05,
        retry_max_seconds=0.2,
    )


class Kit:
    """The webhooks of one node on a store of its own."""

    def __init__(self, store: Any, settings: WebhookSettings, timebase: Timebase = TIMEBASE) -> None:
        self.store = store
        self.attempts: list[tuple[str, str]] = []
        self.webhooks = Webhooks(
            settings, store, timebase, lambda endpoint, outcome: self.attempts.append((endpoint, outcome))
        )

    async def tell(self, *rooms: str) -> list[PutDelivery]:
        """Have something told of each of these rooms."""
        notices = [
            Notice("room.member_added", TIMEBASE.now_ms(), room, MemberData(f"a{number}", "client"))
            for number, room in enumerate(rooms)
        ]
        puts = self.webhooks.deliveries(notices)
        await self.store.commit(*puts)
        self.webhooks.committed(puts)
        return list(puts)

    async def all_in(self, state: Any, count: int) -> tuple[Delivery, ...]:
        """The deliveries in a state, once there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found: tuple[Delivery, ...] = await self.store.deliveries(state, limit=99)
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.005)


@asynccontextmanager
async def delivering(
    store: Any, settings: WebhookSettings, timebase: Timebase = TIMEBASE
) -> AsyncIterator[Kit]:
    kit = Kit(store, settings, timebase)
    await kit.webhooks.start()
    tasks = [asyncio.ensure_future(work()) for work in kit.webhooks.tasks().values()]
    try:
        yield kit
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    yield store
    await store.close()


# --- Receivers that behave


async def test_a_delivery_arrives_signed_and_is_made_once(store: SqliteStore) -> None:
    async with receiver() as there, delivering(store, to(f"{SECRET} {OLD_SECRET}", there=there.url)) as kit:
        (put,) = await kit.tell("r")
        (delivered,) = await kit.all_in("delivered", 1)
        (got,) = there.received
    assert (delivered.id, delivered.attempts, delivered.failure) == (put.id, 1, "")
    assert (got.id, got.body) == (put.id, put.body)
    assert got.json["id"] == put.id
    assert got.json["data"] == {"account": "a0", "role": "client"}
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["User-Agent"].startswith("Rapport/")
    assert got.signed_by(SECRET)
    assert got.signed_by(OLD_SECRET)
    assert not got.signed_by("z" * 32)
    assert kit.attempts == [("there", "delivered")]


async def test_a_room_is_told_in_order_through_failures(store: SqliteStore) -> None:
    failing = {2, 3, 7, 11}

    async def respond(got: Received) -> web.Response:
        return web.Response(status=503 if len(there.received) in failing else 204)

    async with receiver(respond) as there, delivering(store, to(there=there.url)) as kit:
        puts = await kit.tell(*["r"] * 8)
        await kit.all_in("delivered", 8)
        ids = [got.id for got in there.received]
    assert list(dict.fromkeys(ids)) == [put.id for put in puts]
    assert len(ids) == 8 + len(failing)
    # What was attempted again was attempted under the same id with the same body, and nothing in between.
    assert [one for at, one in enumerate(ids) if at and ids[at - 1] == one] == [
        ids[number] for number in sorted(failing)
    ]


async def test_every_attempt_is_signed_anew(store: SqliteStore) -> None:
    async def respond(got: Received) -> web.Response:
        return web.Response(status=200 if len(there.received) > 1 else 500)

    async with receiver(respond) as there, delivering(store, to(there=there.url)) as kit:
        await kit.tell("r")
        await kit.all_in("delivered", 1)
    first, second = there.received
    assert first.id == second.id
    assert first.body == second.body
    assert all(got.signed_by(SECRET) for got in there.received)


async def test_only_so_many_requests_at_the_same_time(store: SqliteStore) -> None:
    busy = most = 0

    async def respond(_: Received) -> web.Response:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.005)
        busy -= 1
        return web.Response()

    async with receiver(respond) as there, delivering(store, to(there=there.url)) as kit:
        await kit.tell(*[f"r{number}" for number in range(30)])
        await kit.all_in("delivered", 30)
    assert most == 2


async def test_connections_are_kept(store: SqliteStore) -> None:
    peers: set[Any] = set()

    async def respond(got: Received) -> web.Response:
        return web.Response(text="thanks")

    async with receiver(respond) as there, delivering(store, to(there=there.url)) as kit:
        original = there.handle

        async def handle(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))
            return await original(request)

        there.handle = handle  # type: ignore[method-assign]  # looked up anew for every request
        await kit.tell(*["r"] * 10)
        await kit.all_in("delivered", 10)
    assert len(peers) <= 1


# --- Receivers that do not


async def test_410_ends_deliveries_at_once(store: SqliteStore) -> None:
    async def respond(_: Received) -> web.Response:
        return web.Response(status=410)

    async with receiver(respond) as there, delivering(store, to(there=there.url)) as kit:
        await kit.tell("r", "r", "q")
        dead = await kit.all_in("dead", 3)
    assert {(one.failure, one.attempts) for one in dead} == {("status_410", 1)}
    assert kit.attempts == [("there", "dead")] * 3


async def test_after_long_enough_a_delivery_is_given_up(store: SqliteStore) -> None:
    async def respond(_: Received) -> web.Response:
        return web.Response(status=500)

    later_ns = 0
    timebase = Timebase(monotonic_ns=lambda: time.monotonic_ns() + later_ns)
    async with receiver(respond) as there, delivering(store, to(there=there.url), timebase) as kit:
        await kit.tell("r", "r")
        await until(lambda: len(kit.attempts) > 2)
        assert await store.deliveries("dead", limit=9) == ()
        later_ns = 86_400 * 10**9
        first, second = await kit.all_in("dead", 2)
    assert first.failure == second.failure == "status_500"
    assert first.attempts > 2
    assert second.attempts == 1, "it has waited as long by then"


async def test_redirects_are_not_followed(store: SqliteStore) -> None:
    async with receiver() as elsewhere:

        async def respond(_: Received) -> web.Response:
            return web.Response(status=307, headers={"Location": elsewhere.url})

        async with receiver(respond) as there, delivering(store, to(there=there.url)) as kit:
            await kit.tell("r")
            await there.until(3)
            (waiting,) = await kit.all_in("waiting", 1)
    assert waiting.failure == "status_307"
    assert elsewhere.received == []


async def test_retry_after_is_heeded(store: SqliteStore) -> None:
    async def respond(_: Received) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    async with receiver(respond) as there:
        settings = dataclasses.replace(to(there=there.url), retry_max_seconds=600.0)
        async with delivering(store, settings) as kit:
            await kit.tell("r")
            await until(lambda: kit.attempts)
            (waiting,) = await kit.all_in("waiting", 1)
    assert waiting.due_ms is not None
    assert waiting.due_ms - TIMEBASE.now_ms() > 500_000
    assert len(there.received) == 1


@pytest.mark.parametrize("header", ["", "soon", "-1", "9" * 30, "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "²"])
async def test_other_pauses_asked_for_do_no_harm(store: SqliteStore, header: str) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: " + header.encode() + b"\r\n\r\n")

    async with raw_receiver(talk) as url, delivering(store, to(there=url)) as kit:
        await kit.tell("r")
        await until(lambda: len(kit.attempts) >= 2)
        assert ("there", "delivered") not in kit.attempts


async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(range(256)) * 64)


async def headers_without_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 4000 + b"\r\n")
        await writer.drain()


async def provisional_without_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
        await writer.drain()


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.Event().wait()


async def hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


BAD: Mapping[str, tuple[Any, set[str]]] = {
    "garbage": (garbage, {"not_http"}),
    "headers_without_end": (headers_without_end, {"not_http", "disconnected"}),
    "provisional_without_end": (provisional_without_end, {"timeout", "not_http"}),
    "silence": (silence, {"timeout"}),
    "hangs_up": (hangs_up, {"disconnected"}),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_receiver_gets_it_again_and_disturbs_nobody(store: SqliteStore, name: str) -> None:
    talk, failures = BAD[name]
    seconds = 1.5 if "timeout" in failures else 30.0
    async with (
        raw_receiver(talk) as bad,
        receiver() as good,
        delivering(store, to(bad=bad, good=good.url, request_seconds=seconds)) as kit,
    ):
        rooms = [f"r{number}" for number in range(10)]
        await kit.tell(*rooms)
        await good.until(10)
        await until(lambda: ("bad", "failed") in kit.attempts)
        failed = [one.failure for one in await kit.all_in("waiting", 10) if one.failure]
    assert ("bad", "delivered") not in kit.attempts
    assert failed
    assert set(failed) <= failures


async def test_nobody_at_the_port(store: SqliteStore) -> None:
    async with receiver() as gone:
        url = gone.url
    async with delivering(store, to(there=url)) as kit:
        await kit.tell("r")
        await until(lambda: len(kit.attempts) > 2)
        (waiting,) = await kit.all_in("waiting", 1)
    assert waiting.failure == "connect"


async def test_no_such_host(store: SqliteStore) -> None:
    async with delivering(store, to(there="https://host.invalid/hook")) as kit:
        await kit.tell("r")
        await until(lambda: kit.attempts)
        (waiting,) = await kit.all_in("waiting", 1)
    assert waiting.failure == "dns"


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(store: SqliteStore) -> None:
    connections = 0

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with raw_receiver(talk) as url, delivering(store, to(there=url)) as kit:
        for expected in range(1, 4):
            await kit.tell("r")
            await kit.all_in("delivered", expected)
    assert connections == 3
    assert kit.attempts == [("there", "delivered")] * 3


@pytest.mark.parametrize("trusted", [True, False])
async def test_certificates_are_checked(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    certificate, key = self_signed(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with receiver(tls=context) as there, delivering(store, to(there=there.url)) as kit:
        await kit.tell("r")
        await until(lambda: kit.attempts)
        states = await store.deliveries("waiting", limit=9), await store.deliveries("delivered", limit=9)
    waiting, delivered = states
    if trusted:
        assert [len(delivered), len(there.received)] == [1, 1]
    else:
        assert [one.failure for one in waiting] == ["tls"]
        assert there.received == []


async def test_tls_that_is_none(store: SqliteStore) -> None:
    async with receiver() as there, delivering(store, to(there=there.url.replace("http:", "https:"))) as kit:
        await kit.tell("r")
        await until(lambda: kit.attempts)
        (waiting,) = await kit.all_in("waiting", 1)
    assert waiting.failure in {"tls", "connect", "disconnected"}


async def test_of_a_body_without_end_only_the_status_counts(store: SqliteStore) -> None:
    sent = 0

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(64 * 1024))
            await writer.drain()
            sent += 64 * 1024

    async with raw_receiver(talk) as url, delivering(store, to(there=url)) as kit:
        await kit.tell("r", "r", "r")
        await kit.all_in("delivered", 3)
    assert kit.attempts == [("there", "delivered")] * 3
    assert sent < 64 << 20


async def test_a_body_that_drips_does_not_hold_it_up(store: SqliteStore) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with raw_receiver(talk) as url, delivering(store, to(there=url)) as kit:
        await kit.tell("r")
        await kit.all_in("delivered", 1)
    assert kit.attempts == [("there", "delivered")]


async def test_a_compressed_bomb_is_not_unpacked(store: SqliteStore) -> None:
    bomb = zlib.compress(bytes(64 << 20))

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: {len(bomb)}\r\n\r\n"
        writer.write(head.encode() + bomb)
        await writer.drain()

    async with raw_receiver(talk) as url, delivering(store, to(there=url)) as kit:
        await kit.tell("r")
        await kit.all_in("delivered", 1)
    assert kit.attempts == [("there", "delivered")]


# --- Down, and back


async def test_down_and_back_in_order(store: SqliteStore) -> None:
    down = True

    async def respond(_: Received) -> web.Response:
        return web.Response(status=502 if down else 200)

    async with receiver(respond) as there:
        settings = dataclasses.replace(to(there=there.url), retry_max_seconds=0.2)
        async with delivering(store, settings) as kit:
            puts = await kit.tell(*[room for _ in range(5) for room in ("p", "q", "r", "s")])
            await until(lambda: len(kit.attempts) > 12)
            down = False
            accepted_from = len(there.received)
            await kit.all_in("delivered", 20)
            accepted = there.received[accepted_from:]
    for room in "pqrs":
        arrived = dict.fromkeys(got.id for got in accepted if got.json["room"] == room)
        assert list(arrived) == [put.id for put in puts if put.lane == room]


async def test_what_was_not_settled_is_delivered_after_a_restart(store: SqliteStore) -> None:
    stuck = asyncio.Event()

    async def never(_: Received) -> web.Response:
        stuck.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with receiver(never) as there:
        async with delivering(store, to(there=there.url)) as kit:
            puts = await kit.tell("r", "r", "q")
            await stuck.wait()
        before = {got.id for got in there.received}

        async def accept(_: Received) -> web.Response:
            return web.Response()

        there.respond = accept
        there.received.clear()
        async with delivering(store, to(there=there.url)) as kit:
            await kit.all_in("delivered", 3)
        assert [got.id for got in there.received if got.json["room"] == "r"] == [put.id for put in puts[:2]]
        assert before <= {got.id for got in there.received}


async def test_after_a_restart_nothing_waits_for_its_pause(store: SqliteStore) -> None:
    hour_ms = 3_600_000
    async with receiver() as there:
        await store.commit(
            # The first was put before the clock was set back, the second is in a long pause.
            PutDelivery("a", "there", "r", "session.ended", b"{}", TIMEBASE.now_ms() + hour_ms),
            PutDelivery("b", "there", "q", "session.ended", b"{}", TIMEBASE.now_ms()),
            DelayDelivery("b", 1, TIMEBASE.now_ms() + hour_ms, "timeout"),
        )
        async with delivering(store, to(there=there.url)) as kit:
            delivered = await kit.all_in("delivered", 2)
    assert {one.id: one.attempts for one in delivered} == {"a": 1, "b": 2}


async def test_a_full_disk_delays_the_note_and_repeats_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer_module, "STORE_PAUSE_SECONDS", 0.01)
    refused = 0

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def commit(self, *writes: Write) -> Any:
            nonlocal refused
            if refused < 5 and isinstance(writes[0], EndDelivery):
                refused += 1
                raise StoreFull
            return await store.commit(*writes)

    async with receiver() as there, delivering(Full(), to(there=there.url)) as kit:
        await kit.tell("r")
        await kit.all_in("delivered", 1)
    assert refused == 5
    assert len(there.received) == 1


async def test_what_nobody_has_announced_is_found(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer_module, "LONGEST_SLEEP_SECONDS", 0.01)
    async with receiver() as there, delivering(store, to(there=there.url)) as kit:
        await store.commit(PutDelivery("a", "there", "r", "session.ended", b"{}", TIMEBASE.now_ms()))
        await kit.all_in("delivered", 1)


async def test_what_waits_for_an_endpoint_that_is_gone_is_given_up(store: SqliteStore) -> None:
    async with receiver() as there:
        kit = Kit(store, to(there=there.url, other=there.url))
        await kit.tell("r")
        async with delivering(store, to(there=there.url)) as kit:
            await kit.all_in("delivered", 1)
            (dead,) = await kit.all_in("dead", 1)
    assert (dead.endpoint, dead.failure, dead.attempts) == ("other", "endpoint_removed", 0)
    assert len(there.received) == 1


async def test_an_unexpected_failure_of_an_attempt_is_one_more_failure(store: SqliteStore) -> None:
    calls = 0

    @asynccontextmanager
    async def connect() -> AsyncIterator[Post]:
        async def post(_: Delivery, __: int) -> Result:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise RuntimeError("secret words")
            return Accepted()

        yield post

    outcomes: list[str] = []
    pace = Pace(first_ms=10, most_ms=10, give_up_ms=60_000)
    deliverer = Deliverer("e", connect, store, TIMEBASE, pace, 1, lambda _, outcome: outcomes.append(outcome))
    await store.commit(PutDelivery("a", "e", "r", "session.ended", b"{}", TIMEBASE.now_ms()))
    task = asyncio.create_task(deliverer.run())
    await until(lambda: len(outcomes) == 2)
    task.cancel()
    await asyncio.wait([task])
    assert outcomes == ["failed", "delivered"]

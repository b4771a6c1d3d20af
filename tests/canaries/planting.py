"""Words to plant and to look for, and a server in a process of its own to plant them in."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from loadtest.key_frames import frame_of
from protocol.e2ee import asking
from signaling.http.api import ENDPOINTS
from tests.faults.processes import KEY, SECRET, Server
from tests.signaling.door_client import MSGPACK, DoorClient, Frame, door_client
from tests.signaling.keys_kit import Phone
from tests.signaling.nodes import Answer, BackEnd
from tests.signaling.webhook_kit import Receiver, receiver

SCOPES = "rooms sessions accounts webhooks audit holds usage ratings break_glass export erase"
WEBHOOK_SECRET = f"canary-webhook-secret-{secrets.token_hex(16)}"
TURN_SECRET = f"canary-turn-secret-{secrets.token_hex(16)}"
METRICS_TOKEN = f"canary-metrics-token-{secrets.token_hex(16)}"

NAMES = (
    "ident-room",
    "ident-session",
    "ident-anna",
    "ident-ben",
    "ident-ines",
    "ident-kim",
    "ident-lea",
    "ident-device",
)
"""Ids: audit entries and deliveries have them, and logs and metrics do not."""


class Canaries:
    """Words that are planted, each once, so that one that is found tells where it came from."""

    def __init__(self) -> None:
        self.planted: list[str] = [WEBHOOK_SECRET, TURN_SECRET, METRICS_TOKEN, SECRET]

    def __call__(self, what: str) -> str:
        """A new word, made of letters, digits and hyphens."""
        word = f"canary-{what}-{secrets.token_hex(6)}"
        self.planted.append(word)
        return word

    def add(self, word: str) -> str:
        """A word that the server made."""
        self.planted.append(word)
        return word

    def found_in(self, where: bytes, *, but: Iterable[str] = ()) -> list[str]:
        """Those that stand there, in whatever way bytes are usually written."""
        allowed = tuple(f"canary-{what}-" for what in but)
        text = where.lower()
        return [
            word
            for word in self.planted
            if not word.startswith(allowed) and any(form in where or form in text for form in _forms(word))
        ]


def _forms(word: str) -> Iterable[bytes]:
    """A word as it is, in hexadecimal, and in base64 behind no, one and two bytes."""
    plain = word.encode()
    yield plain.lower()
    yield plain.hex().encode()
    for before in range(3):
        coded = base64.b64encode(bytes(before) + plain)
        # What depends on the bytes around is cut off.
        yield coded[(0, 2, 3)[before] : len(coded) - 4]


def names_in(where: bytes) -> list[str]:
    """The ids that stand there."""
    return [name for name in NAMES if name.encode() in where]


def bearer(account: str, role: str, *, scope: str = SCOPES, **claims: Any) -> str:
    """A token with claims that the server does not know, too."""
    given = {"iss": KEY, "sub": account, "role": role, "exp": time.time() + 600, "scope": scope}
    return jwt.encode(given | claims, SECRET, algorithm="HS256")


class Planted(Server):
    """A server that says all it can, and what it has said."""

    flags = ()

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        self.said = b""

    async def start(self) -> None:
        """Start, and read what it says from the beginning: a pipe that is full would stop it."""
        await super().start()
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._reading = [
            asyncio.create_task(stream.read()) for stream in (self.process.stdout, self.process.stderr)
        ]

    async def stop(self) -> None:
        """Stop; everything it has said is known afterwards."""
        await super().stop()
        self.said = b"".join(await asyncio.gather(*self._reading))


class World:
    """A server, its receiver of webhooks, its back end, its people, and every error that anybody was told."""

    def __init__(self, server: Planted, there: Receiver, http: aiohttp.ClientSession, word: Canaries) -> None:
        self.server = server
        self.there = there
        self.http = http
        self.word = word
        self.api = BackEnd(http, server.url, bearer("backend", "operator", name=word("claim")))
        self.errors: list[bytes] = []
        self.asked: set[str] = set()
        self._stack = AsyncExitStack()

    async def close(self) -> None:
        """Hang up."""
        await self._stack.aclose()

    async def call(self, name: str, body: Any = None, *, query: str = "", **path: str) -> Any:
        """A request of the back end that succeeds, to the operation of that name; its answer."""
        (endpoint,) = [one for one in ENDPOINTS if one.name == name]
        address = endpoint.path.format(**path) + query
        answer = await self.api.ask(endpoint.method, address, body)
        assert answer.status < 300, (name, answer.text)
        self.asked.add(name)
        return answer.json if "application/json" in answer.headers.get("Content-Type", "") else answer.text

    async def refused(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request that may be refused."""
        answer = await self.api.ask(method, path, body, **headers)
        self.note(answer)
        return answer

    def note(self, answer: Answer) -> None:
        """Keep what a refusal says."""
        if answer.status >= 400:
            self.errors.append(answer.text.encode() + repr(dict(answer.headers)).encode())

    async def person(self, account: str, role: str, subprotocol: str = MSGPACK) -> Person:
        """Someone connected."""
        url = f"{self.server.connect}?canary={self.word('query')}"
        headers = {"User-Agent": self.word("agent"), "X-Forwarded-For": self.word("forwarded")}
        client = await self._stack.enter_async_context(
            door_client(url, subprotocol, additional_headers=headers)
        )
        welcome = await client.hello(
            bearer(account, role, name=self.word("claim")), f"ident-device-{subprotocol}"
        )
        assert welcome["op"] == "welcome", welcome
        return Person(self, client)


class Person:
    """A connection. ``ok`` is for what succeeds, ``no`` for what is refused."""

    def __init__(self, world: World, client: DoorClient) -> None:
        self.world = world
        self.client = client

    async def ok(self, op: str, **fields: Any) -> Any:
        """A request that succeeds."""
        reply = await self.client.request(op, **fields)
        assert reply["op"] == "ok", (op, reply)
        self.world.asked.add(op)
        return reply.get("result")

    async def no(self, op: str, **fields: Any) -> Frame:
        """A request that is refused."""
        reply = await self.client.request(op, **fields)
        assert reply["op"] == "error", (op, reply)
        self.world.errors.append(repr(reply).encode())
        return reply

    async def event(self, kind: str, **fields: Any) -> Frame:
        """The next event of a kind that says this."""
        return await self.client.expect(
            lambda frame: (
                frame["op"] == "event"
                and frame["body"]["kind"] == kind
                and all(frame["body"].get(name) == value for name, value in fields.items())
            )
        )

    async def say(self, text: str, **more: Any) -> int:
        """A message; its offset."""
        sent = await self.ok("message.send", room="ident-room", mid=self.mid(), data=text.encode(), **more)
        return int(sent["offset"])

    def mid(self) -> Any:
        """An id for something that is sent."""
        return uuid.uuid4().bytes


class Sealing:
    """The world as the place that phones connect to; what they ask for counts as asked."""

    def __init__(self, world: World) -> None:
        self.url = world.server.connect
        self.asked = world.asked

    def token(self, account: str) -> str:
        """A token of an account."""
        return bearer(account, "client")


class CanaryPhone(Phone):
    """A device whose contents the server cannot read."""

    async def ask(self, request: asking.Request) -> list[asking.Outcome]:
        """Send one request; what its answer means to the app."""
        outcomes = await super().ask(request)
        assert isinstance(self.server, Sealing)
        self.server.asked.add(frame_of(request)["op"])
        return outcomes


@asynccontextmanager
async def planted(folder: Path, word: Canaries, **more: str) -> AsyncIterator[World]:
    """A world on a server of its own, logging all it can, with these settings more."""
    async with receiver() as there, aiohttp.ClientSession() as http:
        server = Planted(
            folder,
            LOG_LEVEL="debug",
            LIMITS_HELLO_SECONDS="300",  # however slow the machine is
            LIMITS_PING_SECONDS="600",
            LIMITS_REQUESTS_BURST="10000",
            LIMITS_ACCOUNT_REQUESTS_BURST="10000",
            MEDIA_HOST="127.0.0.1",
            MEDIA_PORT="0",
            WEBHOOKS_ENDPOINTS=f"there={there.url},nobody=http://127.0.0.1:9/{word('endpoint')}",
            WEBHOOKS_SECRETS=f"there={WEBHOOK_SECRET},nobody={WEBHOOK_SECRET}",
            WEBHOOKS_UNDELIVERED_SECONDS="0.1",
            PUSH_AFTER_SECONDS="0.1",
            WEBHOOKS_RETRY_SECONDS="0.1",
            TURN_URLS="turn:127.0.0.1:9",
            TURN_SECRET=TURN_SECRET,
            REPLIES_TEXT=word("reply"),
            BLOBS_KEEP_FREE_BYTES="0",
            METRICS_TOKEN=METRICS_TOKEN,
            **more,
        )
        await server.start()
        world = World(server, there, http, word)
        try:
            yield world
        finally:
            await world.close()
            await server.stop()


async def seal(world: World) -> None:
    """Devices with keys of their own, what they seal, and what is kept for them."""
    word, place = world.word, Sealing(world)
    people = [{"account": account, "role": "client"} for account in ("ident-kim", "ident-lea")]
    await world.call("createRoom", {"room": "ident-sealed", "members": people})
    kim, lea = (
        CanaryPhone.first(place, "ident-kim", "ident-device-k"),
        CanaryPhone.first(place, "ident-lea", "ident-device-l"),
    )
    async with kim.connected(), lea.connected():
        for phone in (kim, lea):
            await phone.take("ident-sealed", (await world.call("getRoom", room="ident-sealed"))["head"])
        said = word("sealed")
        await kim.say("ident-sealed", said)
        for phone in (kim, lea):
            await phone.take("ident-sealed", (await world.call("getRoom", room="ident-sealed"))["head"])
        assert kim.read == lea.read == [said]
        # While it runs, there is a write-ahead log, too.
        files = [path for path in world.server.folder.glob("rapport.db*") if path.is_file()]
        there = b"".join(path.read_bytes() for path in files)
        assert "rapport.db-wal" in {path.name for path in files}
        assert b"ident-sealed" in there
        assert said not in word.found_in(there)
        app, tablet = Person(world, lea.client), CanaryPhone.further(place, "ident-lea", "ident-device-t")
        async with tablet.connected():
            lea.device.approve("ident-device-t", tablet.device.key, 1)
            await lea.settle()
            lea.device.revoke("ident-device-t", 2)
            await lea.settle()
        async with CanaryPhone.further(place, "ident-lea", "ident-device-u").connected():
            for op in ("keys.inventory", "device.list", "keys.list.get", "vault.get"):
                await app.ok(op)
        await app.ok("device.dismiss", device="ident-device-u")
        await app.ok("device.rename", device="ident-device-l", sealed_name=word("device").encode())
        await app.ok("vault.put", blob=word("vault").encode(), revision=0)
    await world.call("listDevices", account="ident-lea")
    await world.call("resetKeys", {}, account="ident-lea")


async def raw(url: str, data: bytes) -> bytes:
    """What comes back for bytes that need not be HTTP, and after which the server closes."""
    host, port = re.fullmatch(r"http://([^:/]+):(\d+)", url).groups()  # type: ignore[union-attr]  # our own
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        return await reader.read()
    finally:
        writer.close()

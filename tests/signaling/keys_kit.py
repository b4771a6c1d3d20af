"""An app with keys, over a real connection: what a :class:`protocol.e2ee.device.Device` asks for and is told.

The device is the project's own; what carries it is the independent client of `door_client`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec

from loadtest.key_frames import event_of, frame_of, ids_of, inventory_of, lists_of, prekeys_of
from protocol.e2ee import asking, epochs
from protocol.e2ee.asking import Opened, Outcome, Refusal, Request
from protocol.e2ee.circle import read
from protocol.e2ee.contents import Text
from protocol.e2ee.device import Device, Tuning
from protocol.e2ee.devices import SignedList
from protocol.e2ee.epochs import EpochKeys
from protocol.e2ee.structures import pack
from tests.signaling.door_client import DoorClient, Frame, door_client

FEW = Tuning(prekeys=4)


def plain(value: Any) -> Any:
    """Structures as the arrays that they travel as."""
    return msgspec.msgpack.decode(pack(value))


class Place(Protocol):
    """A server that phones connect to."""

    @property
    def url(self) -> str:
        """Where it takes connections."""

    def token(self, account: str) -> str:
        """A token of an account."""


class Phone:
    """One device of an account and its connection."""

    def __init__(self, server: Place, account: str, name: str, device: Device) -> None:
        self.server = server
        self.account, self.name = account, name
        self.device = device
        self.read: list[str] = []
        """The texts it has opened, in their order."""
        self.told: list[Outcome] = []
        """All else that its app was told."""
        self.client: DoorClient

    @classmethod
    def first(cls, server: Place, account: str, name: str) -> Phone:
        """The first device of an account."""
        return cls(server, account, name, Device.first(account, name, now_ms(), secrets.token_bytes, FEW))

    @classmethod
    def further(cls, server: Place, account: str, name: str) -> Phone:
        """Another device of an account."""
        return cls(server, account, name, Device.further(account, name, secrets.token_bytes, FEW))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Phone]:
        """Connect, and ask for all that is due."""
        async with door_client(self.server.url) as self.client:
            welcome = await self.client.hello(self.server.token(self.account), self.name)
            assert welcome["op"] == "welcome", welcome
            await self.take_welcome(welcome)
            await self.settle()
            yield self

    async def take_welcome(self, welcome: Frame) -> None:
        self.note(self.device.welcome(inventory_of(welcome["keys"]), now_ms()))
        own = await self.client.request("keys.list.get")
        for signed in own["result"].get("lists", ()):
            self.note(self.device.own_list(SignedList(*signed)))

    async def settle(self) -> None:
        """Ask for what is due until nothing is."""
        while due := self.device.requests():
            self.note(await self.ask(due[0]))

    async def say(self, room: str, text: str) -> None:
        """Write a message, and have it stored."""
        self.device.send(room, Text(text), now_ms())
        await self.settle()

    async def take(self, room: str, through: int) -> None:
        """Take in the events of a room up to an offset."""
        while self.device.cursor(room).offset < through:
            frame = await self.client.expect(lambda frame: frame["op"] == "event" and frame["room"] == room)
            self.note(self.device.event(event_of(frame), now_ms()))
        await self.client.request("time.get")  # what comes with the last of them is here
        heads = [frame for frame in self.client.seen if frame["op"] == "caught_up" and frame["room"] == room]
        for frame in heads:
            self.note(self.device.caught_up(room, frame["epoch"], now_ms()))
        await self.settle()

    def note(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Opened(content=Text(text)):
                    self.read.append(text)
                case _:
                    self.told.append(outcome)

    async def ask(self, request: Request) -> list[Outcome]:
        """Send one request; what its answer means to the app."""
        device, at_ms, reply = self.device, now_ms(), await self.client.request(**frame_of(request))
        result = reply.get("result") or {}
        match request:
            case asking.SendKeys(room, mid) | asking.SendMessage(room, mid):
                if reply["op"] == "error":
                    return device.refused(room, mid, refusal_of(room, reply), at_ms)
                device.stored(room, mid, epochs.Place(result["epoch"], result["offset"]), at_ms)
                return []
        assert reply["op"] == "ok", reply
        match request:
            case asking.RequestListing():
                device.listing_requested()
            case asking.PutPrekeys():
                device.prekeys_stored(ids_of(request))
            case asking.PutList(signed):
                device.list_stored(read(signed).number)
            case asking.GetLists(room):
                return device.lists(lists_of(room, result), at_ms)
            case asking.Claim(claim, room):
                return device.claimed(room, claim, prekeys_of(result), at_ms)
            case asking.Recall(room, after):
                events = tuple([event_of({"room": room, **event}) for event in result["events"]])
                page = asking.Page(result["epoch"], result["lowest"], events)
                return device.recalled(room, after, page)
        return []


def of_epoch(keys: EpochKeys) -> dict[str, Any]:
    """The fields that an epoch has in requests and events."""
    return {"header": keys.header, "signature": keys.signature, "slots": [plain(slot) for slot in keys.slots]}


def refusal_of(room: str, reply: Frame) -> Refusal:
    """Why something was not stored."""
    lists = lists_of(room, reply["mismatch"]) if "mismatch" in reply else None
    return Refusal(reply["name"], lists, again=reply["name"] == "epoch_unknown")


def now_ms() -> int:
    return time.time_ns() // 1_000_000

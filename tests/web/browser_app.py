"""An app around the browser's device: like that of Python's tests, on the same small server, beside it.

It follows :class:`tests.protocol.e2ee.app.App` method by method; what goes over is translated to the values
of `web/static/e2ee/device.js`.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from protocol.e2ee.asking import (
    Claim,
    Event,
    GetLists,
    Lists,
    MessageData,
    Page,
    PutList,
    PutPrekeys,
    Recall,
    Refusal,
    Request,
    RequestListing,
    SendKeys,
    SendMessage,
)
from protocol.e2ee.circle import read
from protocol.e2ee.devices import SignedList
from protocol.e2ee.epochs import EpochKeys, Place, Slot
from protocol.e2ee.prekeys import Prekey, SignedPrekey
from protocol.e2ee.structures import unpack
from tests.protocol.e2ee.app import START_MS
from tests.protocol.e2ee.server import Conflict, Reply, Server, Stored
from tests.web.runtimes import Held, Refused, Runtime

PREKEYS = 4
_numbers = count()


class BrowserApp:
    """One device in a page or in Node, what it has shown, and its one connection."""

    def __init__(self, runtime: Runtime, server: Server, account: str, name: str, now_ms: int) -> None:
        self._runtime = runtime
        self._name = f"app{next(_numbers)}"
        self.store = Held(f"{self._name}store")
        self.server = server
        self.who = (account, name)
        self.now_ms = now_ms
        self.shown: list[tuple[bytes, str]] = []
        self.told: list[dict[str, Any]] = []
        self.key = b""

    @classmethod
    async def first(cls, runtime: Runtime, server: Server, account: str, name: str) -> BrowserApp:
        app = cls(runtime, server, account, name, START_MS)
        await app._begin("device.Device.first", account, name, START_MS)
        return app

    @classmethod
    async def further(cls, runtime: Runtime, server: Server, account: str, name: str) -> BrowserApp:
        app = cls(runtime, server, account, name, START_MS)
        await app._begin("device.Device.further", account, name)
        return app

    async def _begin(self, path: str, *args: Any) -> None:
        await self._runtime.call("keystoreOf", self._name, hold=self.store.name)
        options = {"store": self.store, "kem": Held("kem"), "prekeys": PREKEYS}
        await self._runtime.call(path, *args, options, hold=f"{self._name}begun")
        await self.crash()
        self.key = await self._runtime.call("shown", Held(f"{self._name}.key"))

    async def crash(self) -> None:
        """Start again from what was saved."""
        await self._runtime.call("restored", self.store, PREKEYS, hold=self._name)

    async def step(self, method: str, *args: Any) -> None:
        """Call a method of the device and take in its outcomes."""
        for outcome in await self._runtime.call(f"held.{self._name}.{method}", *args):
            content = outcome.get("content")
            if outcome["what"] == "opened" and content["type"] == "text":
                self.shown.append((outcome["mid"], content["text"]))
            elif outcome["what"] != "unlisted":
                self.told.append(outcome)

    async def send(self, room: str, text: str, mid: bytes | None = None) -> bytes:
        content = {"type": "text", "text": text}
        options = {} if mid is None else {"mid": mid}
        mid = await self._runtime.call(f"held.{self._name}.send", room, content, self.now_ms, options)
        assert isinstance(mid, bytes)
        return mid

    async def step_error(self, method: str, *args: Any) -> str | None:
        """The kind of error that a method of the device throws."""
        try:
            await self.step(method, *args)
        except Refused as refused:
            return refused.kind
        return None

    async def suspects(self) -> Any:
        return await self._runtime.call("shown", Held(f"{self._name}.suspects"))

    async def is_listed(self) -> bool:
        listed = await self._runtime.call("shown", Held(f"{self._name}.isListed"))
        assert isinstance(listed, bool)
        return listed

    async def exported(self, room: str, speaker: tuple[str, str], label: str, context: bytes) -> Any:
        return await self._runtime.call(f"held.{self._name}.exported", room, speaker, label, context, 32)

    # --- Its connection -------------------------------------------------------------------------------

    async def connect(self) -> None:
        told = self.server.inventory(self.who)
        inventory = {
            "generation": told.generation,
            "digest": told.digest,
            "count": told.count,
            "lowest": told.lowest,
            "highest": told.highest,
            "lastResort": told.last_resort,
            "list": told.list,
            "first": told.first,
        }
        await self.step("welcome", inventory, self.now_ms)
        if lists := self.server.memory.lists.get(self.who[0]):
            await self.step("ownList", list_in_js(lists[-1]))
        for room in set(self.server.memory.rooms) - set(self.rooms()):
            await self.step("removed", room)
        for room in self.rooms():
            life, cursor = self.server.memory.rooms[room].life, await self.cursor(room)
            if cursor["log"] not in (0, life):
                await self.step("reset", room, life, 1)

    def rooms(self) -> list[str]:
        return [name for name, log in self.server.memory.rooms.items() if self.who[0] in log.members]

    async def cursor(self, room: str) -> Any:
        return await self._runtime.call(f"held.{self._name}.cursor", room)

    async def read(self, room: str) -> bool:
        """Take in the next events of a room; whether there were any."""
        log = self.server.memory.rooms[room]
        new = log.events[(await self.cursor(room))["offset"] :]
        for event in new:
            await self.take(event)
        await self.step("caughtUp", room, log.life, self.now_ms)
        return bool(new)

    async def take(self, event: Event) -> None:
        await self.step("event", event_in_js(event), self.now_ms)

    async def recalled(self, room: str, after: int, page: Page) -> None:
        events = [event_in_js(event) for event in page.events]
        told = {"log": page.log, "lowest": page.lowest, "events": events}
        await self.step("recalled", room, after, told)

    async def requests(self) -> list[dict[str, Any]]:
        due: list[dict[str, Any]] = await self._runtime.call(f"held.{self._name}.requests")
        return due

    async def ask(self, *, lose: bool = False) -> bool:
        """Send the first request that is due; its reply may get lost. Whether there was one."""
        due = await self.requests()
        if not due:
            return False
        request = in_python(due[0])
        reply = self.server.serve(self.who, request)
        if not lose:
            await self.answer(request, reply)
        return True

    async def answer(self, request: Request, reply: Reply) -> None:
        match request, reply:
            case RequestListing(), _:
                await self.step("listingRequested")
            case PutPrekeys(one_time, last_resort), _:
                given = [*one_time, *([last_resort] if last_resort else [])]
                await self.step("prekeysStored", [unpack(Prekey, each.body).id for each in given])
            case PutList(), Conflict(current):
                if current:
                    await self.step("ownList", list_in_js(current))
            case PutList(signed), _:
                await self.step("listStored", read(signed).number)
            case GetLists(room), Lists() as lists:
                await self.step("lists", room, lists_in_js(lists), self.now_ms)
            case Claim(claim, room), tuple() as given:
                prekeys = [[*who, {"body": each.body, "signature": each.signature}] for who, each in given]
                await self.step("claimed", room, claim, prekeys, self.now_ms)
            case Recall(room, after), Page() as page:
                await self.recalled(room, after, page)
            case ((SendKeys(room, mid) | SendMessage(room, mid)), Stored(place)):
                await self.step("stored", room, mid, place_in_js(place), self.now_ms)
            case ((SendKeys(room, mid) | SendMessage(room, mid)), Refusal() as refusal):
                lists_too = lists_in_js(refusal.lists) if refusal.lists else None
                refused = {"error": refusal.error, "again": refusal.again, "lists": lists_too}
                await self.step("refused", room, mid, refused, self.now_ms)
            case _:
                raise AssertionError(f"{type(reply).__name__} is no reply to {type(request).__name__}")

    async def kind_of(self, event: Event) -> str | None:
        """The kind of error that taking in an event throws."""
        try:
            await self.take(event)
        except Refused as refused:
            return refused.kind
        return None


# --- Values ---------------------------------------------------------------------------------------------


def place_in_js(place: Place) -> dict[str, int]:
    return {"log": place.log, "offset": place.offset}


def list_in_js(signed: SignedList) -> dict[str, bytes]:
    return {"accountKey": signed.account_key, "body": signed.body, "signature": signed.signature}


def event_in_js(event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {"room": event.room, "place": place_in_js(event.place)}
    told |= {"account": event.account, "device": event.device}
    match event.content:
        case EpochKeys() as keys:
            slots = [slot_in_js(slot) for slot in keys.slots]
            told["keys"] = {"header": keys.header, "signature": keys.signature, "slots": slots}
        case MessageData(mid, data, session):
            told["message"] = {"mid": mid, "data": data, "session": session}
        case None:
            pass
    return told


def lists_in_js(lists: Lists) -> dict[str, Any]:
    return {
        "members": list(lists.members),
        "lists": [[account, list_in_js(signed)] for account, signed in lists.lists],
        "barred": list(lists.barred),
    }


def slot_in_js(slot: Slot) -> dict[str, Any]:
    return {
        "account": slot.account,
        "device": slot.device,
        "prekey": slot.prekey,
        "enc": slot.encapsulated,
        "sealed": slot.sealed,
    }


def in_python(request: dict[str, Any]) -> Request:
    """A request of the browser's device as the server of the tests takes it."""
    match request["ask"]:
        case "listing":
            return RequestListing(request["key"])
        case "prekeys":
            last = request["lastResort"]
            one_time = tuple(SignedPrekey(**each) for each in request["oneTime"])
            return PutPrekeys(one_time, SignedPrekey(**last) if last else None)
        case "list":
            return PutList(SignedList(*request["list"].values()))
        case "lists":
            return GetLists(request["room"])
        case "claim":
            devices = tuple((account, device) for account, device in request["devices"])
            return Claim(request["claim"], request["room"], devices)
        case "keys":
            keys = request["keys"]
            slots = tuple(Slot(*each.values()) for each in keys["slots"])
            packed = EpochKeys(keys["header"], keys["signature"], slots)
            return SendKeys(request["room"], request["mid"], packed)
        case "message":
            lists = tuple(sorted(request["lists"].items()))
            more = request["session"], request["urgent"], lists
            return SendMessage(request["room"], request["mid"], request["data"], *more)
        case "recall":
            return Recall(request["room"], request["after"])
        case other:
            raise AssertionError(f"no request is called {other}")

"""An app around a device: it saves before it sends, and what it saved survives a crash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import count

from protocol.e2ee.asking import (
    Address,
    Claim,
    Event,
    GetLists,
    Inventory,
    Lists,
    Lost,
    Opened,
    Outcome,
    Page,
    PutList,
    PutPrekeys,
    Recall,
    Refusal,
    Request,
    RequestListing,
    SendKeys,
    SendMessage,
    Unlisted,
)
from protocol.e2ee.circle import read
from protocol.e2ee.contents import Text
from protocol.e2ee.device import Device, Tuning
from protocol.e2ee.errors import OutOfOrder
from protocol.e2ee.prekeys import Prekey
from protocol.e2ee.structures import unpack
from tests.protocol.e2ee.server import Conflict, Log, Reply, Server, Stored

ROOM = "r"
FEW = Tuning(prekeys=4)
START_MS = 1_800_000_000_000


def chance(name: str) -> Callable[[int], bytes]:
    """Randomness that is the same in every run."""
    counter = count()
    return lambda length: hashlib.shake_256(f"{name} {next(counter)}".encode()).digest(length)


class App:
    """One device, what it has shown, and its one connection."""

    def __init__(self, server: Server, device: Device, account: str, name: str, now_ms: int) -> None:
        self.server = server
        self.who: Address = (account, name)
        self.device = device
        self.now_ms = now_ms
        self.draw = chance(f"{account} {name} {now_ms}")
        self.written: dict[bytes, str] = {}
        """What it wrote itself, by id: an app keeps this, so that it can send again what was lost."""
        self.shown: list[tuple[bytes, str]] = []
        self.told: list[Outcome] = []
        self.alive = True
        self.listed = False
        self.saved = device.to_bytes()

    @classmethod
    def first(cls, server: Server, account: str, name: str, now_ms: int = START_MS) -> App:
        draw = chance(f"{account} {name}")
        return cls(server, Device.first(account, name, now_ms, draw, FEW), account, name, now_ms)

    @classmethod
    def further(cls, server: Server, account: str, name: str, now_ms: int = START_MS) -> App:
        draw = chance(f"{account} {name}")
        return cls(server, Device.further(account, name, draw, FEW), account, name, now_ms)

    # --- Its store ------------------------------------------------------------------------------------

    def save(self, outcomes: list[Outcome] | None = None) -> None:
        """State and outcomes in one transaction, then what the outcomes ask for."""
        self.saved = self.device.to_bytes()
        for outcome in outcomes or ():
            match outcome:
                case Opened(mid=mid, content=Text(text)):
                    self.shown.append((mid, text))
                case Lost(room, mid):
                    self.send(room, self.written[mid], mid)
                case Unlisted():
                    self.alive = not self.listed
                case _:
                    self.told.append(outcome)

    def crash(self) -> None:
        """Start again from what was saved."""
        self.device = Device.restored(self.saved, self.draw, FEW)
        self.connect()

    def send(self, room: str, text: str, mid: bytes | None = None) -> bytes:
        mid = self.device.send(room, Text(text), self.now_ms, mid=mid)
        self.written[mid] = text
        self.save()
        return mid

    # --- Its connection -------------------------------------------------------------------------------

    def inventory(self) -> Inventory:
        return self.server.inventory(self.who)

    def connect(self) -> None:
        self.listed = self.listed or self.server.listed(self.who)
        self.save(self.device.welcome(self.inventory(), self.now_ms))
        if lists := self.server.memory.lists.get(self.who[0]):
            self.save(self.device.own_list(lists[-1]))
        for room in set(self.server.memory.rooms) - set(self.rooms()):
            self.device.removed(room)
        for room in self.rooms():
            life, cursor = self.server.memory.rooms[room].life, self.device.cursor(room)
            if cursor.log not in (0, life):
                self.device.reset(room, life, 1)
                self.save()

    def rooms(self) -> list[str]:
        return [name for name, log in self.server.memory.rooms.items() if self.who[0] in log.members]

    def serves(self) -> bool:
        """Whether the server lets it in: with its account's list, or while it asks to be in it."""
        self.listed = self.listed or self.server.listed(self.who)
        return self.alive and (self.server.listed(self.who) or not self.listed)

    def read(self, room: str, limit: int = 1 << 30) -> None:
        """Take in the next events of a room."""
        log = self.server.memory.rooms[room]
        for event in log.events[self.device.cursor(room).offset :][:limit]:
            self.take(event)
        if self.device.cursor(room).offset == len(log.events):
            self.save(self.device.caught_up(room, log.life, self.now_ms))

    def take(self, event: Event) -> None:
        try:
            self.save(self.device.event(event, self.now_ms))
        except OutOfOrder:
            self.connect()

    def ask(self, *, lose: bool = False) -> bool:
        """Send the first request that is due; its reply may get lost. Whether there was one."""
        due = self.device.requests()
        if not due:
            return False
        reply = self.server.serve(self.who, due[0])
        if not lose:
            self.save(self.answer(due[0], reply))
        return True

    def answer(self, request: Request, reply: Reply) -> list[Outcome]:
        device, now_ms = self.device, self.now_ms
        match request, reply:
            case RequestListing(), _:
                device.listing_requested()
            case PutPrekeys(one_time, last_resort), _:
                given = [*one_time, *([last_resort] if last_resort else [])]
                device.prekeys_stored(unpack(Prekey, each.body).id for each in given)
            case PutList(), Conflict(current):
                return device.own_list(current) if current else []
            case PutList(signed), _:
                device.list_stored(read(signed).number)
            case GetLists(), Lists() as lists:
                return device.lists(lists, now_ms)
            case Claim(claim, room), tuple() as given:
                return device.claimed(room, claim, given, now_ms)
            case Recall(room, after), Page() as page:
                return device.recalled(room, after, page)
            case ((SendKeys(room, mid) | SendMessage(room, mid)), Stored(place)):
                device.stored(room, mid, place, now_ms)
            case ((SendKeys(room, mid) | SendMessage(room, mid)), Refusal() as refusal):
                return device.refused(room, mid, refusal, now_ms)
            case _:
                raise AssertionError(f"{type(reply).__name__} is no reply to {type(request).__name__}")
        return []


def meet() -> tuple[Server, App, App]:
    """Ada and Ben, each with one device, in the room :data:`ROOM`."""
    server = Server()
    ada, ben = App.first(server, "ada", "a1"), App.first(server, "ben", "b1")
    settle([ada, ben])
    server.memory.rooms[ROOM] = Log(members={"ada", "ben"})
    settle([ada, ben])
    return server, ada, ben


def let_in(holder: App, account: str, name: str) -> App:
    """Another device of an account, approved by one that holds its key."""
    added = App.further(holder.server, account, name, holder.now_ms)
    settle([added])
    holder.device.approve(name, added.device.key, holder.now_ms)
    holder.save()
    settle([holder, added])
    return added


def settle(apps: list[App], rounds: int = 50) -> None:
    """Let everyone who is let in connect, read and send until nothing changes."""
    for _ in range(rounds):
        before = [app.saved for app in apps]
        for app in apps:
            if app.serves():
                app.connect()
                while app.serves() and app.ask():
                    pass
                for room in app.rooms() if app.serves() and app.server.listed(app.who) else ():
                    app.read(room)
        if before == [app.saved for app in apps] and not any(
            a.serves() and a.device.requests() for a in apps
        ):
            return
    raise AssertionError("it does not come to rest")

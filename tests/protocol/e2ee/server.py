"""A small honest server, as far as keys and sealed messages go: what tests connect devices to.

It follows the rules that docs/encryption.md gives the server, keeps everything in memory, and can be set back
to a backup. Lying is left to the tests.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from protocol.e2ee import epochs, messages
from protocol.e2ee.asking import (
    Address,
    Claim,
    Event,
    GetLists,
    Inventory,
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
from protocol.e2ee.devices import DeviceList, SignedList, verify_list
from protocol.e2ee.epochs import ARCHIVE, EpochKeys, Place
from protocol.e2ee.prekeys import Prekey, SignedPrekey, inventory_digest
from protocol.e2ee.structures import unpack

PAGE = 3
"""How many events a page of a log has at most."""


@dataclass
class Shelf:
    """The prekeys of one device."""

    one_time: dict[int, SignedPrekey] = field(default_factory=dict)
    highest: int = 0
    last_resort: SignedPrekey | None = None


@dataclass
class Log:
    """A room."""

    life: int = 1
    members: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    offsets: dict[tuple[str, str, bytes], int] = field(default_factory=dict)
    epochs: set[tuple[str, str, bytes]] = field(default_factory=set)


@dataclass
class Memory:
    """What is in the store, and so in a backup of it."""

    lists: dict[str, list[SignedList]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    """The number of the last list of an account before its keys were reset."""
    pending: dict[Address, bytes] = field(default_factory=dict)
    shelves: dict[Address, Shelf] = field(default_factory=dict)
    claims: dict[bytes, tuple[tuple[Address, SignedPrekey], ...]] = field(default_factory=dict)
    rooms: dict[str, Log] = field(default_factory=dict)
    generation: int = 1


@dataclass(frozen=True)
class Stored:
    """Reply: it is in the log."""

    place: Place


@dataclass(frozen=True)
class Conflict:
    """Reply: another list is current."""

    list: SignedList | None


Reply = Stored | Conflict | Refusal | Lists | Page | tuple[tuple[Address, SignedPrekey], ...] | None


class Server:
    """Answers one request at a time."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.readers: dict[bytes, list[set[Address]]] = {}
        """For each time that a message was stored, whose it was to read: known to the test alone."""
        self.archived: dict[bytes, list[set[str]]] = {}
        """For each of these times, the accounts whose archives it went to as well."""
        self.lives = 1
        self.generations = 1

    def backup(self) -> Memory:
        return copy.deepcopy(self.memory)

    def restore(self, memory: Memory) -> None:
        """Go back to a backup: logs and stocks begin new lives, one-time prekeys are handed out no more."""
        self.memory = copy.deepcopy(memory)
        self.lives += 1
        self.generations += 1
        self.memory.generation = self.generations
        for log in self.memory.rooms.values():
            log.life = self.lives
            log.events = [
                Event(each.room, Place(log.life, each.place.offset), each.account, each.device, each.content)
                for each in log.events
            ]
        for shelf in self.memory.shelves.values():
            shelf.one_time, shelf.highest = {}, 0

    def reset(self, account: str) -> None:
        """Forget the keys of an account, but for the number of its list."""
        memory = self.memory
        memory.ended[account] = self._number(account)
        memory.lists.pop(account, None)
        memory.shelves = {who: shelf for who, shelf in memory.shelves.items() if who[0] != account}

    def _number(self, account: str) -> int:
        return self.memory.ended.get(account, 0) + len(self.memory.lists.get(account, []))

    # --- What a connection is told --------------------------------------------------------------------

    def current(self, account: str) -> DeviceList | None:
        lists = self.memory.lists.get(account)
        return verify_list(lists[-1], account) if lists else None

    def listed(self, who: Address) -> bool:
        devices = self.current(who[0])
        return devices is not None and devices.key_of(who[1]) is not None

    def inventory(self, who: Address) -> Inventory:
        shelf = self.memory.shelves.get(who, Shelf())
        publics = [(number, _prekey(signed).public) for number, signed in shelf.one_time.items()]
        return Inventory(
            self.memory.generation,
            inventory_digest(publics),
            len(publics),
            min(shelf.one_time, default=None),
            shelf.highest,
            _prekey(shelf.last_resort).id if shelf.last_resort else None,
            self._number(who[0]) if self.memory.lists.get(who[0]) else 0,
            self.memory.ended.get(who[0], 0) + 1,
        )

    def lists(self, room: str) -> Lists:
        members = tuple(sorted(self.memory.rooms[room].members))
        lists = tuple((each, self.memory.lists[each][-1]) for each in members if each in self.memory.lists)
        return Lists(room, members, lists)

    # --- Requests -------------------------------------------------------------------------------------

    def serve(self, who: Address, request: Request) -> Reply:
        match request:
            case RequestListing(key):
                self.memory.pending[who] = key
                return None
            case PutPrekeys():
                self._shelve(who, request)
                return None
            case PutList(signed):
                return self._put_list(who[0], signed)
            case GetLists(room):
                return self.lists(room)
            case Claim():
                return self._claim(request)
            case SendKeys():
                return self._keys(who, request)
            case SendMessage():
                return self._message(who, request)
            case Recall(room, after):
                log = self.memory.rooms[room]
                return Page(log.life, 1, tuple(log.events[after:][:PAGE]))

    def _shelve(self, who: Address, request: PutPrekeys) -> None:
        shelf = self.memory.shelves.setdefault(who, Shelf())
        for signed in request.one_time:
            prekey = _prekey(signed)
            if prekey.generation == self.memory.generation and prekey.id > shelf.highest:
                shelf.one_time[prekey.id] = signed
                shelf.highest = prekey.id
        shelf.last_resort = request.last_resort or shelf.last_resort

    def _put_list(self, account: str, signed: SignedList) -> Reply:
        lists = self.memory.lists.setdefault(account, [])
        if lists and lists[-1] == signed:
            return None
        shown = verify_list(signed, account)
        if shown.number != self._number(account) + 1 or (lists and shown.previous != lists[-1].digest):
            return Conflict(lists[-1] if lists else None)
        lists.append(signed)
        return None

    def _claim(self, request: Claim) -> Reply:
        if request.claim not in self.memory.claims:
            taken = []
            for address in request.devices:
                shelf = self.memory.shelves.get(address, Shelf())
                if shelf.one_time:
                    taken.append((address, shelf.one_time.pop(min(shelf.one_time))))
                elif shelf.last_resort:
                    taken.append((address, shelf.last_resort))
            self.memory.claims[request.claim] = tuple(taken)
        return self.memory.claims[request.claim]

    def _keys(self, who: Address, request: SendKeys) -> Reply:
        log = self.memory.rooms[request.room]
        if (known := self._before(log, who, request.mid)) is not None:
            return known
        header = epochs.read_header(request.keys.header)
        named = {name.account: (name.number, name.digest) for name in header.lists}
        slots = {(slot.account, slot.device) for slot in request.keys.slots if slot.device != ARCHIVE}
        if named != self._named(log) or slots != self._audience(log) - {who}:
            return Refusal("device_mismatch", self.lists(request.room))
        log.epochs.add((*who, header.epoch))
        return self._append(request.room, who, request.mid, request.keys)

    def _message(self, who: Address, request: SendMessage) -> Reply:
        log = self.memory.rooms[request.room]
        if (known := self._before(log, who, request.mid)) is not None:
            return known
        numbers = {account: number for account, (number, _) in self._named(log).items()}
        if dict(request.lists) != numbers:
            return Refusal("device_mismatch", self.lists(request.room))
        _, header = messages.read(request.data)
        if (*who, header.epoch) not in log.epochs:
            return Refusal("unknown_epoch", again=True)
        self.readers.setdefault(request.mid, []).append(self._audience(log))
        self.archived.setdefault(request.mid, []).append(self._archivists(log))
        return self._append(
            request.room, who, request.mid, MessageData(request.mid, request.data, request.session)
        )

    def _before(self, log: Log, who: Address, mid: bytes) -> Stored | None:
        offset = log.offsets.get((*who, mid))
        return Stored(Place(log.life, offset)) if offset else None

    def _append(self, room: str, who: Address, mid: bytes, content: EpochKeys | MessageData) -> Stored:
        log = self.memory.rooms[room]
        place = Place(log.life, len(log.events) + 1)
        log.events.append(Event(room, place, *who, content))
        log.offsets[*who, mid] = place.offset
        return Stored(place)

    def _named(self, log: Log) -> dict[str, tuple[int, bytes]]:
        return {
            account: (self._number(account), lists[-1].digest)
            if (lists := self.memory.lists.get(account))
            else (0, bytes(32))
            for account in log.members
        }

    def _audience(self, log: Log) -> set[Address]:
        lists = ((account, self.current(account)) for account in log.members)
        return {(account, entry.device) for account, found in lists if found for entry in found.devices}

    def _archivists(self, log: Log) -> set[str]:
        lists = ((account, self.current(account)) for account in log.members)
        return {account for account, found in lists if found and found.archive}


def _prekey(signed: SignedPrekey) -> Prekey:
    return unpack(Prekey, signed.body)

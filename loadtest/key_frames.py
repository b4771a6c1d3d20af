"""What a device of :mod:`protocol.e2ee` asks for and is told, as this client's frames.

Structures of keys travel as arrays; they are read by the same code that verifies them, and what is no such
structure is a fault of the server. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from loadtest import wire
from loadtest.errors import Refused, ServerFault
from loadtest.wire import Map, check
from protocol.e2ee import asking
from protocol.e2ee.asking import Event, Inventory, Lists, MessageData, Refusal, Request
from protocol.e2ee.circle import read
from protocol.e2ee.devices import SignedList
from protocol.e2ee.epochs import EpochKeys, Place
from protocol.e2ee.errors import E2eeError
from protocol.e2ee.prekeys import Prekey, SignedPrekey
from protocol.e2ee.structures import pack, unpack

Value = TypeVar("Value")


def frame_of(request: Request) -> Map:
    """The frame that carries a request."""
    match request:
        case asking.RequestListing(key):
            return {"op": "device.request", "key": key}
        case asking.PutPrekeys(one_time, last_resort):
            return {
                "op": "keys.prekeys.put",
                "one_time": [_plain(one) for one in one_time],
                "last_resort": _plain(last_resort),
            }
        case asking.PutList(signed):
            return {"op": "keys.list.put", "list": _plain(signed)}
        case asking.GetLists(room):
            return {"op": "keys.list.get", "room": room}
        case asking.Claim(claim, room, devices):
            return {
                "op": "keys.claim",
                "claim": claim,
                "room": room,
                "devices": [list(one) for one in devices],
            }
        case asking.SendKeys(room, mid, keys):
            slots = [_plain(slot) for slot in keys.slots]
            sealed = {"header": keys.header, "signature": keys.signature, "slots": slots}
            return {"op": "keys.send", "room": room, "mid": mid, **sealed}
        case asking.SendMessage(room, mid, data, session, urgent, lists):
            frame = {"op": "message.send", "room": room, "mid": mid, "data": data, "urgent": urgent}
            return frame | {"lists": dict(lists)} | ({} if session is None else {"session": session})
        case asking.Recall(room, after):
            return {"op": "room.history", "room": room, "after": after}


def inventory_of(keys: Map) -> Inventory:
    """``keys`` of a welcome."""
    check(keys, {"generation": int, "digest": bytes}, "welcome.keys")
    return Inventory(
        keys["generation"],
        keys["digest"],
        keys.get("count", 0),
        keys.get("lowest"),
        keys.get("highest", 0),
        keys.get("last_resort"),
        keys.get("list", 0),
        keys.get("first", 1),
    )


def lists_of(room: str, told: Map) -> Lists:
    """The lists of a room in a result or in a ``mismatch``."""
    lists = [_structure(SignedList, signed) for signed in told.get("lists", ())]
    barred = tuple((account, device) for account, device in told.get("barred", ()))
    return Lists(
        room, tuple(told.get("members", ())), tuple((read(one).account, one) for one in lists), barred
    )


def prekeys_of(told: Map) -> tuple[tuple[asking.Address, SignedPrekey], ...]:
    """The prekeys in the result of a claim."""
    return tuple(
        ((one["account"], one["device"]), _structure(SignedPrekey, one["prekey"]))
        for one in told.get("prekeys", ())
    )


def ids_of(request: asking.PutPrekeys) -> Iterable[int]:
    """The ids of the prekeys in a request."""
    last = () if request.last_resort is None else (request.last_resort,)
    return [unpack(Prekey, one.body).id for one in (*request.one_time, *last)]


def number_of(signed: SignedList) -> int:
    """The number of a list of one's own."""
    return read(signed).number


def place_of(stored: Map) -> Place:
    """Where something was stored."""
    check(stored, {"epoch": int, "offset": int}, "place")
    return Place(stored["epoch"], stored["offset"])


def refusal_of(room: str, refused: Refused) -> Refusal:
    """Why something was not stored."""
    lists = None if refused.mismatch is None else lists_of(room, refused.mismatch)
    return Refusal(refused.name, lists, again=refused.name == "epoch_unknown")


def event_of(event: Map) -> Event:
    """An event of a room's log."""
    body = event["body"]
    content: EpochKeys | MessageData | None = None
    match body.get("kind"):
        case "keys":
            check(body, {"header": bytes, "signature": bytes, "slots": list}, "keys")
            content = _structure(EpochKeys, [body["header"], body["signature"], body["slots"]])
        case "message":
            check(body, {"mid": bytes, "data": bytes}, "message")
            content = MessageData(body["mid"], body["data"], body.get("session"))
    place = Place(event["epoch"], event["offset"])
    return Event(event["room"], place, event.get("sender", ""), event.get("device", ""), content)


def _plain(structure: Any) -> Any:
    """A structure as the array that it travels as."""
    return wire.plain(pack(structure))


def _structure(kind: type[Value], told: Any) -> Value:
    try:
        return unpack(kind, wire.pack(told))
    except E2eeError as error:
        raise ServerFault(f"no {kind.__name__}: {error.name}") from None

"""A server that lies to two devices of one person, one in Python, one in a browser: both find the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from protocol.e2ee import epochs, xwing
from protocol.e2ee.asking import Event, Page
from protocol.e2ee.epochs import Place
from protocol.e2ee.structures import pack
from tests.protocol.e2ee import test_attacks as attacks
from tests.protocol.e2ee.app import ROOM, App, let_in, meet
from tests.vectors.values import drawn
from tests.web.browser_app import BrowserApp
from tests.web.runtimes import Runtime
from tests.web.test_e2ee_devices import settle, texts

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

Log = list[Event]
Lie = Callable[[Log], Log]


def changed(change: Callable[[Event], Event]) -> Lie:
    """The first message is changed."""
    return lambda log: [log[0], change(log[1]), *log[2:]]


def with_slots(**changes: object) -> Lie:
    def lie(log: Log) -> Log:
        slots = tuple(replace(slot, **changes) for slot in attacks.epoch_keys(log[0]).slots)
        return [attacks.with_keys(log[0], slots=slots), *log[1:]]

    return lie


def with_another_header(log: Log) -> Log:
    header = pack(replace(epochs.read_header(attacks.epoch_keys(log[0]).header), created_ms=0))
    return [attacks.with_keys(log[0], header=header), *log[1:]]


# The log: keys, three messages, the keys of the next day, one message.
LIES: dict[str, Lie] = {
    "none": lambda log: log,
    "another id": changed(attacks.CHANGES["wrong_message_id"]),
    "another session": changed(attacks.CHANGES["wrong_session"]),
    "cut short": changed(attacks.CHANGES["truncated"]),
    "no message": changed(attacks.CHANGES["malformed"]),
    "another ciphertext": changed(attacks.CHANGES["forged_signature"]),
    "replays": lambda log: [*log[:2], log[1], log[2], log[1], log[0], *log[3:]],
    "some left out": lambda log: [log[0], *log[3:]],
    "swapped": lambda log: [log[0], log[2], log[1], *log[3:]],
    "the end of an epoch left out": lambda log: [*log[:2], *log[4:]],
    "the keys left out": lambda log: log[1:],
    "held back beyond the epoch": lambda log: [*log[:3], log[4], log[3], log[5]],
    "slots taken away": lambda log: [attacks.with_keys(log[0], slots=()), *log[1:]],
    "slots changed": with_slots(sealed=bytes(48)),
    "slots for prekeys that never were": with_slots(prekey=999),
    "another header": with_another_header,
}

AGAIN = [
    "another id",
    "another ciphertext",
    "replays",
    "some left out",
    "the end of an epoch left out",
    "held back beyond the epoch",
]
"""What can be found in a log that is read again. What was not told as it came is not looked for."""

ARCHIVE = drawn("archive")


async def deliver(app: BrowserApp, *events: Event) -> None:
    """As :func:`tests.protocol.e2ee.test_attacks.deliver` does it."""
    offset = (await app.cursor(ROOM))["offset"]
    for event in events:
        for between in range(offset + 1, event.place.offset):
            await app.take(Event(ROOM, Place(1, between)))
        offset = max(offset + 1, event.place.offset)
        await app.take(Event(ROOM, Place(1, offset), event.account, event.device, event.content))


def found(app: BrowserApp) -> list[str]:
    return [each.get("error", each["what"]) for each in app.told]


async def scene(ours: Runtime) -> tuple[App, App, BrowserApp, Log]:
    """Ada, Ben's two devices, which have read nothing yet, and what Ada has written to them."""
    server, ada, ben = meet()
    tablet = await BrowserApp.further(ours, server, "ben", "b2")
    await settle(tablet)
    ben.device.approve("b2", tablet.key, ben.now_ms)
    ben.save()
    await settle(ada, ben, tablet)
    attacks.written(ada, "one", "two", "three")
    attacks.next_day(ada)
    return ada, ben, tablet, attacks.written(ada, "four")


@pytest.mark.parametrize("lie", LIES)
async def test_both_find_the_same(ours: Runtime, lie: str) -> None:
    _, ben, tablet, log = await scene(ours)
    told = LIES[lie](log)
    attacks.deliver(ben, *told)
    await deliver(tablet, *told)
    assert (texts(tablet), found(tablet)) == (texts(ben), attacks.found(ben))
    assert (lie == "none") == (found(tablet) == [])


@pytest.mark.parametrize("lie", [*AGAIN, "none"])
async def test_both_find_the_same_when_they_read_again(ours: Runtime, lie: str) -> None:
    """The server has told the truth to them, until they unlock the archive and ask once more."""
    server, ada, ben = meet()
    ben.device.keep_archive(xwing.public_key(ARCHIVE), ben.now_ms)
    ben.save()
    await settle(ben)
    attacks.written(ada, "one", "two", "three")
    attacks.next_day(ada)
    log = attacks.written(ada, "four")
    phone = let_in(ben, "ben", "b2")
    tablet = await BrowserApp.further(ours, server, "ben", "b3")
    await settle(tablet)
    ben.device.approve("b3", tablet.key, ben.now_ms)
    ben.save()
    await settle(ben, phone, tablet)
    phone.told.clear()
    tablet.told.clear()
    phone.device.adopt(None, ARCHIVE)
    await tablet.step("adopt", {"accountSeed": None, "archiveSeed": ARCHIVE})
    told = enumerate(LIES[lie](log), 1)
    events = tuple(Event(ROOM, Place(1, at), each.account, each.device, each.content) for at, each in told)
    phone.save(phone.device.recalled(ROOM, 0, Page(1, 1, events)))
    await tablet.recalled(ROOM, 0, Page(1, 1, events))
    assert (texts(tablet), found(tablet)) == (texts(phone), attacks.found(phone))
    assert (lie == "none") == (found(tablet) == [])


async def test_a_device_that_was_put_out_is_not_heard_any_more(ours: Runtime) -> None:
    ada, ben, tablet, log = await scene(ours)
    await deliver(tablet, *log)
    attacks.deliver(ben, *log)
    phone = let_in(ada, "ada", "a2")
    late = attacks.written(phone, "from the phone")[-2:]
    del ada.server.memory.rooms[ROOM].events[-2:]
    ada.device.revoke("a2", ada.now_ms)
    ada.save()
    await settle(ada)
    after = attacks.written(ada, "the phone is gone")[len(log) :]
    for events in (after, late):
        attacks.deliver(ben, *events)
        await deliver(tablet, *events)
    assert (texts(tablet), found(tablet)) == (texts(ben), attacks.found(ben))
    assert texts(tablet)[-1] == "the phone is gone"
    assert "stale_list" in found(tablet)

"""Whole devices in the browser and in Node, talking with devices in Python over a small server."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TypeAlias

import pytest

from protocol.e2ee import xwing
from protocol.e2ee.asking import Archived, SetAside
from protocol.e2ee.device import Device
from protocol.e2ee.devices import MAX_DEVICES
from protocol.e2ee.epochs import ARCHIVE, EpochKeys, Place, find_slot, open_slot
from protocol.e2ee.kdf import digest
from tests.protocol.e2ee.app import FEW, START_MS, App, chance
from tests.protocol.e2ee.server import Log, Server
from tests.web.browser_app import BrowserApp
from tests.web.runtimes import Runtime

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

ROOM = "r"
Someone: TypeAlias = App | BrowserApp


async def settle(*apps: Someone) -> None:
    """Let everyone connect, read and send until a round changes nothing."""
    for _ in range(50):
        before = standing(apps)
        for app in apps:
            await turn(app)
        if standing(apps) == before:
            return
    raise AssertionError("it does not come to rest")


def standing(apps: tuple[Someone, ...]) -> tuple[object, ...]:
    """What changes when anyone does anything that matters."""
    memory = apps[0].server.memory
    shelves = [(len(shelf.one_time), shelf.highest, shelf.last_resort) for shelf in memory.shelves.values()]
    return (
        [len(log.events) for log in memory.rooms.values()],
        [len(lists) for lists in memory.lists.values()],
        [(len(app.shown), len(app.told)) for app in apps],
        [len(memory.claims), len(memory.pending)],
        shelves,
    )


async def turn(app: Someone) -> None:
    """Connect, ask for everything that is due, and read everything."""
    if isinstance(app, App):
        app.connect()
        while app.serves() and app.ask():
            pass
        for room in app.rooms() if app.server.listed(app.who) else ():
            app.read(room)
    else:
        await app.connect()
        while await app.ask():
            pass
        for room in app.rooms() if app.server.listed(app.who) else ():
            await app.read(room)


def texts(app: Someone) -> list[str]:
    return [text for _, text in app.shown]


def errors(app: BrowserApp) -> set[str]:
    return {each["error"] for each in app.told if each["what"] == "set_aside"}


async def couple(ours: Runtime) -> tuple[Server, BrowserApp, App]:
    """Ada in a browser and Ben in Python, in one room."""
    server = Server()
    ada = await BrowserApp.first(ours, server, "ada", "a1")
    ben = App.first(server, "ben", "b1")
    await settle(ada, ben)
    server.memory.rooms[ROOM] = Log(members={"ada", "ben"})
    await settle(ada, ben)
    return server, ada, ben


async def test_both_read_what_both_write(ours: Runtime) -> None:
    _, ada, ben = await couple(ours)
    for number in range(3):
        await ada.send(ROOM, f"from Ada {number}")
        ben.send(ROOM, f"from Ben {number}")
    await settle(ada, ben)
    expected = {f"from {who} {number}" for who in ("Ada", "Ben") for number in range(3)}
    assert texts(ada) == texts(ben)
    assert set(texts(ada)) == expected
    assert ada.told == []
    assert ben.told == []
    for speaker in (("ada", "a1"), ("ben", "b1")):
        key = ben.device.exported(ROOM, speaker, "media", b"session", 32)
        assert await ada.exported(ROOM, speaker, "media", b"session") == key


async def test_an_epoch_ends_after_a_hundred_messages_and_after_a_day(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)

    def opened() -> int:
        return sum(isinstance(event.content, EpochKeys) for event in server.memory.rooms[ROOM].events)

    for number in range(101):
        await ada.send(ROOM, str(number))
    await settle(ada, ben)
    assert texts(ben) == [str(number) for number in range(101)]
    assert opened() == 2
    ada.now_ms += 25 * 3600 * 1000
    await ada.send(ROOM, "the next day")
    await settle(ada, ben)
    assert texts(ben)[-1] == "the next day"
    assert opened() == 3


async def test_devices_are_let_in_and_put_out(ours: Runtime) -> None:
    _, ada, ben = await couple(ours)
    await ada.send(ROOM, "before")
    await settle(ada, ben)
    phone = App.further(ada.server, "ada", "a2")
    await settle(phone)
    await ada.step("approve", "a2", phone.device.key, ada.now_ms)
    await settle(ada, ben, phone)
    ben.send(ROOM, "to both")
    await settle(ada, ben, phone)
    assert texts(phone) == ["to both"]
    assert {each.error for each in phone.told if isinstance(each, SetAside)} == {"before_this_device"}
    await ada.step("revoke", "a2", ada.now_ms)
    await settle(ada, ben)
    ben.send(ROOM, "to one")
    await settle(ada, ben)
    assert texts(ada) == ["before", "to both", "to one"]


async def test_of_two_devices_that_begin_an_account_at_once_one_lets_the_other_in(ours: Runtime) -> None:
    server = Server()
    ben = App.first(server, "ben", "b1")
    one, other = [await BrowserApp.further(ours, server, "ada", name) for name in ("a1", "a2")]
    server.memory.rooms[ROOM] = Log(members={"ada", "ben"})
    for each in (one, other):
        await each.connect()
        await each.step("begin", each.now_ms)
    await settle(one, other, ben)
    assert await one.is_listed()
    assert not await other.is_listed()
    assert await other.step_error("approve", "a3", other.key, other.now_ms) == "unknown_list"
    await one.step("begin", one.now_ms)  # an account is not begun twice
    await one.step("approve", "a2", other.key, one.now_ms)
    await settle(one, other, ben)
    assert await other.is_listed()
    ben.send(ROOM, "to both")
    await settle(one, other, ben)
    assert texts(one) == texts(other) == ["to both"]


async def test_who_leaves_and_comes_back_goes_on(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)
    ben.send(ROOM, "one")
    await settle(ada, ben)
    server.memory.rooms[ROOM].members.discard("ada")
    await ada.send(ROOM, "written outside")
    await settle(ada, ben)
    ben.send(ROOM, "two")
    await settle(ada, ben)
    server.memory.rooms[ROOM].members.add("ada")
    ben.send(ROOM, "three")
    await settle(ada, ben)
    assert sorted(texts(ada)) == ["one", "three", "written outside"]
    assert errors(ada) == {"before_this_device"}


async def test_an_archive_of_the_organisation_is_seen_by_everyone(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)
    secret = bytes(32)
    archive = xwing.public_key(secret)
    await ada.step("organisation", ROOM, archive, ada.now_ms)
    await ada.send(ROOM, "for the record")
    await settle(ada, ben)
    assert [told.archive for told in ben.told if isinstance(told, Archived)] == [digest(archive)]
    assert ada.told == []
    keys = server.memory.rooms[ROOM].events[0].content
    assert isinstance(keys, EpochKeys)
    slot = find_slot(keys, ARCHIVE, ARCHIVE)
    assert slot is not None
    assert len(open_slot(keys.header, slot, secret)) == 32
    # The other way round, it is the browser that tells: Ben's app does not know of the archive.
    ben.send(ROOM, "off the record")
    await settle(ada, ben)
    assert [told["archive"] for told in ada.told if told["what"] == "archived"] == [None]
    assert (texts(ada), texts(ben)) == (["for the record", "off the record"],) * 2


async def test_a_browser_is_let_in_by_another_device(ours: Runtime) -> None:
    _, ada, ben = await couple(ours)
    ben.send(ROOM, "before")
    await settle(ada, ben)
    tablet = await BrowserApp.further(ours, ada.server, "ben", "b2")
    await settle(tablet)
    ben.device.approve("b2", tablet.key, ben.now_ms)
    await settle(ben, ada, tablet)
    await ada.send(ROOM, "to both of you")
    await tablet.send(ROOM, "from the tablet")
    await settle(ada, ben, tablet)
    assert sorted(texts(tablet)) == ["from the tablet", "to both of you"]
    assert errors(tablet) == {"before_this_device"}
    assert sorted(texts(ben)) == sorted(texts(ada)) == ["before", "from the tablet", "to both of you"]


async def test_after_a_crash_at_any_point_nothing_is_lost_or_doubled(ours: Runtime) -> None:
    _, ada, ben = await couple(ours)
    await ada.send(ROOM, "written")
    for lose in (True, False) * 4:  # each request once without its reply, then the same again
        await ada.crash()
        await ada.ask(lose=lose)
        await ada.crash()
    ben.send(ROOM, "answered")
    await settle(ada, ben)
    assert sorted(texts(ben)) == sorted(texts(ada)) == ["answered", "written"]
    assert ada.told == []
    assert ben.told == []


async def test_what_is_sent_again_is_the_same_bytes(ours: Runtime) -> None:
    _, ada, _ = await couple(ours)
    await ada.send(ROOM, "written")
    asked = []
    while due := await ada.requests():
        asked.append(due[0]["ask"])
        await ada.crash()
        assert await ada.requests() == due
        await ada.ask()
    assert asked == ["lists", "claim", "keys", "message"]


async def test_no_script_can_read_a_key_that_is_kept(chromium_modules: Runtime) -> None:
    _, ada, ben = await couple(chromium_modules)
    ben.send(ROOM, "hello")
    await ada.send(ROOM, "hello")
    await settle(ada, ben)
    kept = await chromium_modules.call("extractable", ada.store)
    # Its own and the account's keys, chains and exporters of two speakers and its epoch, halves of prekeys.
    assert len(kept) >= 2 + 4 + 1 + 2 * 4
    assert not any(kept)


async def test_what_is_written_twice_under_one_id_is_sent_once(ours: Runtime) -> None:
    _, ada, ben = await couple(ours)
    mid = await ada.send(ROOM, "once")
    await ada.send(ROOM, "once", mid)
    await settle(ada, ben)
    await ada.send(ROOM, "once", mid)
    await settle(ada, ben)
    assert texts(ben) == texts(ada) == ["once"]


async def test_after_a_restore_what_was_lost_is_told_and_the_rest_is_read_once(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)
    await ada.send(ROOM, "in the backup")
    await settle(ada, ben)
    backup = server.backup()
    lost = await ada.send(ROOM, "after it")
    await settle(ada, ben)
    server.restore(backup)
    await settle(ada, ben)
    assert [each["mid"] for each in ada.told if each["what"] == "lost"] == [lost]
    await ada.send(ROOM, "after it", lost)  # those who have read it are not shown it twice
    ben.send(ROOM, "and on")
    await settle(ada, ben)
    assert len(server.readers[lost]) == 2
    assert texts(ben) == ["in the backup", "after it", "and on"]
    assert texts(ada) == ["in the backup", "after it", "and on"]


async def test_the_archive_gives_a_new_device_the_history(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)
    seed = bytes(range(32))
    await ada.step("keepArchive", xwing.public_key(seed), ada.now_ms)
    ben.device.keep_archive(xwing.public_key(seed), ben.now_ms)
    await settle(ada, ben)
    await ada.send(ROOM, "from Ada")
    ben.send(ROOM, "from Ben")
    await settle(ada, ben)

    tablet = await BrowserApp.further(ours, server, "ada", "a2")
    await tablet.step("adopt", {"accountSeed": None, "archiveSeed": seed})
    phone = App.further(server, "ben", "b2")
    phone.device.adopt(None, seed)
    await settle(tablet, phone)
    await ada.step("approve", "a2", tablet.key, ada.now_ms)
    ben.device.approve("b2", phone.device.key, ben.now_ms)
    ben.save()
    await settle(ada, ben, tablet, phone)
    for app in (ada, ben, tablet, phone):
        assert sorted(texts(app)) == ["from Ada", "from Ben"]
    assert errors(tablet) == set()


async def test_a_device_that_opened_the_vault_lets_itself_and_others_in(ours: Runtime) -> None:
    """The one from which the vault comes may be gone."""
    server, ada, ben = await couple(ours)
    seed = bytes(range(32))
    first = await BrowserApp.further(ours, server, "cleo", "c1")
    await first.step("adopt", {"accountSeed": seed, "archiveSeed": None})
    await first.step("begin", first.now_ms)
    await settle(first)
    for name in ("c2", "c3"):
        app = await BrowserApp.further(ours, server, "cleo", name)
        await settle(app)
        assert await app.step_error("approve", name, app.key, app.now_ms) == "unknown_list"
        await app.step("adopt", {"accountSeed": seed, "archiveSeed": None})
        await app.step("approve", name, app.key, app.now_ms)
        await settle(app)
        assert await app.is_listed()
    devices = server.current("cleo")
    assert devices is not None
    assert [entry.device for entry in devices.devices] == ["c1", "c2", "c3"]
    del ada, ben


async def test_a_second_wish_waits_for_the_reply_to_the_first(ours: Runtime) -> None:
    """The first may have been stored: another list of its number would be a fork."""
    server, ada, ben = await couple(ours)
    tablet = await BrowserApp.further(ours, server, "ada", "a2")
    await settle(tablet)
    backup = server.backup()
    await ada.step("approve", "a2", tablet.key, ada.now_ms)
    await ada.ask(lose=True)
    stored = server.memory.lists["ada"][-1]
    await ada.step("keepArchive", xwing.public_key(bytes(32)), ada.now_ms)
    server.restore(backup)
    await settle(ada, ben)
    assert server.memory.lists["ada"][-2] == stored
    devices = server.current("ada")
    assert devices is not None
    assert (len(devices.devices), devices.archive is not None) == (2, True)
    await ada.step("revoke", "a2", ada.now_ms)
    await ada.step("listRefused")
    await ada.step("keepArchive", None, ada.now_ms)
    await settle(ada)
    devices = server.current("ada")
    assert devices is not None
    assert (len(devices.devices), devices.archive) == (2, None)
    for number in range(MAX_DEVICES - 2):
        await ada.step("approve", f"c{number}", bytes(32), ada.now_ms)
    assert await ada.step_error("approve", "one more", bytes(32), ada.now_ms) == "too_many_devices"


async def test_who_was_let_in_and_put_out_again_stays_out(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)
    phone = App.further(server, "ben", "b2")
    tablet = await BrowserApp.further(ours, server, "ben", "b3")
    await settle(phone, tablet)
    account_seed = ben.device._state.account_seed
    ben.device.approve("b3", tablet.key, ben.now_ms)
    ben.save()
    await settle(ben, tablet)
    await tablet.step("adopt", {"accountSeed": account_seed, "archiveSeed": None})
    await tablet.step("approve", "b2", phone.device.key, tablet.now_ms)
    await tablet.ask(lose=True)
    await settle(ben)
    ben.device.revoke("b2", ben.now_ms)
    ben.save()
    await settle(ben, tablet)
    devices = server.current("ben")
    assert devices is not None
    assert [entry.device for entry in devices.devices] == ["b1", "b3"]
    del ada


@pytest.mark.parametrize("seed", range(4))
async def test_in_any_history_each_device_reads_each_message_once(ours: Runtime, seed: int) -> None:
    """Crashes, lost replies and restores between two browsers and one Python; nothing of it is an attack."""
    chance_of = Random(seed)
    server, ada, ben = await couple(ours)
    cleo = await BrowserApp.first(ours, server, "cleo", "c1")
    await settle(cleo)
    server.memory.rooms[ROOM].members.add("cleo")
    apps: tuple[Someone, ...] = (ada, ben, cleo)
    await settle(*apps)
    written: dict[bytes, str] = {}
    backup = server.backup()
    for number in range(45):
        if number == 15:
            backup = server.backup()
        if number == 30:
            server.restore(backup)
            for each in apps:
                await crash(each)
        app = chance_of.choice(apps)
        match chance_of.choice(["send", "send", "ask", "ask", "ask", "lose", "crash", "read"]):
            case "send":
                text = f"{app.who[0]} {number}"
                sent = app.send(ROOM, text)
                written[sent if isinstance(sent, bytes) else await sent] = text
            case "ask":
                await ask(app)
            case "lose":
                await ask(app, lose=True)
            case "crash":
                await crash(app)
            case "read":
                await turn(app)
    await settle(*apps)
    for app in (ada, cleo):
        await send_what_was_lost(app, written)
    await settle(*apps)
    for app in apps:
        assert sorted(texts(app)) == sorted(written.values())
    assert errors(ada) == errors(cleo) == set()


async def send_what_was_lost(app: BrowserApp, written: dict[bytes, str]) -> None:
    for each in list(app.told):
        if each["what"] == "lost":
            await app.send(ROOM, written[each["mid"]], each["mid"])


async def ask(app: Someone, *, lose: bool = False) -> None:
    if isinstance(app, App):
        app.ask(lose=lose)
    else:
        await app.ask(lose=lose)


async def crash(app: Someone) -> None:
    if isinstance(app, App):
        app.crash()
    else:
        await app.crash()
        await app.connect()


async def test_a_server_that_lies_is_found_out(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)
    ben.send(ROOM, "one")
    await settle(ada, ben)
    log = server.memory.rooms[ROOM].events
    for again in log[-2:]:
        log.append(replace(again, place=Place(1, len(log) + 1)))
        await ada.read(ROOM)
    assert [each["error"] for each in ada.told] == ["replayed", "duplicate"]


async def test_an_event_that_does_not_follow_changes_nothing(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)
    ben.send(ROOM, "one")
    await settle(ben)
    keys, message = server.memory.rooms[ROOM].events
    assert await ada.kind_of(message) == "out_of_order"
    assert await ada.kind_of(keys) is None
    assert await ada.kind_of(message) is None
    assert await ada.kind_of(keys) is None, "a duplicate is passed over"
    assert texts(ada) == ["one"]


async def test_another_key_for_an_account_stops_sending_until_its_person_decides(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)
    await ada.send(ROOM, "to the Ben I know")
    await settle(ada, ben)
    anew = Device.first("ben", "b1", START_MS, chance("Ben begins anew"), FEW)
    other = App(server, anew, "ben", "b1", START_MS)
    server.memory.lists["ben"] = []
    server.memory.shelves.pop(("ben", "b1"))
    await settle(other)
    ada.now_ms += 25 * 3600 * 1000  # the next epoch is due
    await ada.send(ROOM, "to whom?")
    await turn(ada)  # what is claimed is not signed by the Ben she knows
    await turn(ada)  # so his list is looked at again
    told = [(each["what"], each["account"], each["error"]) for each in ada.told]
    assert told == [("suspicion", "ben", "forged_signature"), ("suspicion", "ben", "identity_changed")]
    key = server.memory.lists["ben"][-1].account_key
    await ada.step("trust", "ben", bytes(32))  # not the key that is shown now
    assert await ada.suspects() == [["ben", key]]
    assert texts(other) == []
    await ada.step("trust", "ben", key)
    assert await ada.suspects() == []
    await settle(ada, other)
    assert texts(other) == ["to whom?"]


async def test_a_prekey_that_its_device_did_not_sign_stops_sending(ours: Runtime) -> None:
    server, ada, _ = await couple(ours)
    mallory = App.first(server, "mallory", "b1")
    await settle(mallory)
    server.memory.shelves["ben", "b1"] = server.memory.shelves["mallory", "b1"]
    await ada.send(ROOM, "hello")
    while await ada.ask():
        pass
    assert [(each["what"], each["account"], each["error"]) for each in ada.told] == [
        ("suspicion", "ben", "forged_signature")
    ]
    assert server.memory.rooms[ROOM].events == []


async def test_an_account_whose_keys_were_reset_goes_on_counting_its_lists(ours: Runtime) -> None:
    server, _, ben = await couple(ours)
    ben.send(ROOM, "to the old device")
    await settle(ben)
    server.reset("ada")
    anew = await BrowserApp.first(ours, server, "ada", "a2")
    await settle(anew)
    devices = server.current("ada")
    assert devices is not None
    assert (devices.number, devices.previous) == (2, None)
    ben.send(ROOM, "who is it")
    await turn(ben)
    ben.device.trust("ada")
    await settle(ben, anew)
    assert texts(anew) == ["who is it"]
    assert errors(anew) == {"before_this_device"}

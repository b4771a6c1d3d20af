"""Devices talking through an honest server."""

from __future__ import annotations

import pytest

from protocol.e2ee.asking import SendKeys, SendMessage, SetAside
from protocol.e2ee.structures import pack
from tests.protocol.e2ee.app import ROOM, App, let_in, meet, settle
from tests.protocol.e2ee.server import Server


def texts(app: App) -> list[str]:
    return [text for _, text in app.shown]


@pytest.fixture
def pair() -> tuple[Server, App, App]:
    return meet()


def test_both_read_what_both_write(pair: tuple[Server, App, App]) -> None:
    _, ada, ben = pair
    ada.send(ROOM, "one")
    ben.send(ROOM, "two")
    settle([ada, ben])
    assert sorted(texts(ada)) == sorted(texts(ben)) == ["one", "two"]
    assert ada.told == ben.told == []


def test_a_new_device_reads_from_then_on(pair: tuple[Server, App, App]) -> None:
    _, ada, ben = pair
    ada.send(ROOM, "before")
    settle([ada, ben])
    phone = let_in(ben, "ben", "b2")
    ada.send(ROOM, "after")
    settle([ada, ben, phone])
    assert texts(phone) == ["after"]
    assert {each.error for each in phone.told if isinstance(each, SetAside)} == {"before_this_device"}
    assert texts(ben) == ["before", "after"]


def test_a_revoked_device_reads_nothing_more(pair: tuple[Server, App, App]) -> None:
    _, ada, ben = pair
    phone = let_in(ben, "ben", "b2")
    ada.send(ROOM, "to all")
    settle([ada, ben, phone])
    ben.device.revoke("b2", ben.now_ms)
    ben.save()
    settle([ada, ben, phone])
    ada.send(ROOM, "not to the phone")
    settle([ada, ben])
    for event in phone.server.memory.rooms[ROOM].events:
        phone.take(event)  # Even if the server gave it everything.
    assert texts(phone) == ["to all"]
    assert texts(ben) == ["to all", "not to the phone"]


def test_a_new_epoch_after_a_hundred_messages_and_after_a_day(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair

    def epochs() -> int:
        return len(server.memory.rooms[ROOM].epochs)

    for number in range(101):
        ada.send(ROOM, str(number))
    settle([ada, ben])
    assert epochs() == 2
    ada.now_ms += 24 * 3600 * 1000
    ada.send(ROOM, "the next day")
    settle([ada, ben])
    assert epochs() == 3
    assert texts(ben) == [*map(str, range(101)), "the next day"]
    assert ben.told == []


def test_what_is_in_flight_is_sent_again_byte_for_byte(pair: tuple[Server, App, App]) -> None:
    _, ada, _ = pair
    ada.send(ROOM, "one")
    seen: dict[type, bytes] = {}
    while due := ada.device.requests():
        if isinstance(due[0], SendKeys | SendMessage):
            data = pack(due[0].keys) if isinstance(due[0], SendKeys) else due[0].data
            assert seen.setdefault(type(due[0]), data) == data
            ada.ask(lose=True)
            ada.crash()
            (again, *_) = ada.device.requests()
            assert again == due[0]
        ada.ask()
    assert set(seen) == {SendKeys, SendMessage}


def test_all_devices_of_a_room_export_one_key(pair: tuple[Server, App, App]) -> None:
    _, ada, ben = pair
    ada.send(ROOM, "one")
    settle([ada, ben])
    keys = {app.device.exported(ROOM, ("ada", "a1"), "media", b"s1", 32) for app in (ada, ben)}
    assert len(keys) == 1


def test_lost_with_a_restore_and_sent_again(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair
    ada.send(ROOM, "one")
    settle([ada, ben])
    backup = server.backup()
    ada.send(ROOM, "two")
    settle([ada])  # Ben has not seen it when the disk fails.
    server.restore(backup)
    ben.send(ROOM, "three")
    settle([ben])
    settle([ada, ben])
    assert texts(ada) == ["one", "two", "three"]
    assert texts(ben) == ["one", "three", "two"]
    assert ada.told == ben.told == []

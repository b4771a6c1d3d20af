"""Devices talking through an honest server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.e2ee import epochs, xwing
from protocol.e2ee.asking import (
    Archived,
    Claim,
    Lists,
    NotSent,
    Refusal,
    SendKeys,
    SendMessage,
    SetAside,
)
from protocol.e2ee.contents import Text
from protocol.e2ee.device import OUTBOX
from protocol.e2ee.devices import MAX_DEVICES
from protocol.e2ee.epochs import ARCHIVE, EpochKeys, Place
from protocol.e2ee.errors import ContentError, OutboxFull, TooManyDevices, UnknownList
from protocol.e2ee.kdf import digest
from protocol.e2ee.state import FINISHED_KEPT
from protocol.e2ee.structures import pack
from tests.protocol.e2ee.app import ROOM, App, let_in, meet, settle
from tests.protocol.e2ee.server import Server
from tests.vectors.values import drawn


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


def test_a_new_device_with_the_archive_reads_what_is_older_than_it(pair: tuple[Server, App, App]) -> None:
    _, ada, ben = pair
    archive = drawn("archive")
    ben.device.keep_archive(xwing.public_key(archive), ben.now_ms)
    ben.save()
    settle([ben])
    ada.send(ROOM, "before")
    settle([ada, ben])
    phone = App.further(ben.server, "ben", "b2")
    phone.device.adopt(None, archive)
    settle([phone])
    ben.device.approve("b2", phone.device.key, ben.now_ms)
    ben.save()
    settle([ben, phone])
    ada.send(ROOM, "after")
    settle([ada, ben, phone])
    assert texts(phone) == ["before", "after"]
    assert phone.told == []


def test_a_device_with_the_vault_lets_others_in(pair: tuple[Server, App, App]) -> None:
    _, ada, ben = pair
    phone = let_in(ben, "ben", "b2")
    with pytest.raises(UnknownList):
        phone.device.approve("b3", drawn("key"), phone.now_ms)
    phone.device.adopt(ben.device._state.account_seed, None)
    tablet = let_in(phone, "ben", "b3")
    ada.send(ROOM, "to all")
    settle([ada, ben, phone, tablet])
    assert [texts(app) for app in (ben, phone, tablet)] == [["to all"]] * 3


def test_of_two_lists_at_once_one_is_taken_and_the_other_follows_it(pair: tuple[Server, App, App]) -> None:
    server, _, ben = pair
    phone = let_in(ben, "ben", "b2")
    phone.device.adopt(ben.device._state.account_seed, None)
    ben.device.keep_archive(xwing.public_key(drawn("archive")), ben.now_ms)
    phone.device.revoke("b1", phone.now_ms)
    ben.save()
    phone.save()
    settle([ben, phone])
    current = server.current("ben")
    assert current is not None
    assert (current.number, current.archive is not None) == (4, True)
    assert [entry.device for entry in current.devices] == ["b2"]
    assert (ben.told, phone.told) == ([], [])


def test_a_second_wish_waits_for_the_reply_to_the_first(pair: tuple[Server, App, App]) -> None:
    """The first may have been stored: another list of its number would be a fork."""
    server, _, ben = pair
    let_in(ben, "ben", "b2")
    backup = server.backup()
    ben.device.revoke("b2", ben.now_ms)
    ben.save()
    ben.ask(lose=True)
    stored = server.memory.lists["ben"][-1]
    ben.device.keep_archive(xwing.public_key(drawn("archive")), ben.now_ms)
    ben.save()
    server.restore(backup)
    settle([ben])
    assert server.memory.lists["ben"][-2] == stored
    current = server.current("ben")
    assert current is not None
    assert (len(current.devices), current.archive is not None) == (1, True)


def test_who_was_let_in_and_put_out_again_stays_out(pair: tuple[Server, App, App]) -> None:
    server, _, ben = pair
    phone = let_in(ben, "ben", "b2")
    phone.device.adopt(ben.device._state.account_seed, None)
    tablet = App.further(server, "ben", "b3")
    settle([tablet])
    ben.device.approve("b3", tablet.device.key, ben.now_ms)
    ben.save()
    ben.ask(lose=True)
    settle([phone])
    phone.device.revoke("b3", phone.now_ms)
    phone.save()
    settle([phone])
    settle([ben, phone])
    current = server.current("ben")
    assert current is not None
    assert [entry.device for entry in current.devices] == ["b1", "b2"]


def test_a_list_refused_for_good_holds_up_no_other(pair: tuple[Server, App, App]) -> None:
    server, _, ben = pair
    ben.device.approve("b2", drawn("key"), ben.now_ms)
    ben.device.list_refused()
    ben.device.keep_archive(xwing.public_key(drawn("archive")), ben.now_ms)
    ben.save()
    settle([ben])
    current = server.current("ben")
    assert current is not None
    assert (len(current.devices), current.archive is not None) == (1, True)
    for number in range(MAX_DEVICES - 1):
        ben.device.approve(f"c{number}", drawn("key"), ben.now_ms)
    with pytest.raises(TooManyDevices):
        ben.device.approve("one more", drawn("key"), ben.now_ms)


def test_an_archive_of_the_organisation_is_seen_by_everyone(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair
    archive = drawn("organisation")
    ada.device.organisation(ROOM, xwing.public_key(archive), ada.now_ms)
    ada.send(ROOM, "for the record")
    settle([ada, ben])
    assert texts(ben) == ["for the record"]
    assert [told.archive for told in ben.told if isinstance(told, Archived)] == [
        digest(xwing.public_key(archive))
    ]
    assert ada.told == []
    keys = server.memory.rooms[ROOM].events[0].content
    assert isinstance(keys, EpochKeys)
    slot = epochs.find_slot(keys, ARCHIVE, ARCHIVE)
    assert slot is not None
    assert len(epochs.open_slot(keys.header, slot, archive)) == 32


def test_nothing_is_sealed_to_a_barred_device(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair
    let_in(ben, "ben", "b2")
    lists = server.lists(ROOM)
    ada.send(ROOM, "not to the phone")
    ada.save(ada.device.lists(Lists(ROOM, lists.members, lists.lists, (("ben", "b2"),)), ada.now_ms))
    (claim,) = ada.device.requests()
    assert isinstance(claim, Claim)
    assert claim.devices == (("ben", "b1"),)


def test_who_leaves_and_comes_back_goes_on(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair
    ada.send(ROOM, "one")
    settle([ada, ben])
    server.memory.rooms[ROOM].members.discard("ben")
    ben.send(ROOM, "written outside")
    settle([ada, ben])
    ada.send(ROOM, "two")
    settle([ada, ben])
    server.memory.rooms[ROOM].members.add("ben")
    ada.send(ROOM, "three")
    settle([ada, ben])
    assert sorted(texts(ben)) == ["one", "three", "written outside"]
    assert [told.error for told in ben.told if isinstance(told, SetAside)] == ["before_this_device"]


def test_a_purged_log_is_no_alarm(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair
    for text in ("one", "two", "three", "four"):
        ada.send(ROOM, text)
        settle([ada])
    ben.read(ROOM, 2)
    ben.device.reset(ROOM, 1, 5)
    ben.read(ROOM)
    assert texts(ben) == ["one", "four"]
    assert ben.told == []
    assert len(server.memory.rooms[ROOM].events) == 5


def test_an_outbox_has_an_end(pair: tuple[Server, App, App]) -> None:
    _, ada, _ = pair
    with pytest.raises(ContentError):
        ada.device.send(ROOM, Text("x" * 100_000), ada.now_ms)
    for number in range(OUTBOX):
        ada.device.send(ROOM, Text(str(number)), ada.now_ms)
    with pytest.raises(OutboxFull):
        ada.device.send(ROOM, Text("one more"), ada.now_ms)


def test_a_message_refused_for_good_is_told_and_does_not_hold_up_the_next(
    pair: tuple[Server, App, App],
) -> None:
    _, ada, ben = pair
    ada.send(ROOM, "one")
    settle([ada, ben])
    mid = ada.send(ROOM, "too loud")
    ada.send(ROOM, "two")
    ada.save(ada.device.refused(ROOM, mid, Refusal("forbidden"), ada.now_ms))
    settle([ada, ben])
    assert texts(ben) == ["one", "two"]
    assert ada.told == [NotSent(ROOM, mid, "forbidden")]
    assert ben.told == []
    # Its key was used: another text under it would give both away.
    assert len(ada.server.memory.rooms[ROOM].epochs) == 2


def test_a_prekey_is_forgotten_once_used(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair
    before = set(ben.device._state.stock.one_time)
    ada.send(ROOM, "one")
    settle([ada, ben])
    keys = server.memory.rooms[ROOM].events[0].content
    assert isinstance(keys, EpochKeys)
    assert before - set(ben.device._state.stock.one_time) == {slot.prekey for slot in keys.slots}


def test_the_last_resort_is_new_each_week_and_the_old_one_kept_for_a_month(
    pair: tuple[Server, App, App],
) -> None:
    _, _, ben = pair
    kept = ben.device._state.stock.last_resort
    (first,) = kept
    for days, count in ((6, 1), (1, 2), (29, 3), (1, 2)):
        ben.now_ms += days * 24 * 3600 * 1000
        settle([ben])
        assert len(ben.device._state.stock.last_resort) == count
    assert first not in ben.device._state.stock.last_resort


def test_nothing_goes_on_under_lists_that_are_not_current(pair: tuple[Server, App, App]) -> None:
    """Even where the server would take it."""
    server, ada, ben = pair
    ada.send(ROOM, "one")
    settle([ada, ben])
    let_in(ben, "ben", "b2")
    ada.save(ada.device.lists(server.lists(ROOM), ada.now_ms))
    ada.send(ROOM, "two")
    (due,) = ada.device.requests()
    assert isinstance(due, Claim)


def test_a_restored_server_is_given_the_lists_it_lost(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair
    backup = server.backup()
    phone = let_in(ben, "ben", "b2")
    server.restore(backup)
    settle([ada, ben, phone])
    current = server.current("ben")
    assert current is not None
    assert current.number == 2


def test_a_long_conversation_is_read_again_in_silence(pair: tuple[Server, App, App]) -> None:
    """With more epochs than are remembered."""
    server, ada, ben = pair
    for number in range(FINISHED_KEPT + 3):
        ada.now_ms += 24 * 3600 * 1000
        ada.send(ROOM, str(number))
        settle([ada, ben])
    shown = texts(ben)
    server.restore(server.backup())
    settle([ada, ben])
    assert texts(ben) == shown
    assert (ada.told, ben.told) == ([], [])


def test_an_epoch_of_long_ago_that_comes_again_is_a_replay(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair
    for number in range(FINISHED_KEPT + 3):
        ada.now_ms += 24 * 3600 * 1000
        ada.send(ROOM, str(number))
        settle([ada, ben])
    log = server.memory.rooms[ROOM].events
    for old in log[:2]:
        log.append(replace(old, place=Place(1, len(log) + 1)))
    ben.read(ROOM)
    assert [told.error for told in ben.told if isinstance(told, SetAside)] == ["replayed", "wrong_epoch"]
    ada.send(ROOM, "the next")
    settle([ada, ben])
    assert texts(ben)[-1] == "the next"


def test_an_epoch_ends_with_its_log(pair: tuple[Server, App, App]) -> None:
    server, ada, ben = pair
    backup = server.backup()
    ada.send(ROOM, "one")
    while not isinstance(ada.device.requests()[0], SendKeys):
        ada.ask()
    server.restore(backup)
    settle([ada, ben])
    assert len(server.memory.rooms[ROOM].epochs) == 2
    assert texts(ben) == ["one"]

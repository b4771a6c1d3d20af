"""A log that is read once more, because its archive was unlocked after it had been read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from protocol.e2ee import epochs, xwing
from protocol.e2ee.asking import Event, Missing, Page, Recall, SetAside
from protocol.e2ee.device import Device
from protocol.e2ee.epochs import Place, Recipient
from protocol.e2ee.errors import OutOfOrder
from tests.protocol.e2ee import test_attacks as attacks
from tests.protocol.e2ee.app import FEW, ROOM, START_MS, App, chance, let_in, meet, settle
from tests.protocol.e2ee.server import Server
from tests.vectors.values import drawn

ARCHIVE = drawn("archive")
Scene = tuple[Server, App, App, App]


def texts(app: App) -> list[str]:
    return [text for _, text in app.shown]


def errors(app: App) -> list[str]:
    return [told.error for told in app.told if isinstance(told, SetAside)]


def unlock(app: App) -> None:
    app.told.clear()
    app.device.adopt(None, ARCHIVE)
    app.save()


def next_page(app: App) -> None:
    (due,) = (due for due in app.device.requests() if isinstance(due, Recall))
    app.save(app.answer(due, app.server.serve(app.who, due)))


@pytest.fixture
def scene() -> Scene:
    """Three messages of Ada, sealed to the archive of Ben, whose phone was let in after them."""
    server, ada, ben = meet()
    ben.device.keep_archive(xwing.public_key(ARCHIVE), ben.now_ms)
    ben.save()
    settle([ben])
    attacks.written(ada, "one", "two")
    attacks.next_day(ada)
    attacks.written(ada, "three")
    phone = let_in(ben, "ben", "b2")
    assert errors(phone) == ["before_this_device"] * 3
    return server, ada, ben, phone


def test_what_was_before_the_device_is_read_once(scene: Scene) -> None:
    _, ada, ben, phone = scene
    ada.send(ROOM, "four")
    settle([ada, ben, phone])
    cursor, prekeys = phone.device.cursor(ROOM), set(phone.device._state.stock.one_time)
    unlock(phone)
    settle([phone])
    unlock(phone)
    assert phone.device.requests() == []
    assert texts(phone) == ["four", "one", "two", "three"]
    assert phone.told == []
    assert phone.device.cursor(ROOM) == cursor
    assert set(phone.device._state.stock.one_time) == prekeys
    assert phone.device._state.rooms[ROOM].past is None


def test_it_goes_on_after_a_crash_and_a_lost_reply(scene: Scene) -> None:
    _, ada, _, phone = scene
    unlock(phone)
    while any(isinstance(due, Recall) for due in phone.device.requests()):
        phone.ask(lose=True)
        phone.crash()
        ada.send(ROOM, f"at {len(phone.shown)}")  # The log goes on meanwhile.
        settle([ada])
        phone.ask()
        phone.crash()
        phone.read(ROOM)
    settle([ada, phone])
    assert sorted(texts(phone)) == sorted(set(texts(phone)))
    assert {"one", "two", "three"} < set(texts(phone))
    assert phone.told == []


def test_an_epoch_that_goes_on_after_the_archive_was_unlocked(scene: Scene) -> None:
    """Both readings have taken in a part of it."""
    server, _, _, phone = scene
    tablet = App.further(server, "ben", "b3")
    tablet.read(ROOM, 2)  # the keys, and one message
    unlock(tablet)
    tablet.read(ROOM, 1)
    assert errors(tablet) == ["before_this_device"]
    tablet.device._state.own_lists = phone.device._state.own_lists
    page = Page(1, 1, tuple(server.memory.rooms[ROOM].events))
    tablet.save(tablet.device.recalled(ROOM, 0, page))
    assert texts(tablet) == ["one", "two"]  # as far as it has read
    tablet.read(ROOM)
    assert texts(tablet) == ["one", "two", "three"]


def test_the_middle_of_an_epoch_is_handed_over(scene: Scene) -> None:
    server, _, _, phone = scene
    tablet = App.further(server, "ben", "b3")
    tablet.read(ROOM, 2)
    unlock(tablet)
    tablet.save(tablet.device.recalled(ROOM, 0, Page(1, 1, tuple(server.memory.rooms[ROOM].events))))
    assert texts(tablet) == ["one"]
    tablet.read(ROOM)
    assert texts(tablet) == ["one", "two", "three"]
    assert errors(tablet) == []
    key = phone.server.memory.rooms[ROOM].events[-1]
    assert tablet.device.exported(ROOM, (key.account, key.device), "media", b"s", 32)


def test_what_comes_meanwhile_waits_its_turn(scene: Scene) -> None:
    server, _, _, _ = scene
    tablet = App.further(server, "ben", "b3")
    tablet.read(ROOM, 1)
    unlock(tablet)
    tablet.read(ROOM)
    assert texts(tablet) == []
    tablet.save(tablet.device.recalled(ROOM, 0, Page(1, 1, tuple(server.memory.rooms[ROOM].events))))
    assert texts(tablet) == ["one", "two", "three"]


def test_a_message_that_was_read_again_is_lost_and_sent_again() -> None:
    server, ada, ben = meet()
    ben.device.keep_archive(xwing.public_key(ARCHIVE), ben.now_ms)
    ben.save()
    settle([ben])
    backup = server.backup()
    attacks.written(ada, "one", "two")
    phone = let_in(ben, "ben", "b2")
    unlock(phone)
    settle([phone])
    server.restore(backup)
    settle([ada, ben, phone])
    settle([ada, ben, phone])
    assert len(server.memory.rooms[ROOM].events) == 3
    assert texts(phone) == ["one", "two"]


def test_a_restore_before_anything_is_read_again(scene: Scene) -> None:
    """The first reading passes over what it had: only the second one has it still to open."""
    server, _, _, phone = scene
    unlock(phone)
    server.restore(server.backup())
    phone.connect()
    phone.read(ROOM, 2)
    next_page(phone)
    assert texts(phone) == ["one"]
    settle([phone])
    assert texts(phone) == ["one", "two", "three"]


def test_a_restore_in_the_middle(scene: Scene) -> None:
    """What was read again is not shown once more, and what the restore has lost is sent again."""
    server, ada, ben, phone = scene
    backup = server.backup()
    ada.send(ROOM, "four")
    settle([ada, ben, phone])
    unlock(phone)
    next_page(phone)
    assert texts(phone) == ["four", "one", "two"]
    server.restore(backup)
    ada.send(ROOM, "five")
    settle([ada, ben, phone])
    settle([ada, ben, phone])
    assert sorted(texts(phone)) == ["five", "four", "one", "three", "two"]
    assert phone.told == []


def test_what_was_purged_in_the_middle_is_no_alarm(scene: Scene) -> None:
    server, _, _, phone = scene
    unlock(phone)
    events = server.memory.rooms[ROOM].events
    phone.save(phone.device.recalled(ROOM, 0, Page(1, 1, tuple(events[:1]))))
    phone.save(phone.device.recalled(ROOM, 1, Page(1, 3, tuple(events[2:]))))
    assert texts(phone) == ["two", "three"]
    assert phone.told == []


def test_a_purge_that_the_first_reading_is_told_of(scene: Scene) -> None:
    server, _, _, phone = scene
    unlock(phone)
    phone.device.reset(ROOM, 1, 3)
    phone.save(phone.device.recalled(ROOM, 0, Page(1, 1, tuple(server.memory.rooms[ROOM].events))))
    assert texts(phone) == []  # a page that was asked for before
    settle([phone])
    assert texts(phone) == ["three"]


def test_with_another_archive_than_then_it_stays_unread(scene: Scene) -> None:
    _, _, _, phone = scene
    phone.told.clear()
    phone.device.adopt(None, drawn("the archive that came after"))
    settle([phone])
    assert (texts(phone), phone.told) == ([], [])
    unlock(phone)
    settle([phone])
    assert texts(phone) == ["one", "two", "three"]


# --- A new key that was trusted late --------------------------------------------------------------------


def stranger(server: Server) -> App:
    """Ada anew, with the keys that she has made since hers were reset."""
    server.reset("ada")
    draw = chance("Ada begins anew")
    anew = App(server, Device.first("ada", "a2", START_MS, draw, FEW), "ada", "a2", START_MS)
    settle([anew])
    return anew


def test_what_was_said_under_a_new_key_is_read_once_it_is_trusted() -> None:
    server, ada, ben = meet()
    attacks.written(ada, "as ever")
    settle([ben])
    anew = stranger(server)
    attacks.written(anew, "one", "two")
    attacks.next_day(anew)
    attacks.written(anew, "three")
    ben.read(ROOM)
    assert texts(ben) == ["as ever"]
    ben.told.clear()
    ben.device.trust("ada")
    ben.save()
    attacks.written(anew, "four")  # while the log is read again
    ben.read(ROOM)
    next_page(ben)
    ben.crash()
    assert texts(ben) == ["as ever"]  # the page has what was said under the key of before
    settle([ben, anew])
    ben.send(ROOM, "welcome back")
    anew.send(ROOM, "five")
    settle([ben, anew])
    settle([ben, anew])
    assert [text for text in texts(ben) if text != "welcome back"] == [
        "as ever", "one", "two", "three", "four", "five"
    ]  # fmt: skip
    assert set(errors(ben)) == {"unknown_epoch"}  # what it was told of the fourth for a moment
    assert "welcome back" in texts(anew)
    ben.told.clear()
    server.restore(server.backup())
    settle([ben, anew])
    assert len(texts(ben)) == 7
    assert ben.told == []


def test_an_archive_is_unlocked_while_a_new_key_is_read(scene: Scene) -> None:
    """One second reading follows the other."""
    server, _, _, phone = scene
    anew = stranger(server)
    attacks.written(anew, "under a new key")
    phone.read(ROOM)
    phone.device.trust("ada")
    phone.save()
    next_page(phone)
    unlock(phone)
    settle([phone, anew])
    assert texts(phone) == ["under a new key", "one", "two", "three"]
    assert phone.told == []
    assert phone.device._state.rooms[ROOM].past is None


# --- What a server that lies does to it ---------------------------------------------------------------


def test_a_page_with_a_hole_changes_nothing(scene: Scene) -> None:
    server, _, _, phone = scene
    unlock(phone)
    keys, one, two, *_ = server.memory.rooms[ROOM].events
    saved = phone.device.to_bytes()
    for events in ((keys, two), (one, two), (keys, one, one)):
        with pytest.raises(OutOfOrder):
            phone.device.recalled(ROOM, 0, Page(1, 1, events))
    assert phone.device.recalled(ROOM, 1, Page(1, 1, (one, two))) == []
    assert phone.device.recalled(ROOM, 0, Page(7, 1, (keys,))) == []
    assert phone.device.to_bytes() == saved


def test_a_server_that_gives_nothing_ends_it(scene: Scene) -> None:
    _, _, _, phone = scene
    unlock(phone)
    assert phone.device.recalled(ROOM, 0, Page(1, 1, ())) == []
    assert phone.device.requests() == []
    settle([phone])
    assert texts(phone) == []


@pytest.mark.parametrize("error", ["forged_signature", "wrong_message_id", "truncated"])
def test_a_message_changed_since_it_was_read(scene: Scene, error: str) -> None:
    server, _, _, phone = scene
    unlock(phone)
    keys, one, two, *rest = server.memory.rooms[ROOM].events
    page = Page(1, 1, (keys, attacks.CHANGES[error](one), two, *rest))
    phone.save(phone.device.recalled(ROOM, 0, page))
    assert texts(phone) == ["two", "three"]
    assert set(errors(phone)) == {error}
    assert len(phone.told) == len(errors(phone)) + 1
    assert any(isinstance(told, Missing) and told.count == 1 for told in phone.told)


def test_messages_left_out_and_replayed(scene: Scene) -> None:
    server, _, _, phone = scene
    unlock(phone)
    keys, one, two, *rest = server.memory.rooms[ROOM].events

    def at(event: Event, offset: int) -> Event:
        return Event(ROOM, Place(1, offset), event.account, event.device, event.content)

    phone.save(phone.device.recalled(ROOM, 0, Page(1, 1, (keys, at(two, 2), at(two, 3), *rest))))
    assert texts(phone) == ["two", "three"]
    assert [getattr(told, "error", "missing") for told in phone.told] == ["missing", "duplicate"]
    del one


def resealed(ada: App, keys: Event, **changes: object) -> Event:
    """An epoch for Ben's archive that Ada's own device made wrong on purpose."""
    header = replace(epochs.read_header(attacks.epoch_keys(keys).header), **changes)
    recipient = Recipient("ben", epochs.ARCHIVE, 0, xwing.public_key(ARCHIVE))
    made = epochs.make_keys(header, drawn("another seed"), ada.device._state.seed, [recipient])
    return Event(keys.room, keys.place, keys.account, keys.device, made)


def with_other_seed(ada: App, keys: Event) -> Event:
    return resealed(ada, keys)


def with_numbers_out_of_reach(ada: App, keys: Event) -> Event:
    names = epochs.read_header(attacks.epoch_keys(keys).header).lists
    raised = tuple(replace(name, number=9) if name.account == "ben" else name for name in names)
    return resealed(ada, keys, lists=raised)


@pytest.mark.parametrize("change", [with_other_seed, with_numbers_out_of_reach])
def test_a_member_who_makes_an_epoch_wrong_harms_no_other(
    scene: Scene, change: Callable[[App, Event], Event]
) -> None:
    server, ada, _, phone = scene
    unlock(phone)
    keys, *rest = server.memory.rooms[ROOM].events
    phone.save(phone.device.recalled(ROOM, 0, Page(1, 1, (change(ada, keys), *rest))))
    assert texts(phone) == ["three"]
    assert "bad_commitment" in errors(phone)

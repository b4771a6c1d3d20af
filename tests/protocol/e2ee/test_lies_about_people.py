"""A server that lies about people: their devices, their keys, their prekeys; nothing is sent on its word."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from protocol.e2ee import epochs, signing, xwing
from protocol.e2ee.asking import Event, Lists, SendKeys, Suspicion
from protocol.e2ee.circle import read
from protocol.e2ee.devices import DeviceEntry, SignedList, make_list, next_list
from protocol.e2ee.epochs import Place
from protocol.e2ee.errors import Malformed
from protocol.e2ee.prekeys import Prekey, SignedPrekey, make_prekey
from protocol.e2ee.structures import pack, unpack
from tests.protocol.e2ee.app import ROOM, App, chance, let_in, meet, settle
from tests.protocol.e2ee.server import Log, Server
from tests.protocol.e2ee.test_attacks import Scene, deliver, found, next_day, resealed, texts, written
from tests.vectors.values import drawn


@pytest.fixture
def scene() -> Scene:
    return meet()


def list_with_a_ghost(signed: SignedList, seed: bytes) -> SignedList:
    known = read(signed)
    ghost = DeviceEntry("ghost", signing.public_key(drawn("ghost")), 0)
    return make_list(seed, next_list(known, known.account, (*known.devices, ghost), None, 0))


def show(app: App, signed: SignedList) -> None:
    """The server answers a request for lists with this one of Ben."""
    server = app.server
    own = server.memory.lists["ada"][-1]
    lists = Lists(ROOM, ("ada", "ben"), (("ada", own), ("ben", signed)))
    app.save(app.device.lists(lists, app.now_ms))


def nothing_is_sent(app: App) -> bool:
    app.send(ROOM, "secret")
    return not app.device.requests()


def test_a_device_added_by_the_server(scene: Scene) -> None:
    server, ada, ben = scene
    written(ada, "so that Ben is known")
    known = server.memory.lists["ben"][-1]
    show(ada, list_with_a_ghost(known, drawn("the server's key")))
    assert found(ada) == ["identity_changed"]
    assert nothing_is_sent(ada)
    del ben


def test_a_device_added_under_a_stolen_name(scene: Scene) -> None:
    server, ada, _ = scene
    written(ada, "so that Ben is known")
    known = server.memory.lists["ben"][-1]
    ghost = list_with_a_ghost(known, drawn("the server's key"))
    show(ada, replace(ghost, account_key=known.account_key))
    assert found(ada) == ["forged_signature"]
    assert nothing_is_sent(ada)


def test_a_list_rolled_back(scene: Scene) -> None:
    server, ada, ben = scene
    let_in(ben, "ben", "b2")
    written(ada, "so that Ben is known")
    show(ada, server.memory.lists["ben"][0])
    assert found(ada) == ["list_rolled_back"]
    assert nothing_is_sent(ada)


def test_a_list_hidden(scene: Scene) -> None:
    server, ada, _ = scene
    written(ada, "so that Ben is known")
    hidden = Lists(ROOM, ("ada", "ben"), (("ada", server.memory.lists["ada"][-1]),))
    ada.save(ada.device.lists(hidden, ada.now_ms))
    assert found(ada) == ["list_rolled_back"]
    assert nothing_is_sent(ada)


def test_different_lists_for_different_people(scene: Scene) -> None:
    server, ada, ben = scene
    keys, one = written(ada, "one")
    seed = ben.device._state.account_seed
    assert seed is not None
    other = make_list(seed, replace(read(server.memory.lists["ben"][0]), created_ms=1))
    names = (("ada", 1, server.memory.lists["ada"][0]), ("ben", 1, other))
    forked = epochs.names_of({account: (number, signed.digest) for account, number, signed in names})
    deliver(ben, resealed(ada, ben, keys, drawn("seed"), lists=forked))
    assert found(ben) == ["list_forked", "list_forked"]
    del one


def test_a_new_identity_is_for_people_to_decide(scene: Scene) -> None:
    server, ada, _ = scene
    written(ada, "one")
    again = App.first(Server(), "ben", "b9")
    again.draw = chance("another account key")
    settle([again])
    fresh = again.server.memory.lists["ben"][-1]
    fresh = make_list(drawn("new account key"), read(fresh))
    show(ada, fresh)
    assert found(ada) == ["identity_changed"]
    ada.device.trust("ben")
    show(ada, fresh)
    assert found(ada) == ["identity_changed"]
    del server


def claimed(ada: App, change: Callable[[Server], None]) -> list[str]:
    """What Ada finds in the answer to her claim, once the server has changed what it holds."""
    ada.send(ROOM, "secret")
    ada.ask()  # The lists.
    change(ada.server)
    ada.ask()  # The claim.
    assert ada.device.requests() == []
    return found(ada)


def swap(server: Server, seed: bytes, device: str) -> None:
    shelf = server.memory.shelves["ben", "b1"]
    for number, signed in shelf.one_time.items():
        generation = unpack(Prekey, signed.body).generation
        shelf.one_time[number] = make_prekey(seed, "ben", device, generation, number, drawn("server"))


def test_a_prekey_swapped(scene: Scene) -> None:
    _, ada, _ = scene
    assert claimed(ada, lambda server: swap(server, drawn("the server's key"), "b1")) == ["forged_signature"]


def test_a_prekey_of_another_device(scene: Scene) -> None:
    _, ada, ben = scene
    seed = ben.device._state.seed
    assert claimed(ada, lambda server: swap(server, seed, "b2")) == ["wrong_prekey"]


def test_no_prekey(scene: Scene) -> None:
    _, ada, _ = scene
    assert claimed(ada, lambda server: server.memory.shelves.clear()) == ["no_prekey"]


def test_a_one_time_prekey_handed_out_twice(scene: Scene) -> None:
    server, ada, ben = scene
    shelf = server.memory.shelves["ben", "b1"]
    first, signed = next(iter(shelf.one_time.items()))
    written(ada, "one")
    ben.read(ROOM)
    shelf.one_time = {first: signed}
    next_day(ada)
    *_, keys, two = written(ada, "two")
    deliver(ben, keys, two)
    assert (texts(ben), found(ben)) == (["one"], ["unknown_prekey", "unknown_prekey"])


def test_a_device_said_to_be_barred_finds_that_it_was_left_out(scene: Scene) -> None:
    server, ada, ben = scene
    lists = server.lists(ROOM)
    ada.send(ROOM, "one")
    ada.save(ada.device.lists(Lists(ROOM, lists.members, lists.lists, (("ben", "b1"),)), ada.now_ms))
    (due,) = ada.device.requests()
    assert isinstance(due, SendKeys)
    assert due.keys.slots == ()
    deliver(ben, Event(ROOM, Place(1, 1), *ada.who, due.keys))
    assert found(ben) == ["missing_slot"]


def test_a_list_of_before_is_shown_to_whoever_has_not_seen_the_next_until_someone_speaks(
    scene: Scene,
) -> None:
    server, ada, ben = scene
    let_in(ben, "ben", "b2")
    cem = App.first(server, "cem", "c1")
    server.memory.rooms[ROOM].members.add("cem")
    settle([cem])
    old = Lists(
        ROOM,
        ("ada", "ben", "cem"),
        tuple((each, server.memory.lists[each][0]) for each in ("ada", "ben", "cem")),
    )
    cem.save(cem.device.lists(old, cem.now_ms))
    assert cem.told == []
    settle([ada, ben])
    deliver(cem, *written(ben, "from Ben"))
    assert texts(cem) == ["from Ben"]
    cem.save(cem.device.lists(old, cem.now_ms))
    assert found(cem) == ["list_rolled_back"]


def no_key(name: str) -> bytes:
    """1,216 bytes that nothing can be sealed to."""
    good = xwing.public_key(drawn("server"))
    return {"coefficients": b"\xff" * 1184 + good[1184:], "small group": good[:1184] + bytes(32)}[name]


@pytest.mark.parametrize("name", ["coefficients", "small group"])
def test_a_signed_prekey_that_is_no_key_stops_nothing_but_its_room(scene: Scene, name: str) -> None:
    server, ada, ben = scene
    cat = App.first(server, "cat", "c1")
    server.memory.rooms["other"] = Log(members={"ada", "cat"})
    settle([ada, cat])
    body = pack(Prekey("ben", "b1", 1, 1, last_resort=False, public=no_key(name)))
    bad = SignedPrekey(body, signing.sign(ben.device._state.seed, "prekey", body))
    shelf = server.memory.shelves["ben", "b1"]
    shelf.one_time = {1: bad}
    ada.send(ROOM, "when there are others")
    ada.send("other", "as ever")
    while ada.ask():
        pass
    assert ada.told == [Suspicion("ben", "malformed")]
    settle([cat])
    assert texts(cat) == ["as ever"]
    settle([ben])  # finds none of his prekeys there, and leaves new ones
    settle([ada, ben])
    assert texts(ben) == ["when there are others"]


@pytest.mark.parametrize("name", ["coefficients", "small group"])
def test_a_signed_archive_that_is_no_key(scene: Scene, name: str) -> None:
    server, ada, ben = scene
    current = server.current("ben")
    seed = ben.device._state.account_seed
    assert current is not None
    assert seed is not None
    server.memory.lists["ben"].append(
        make_list(seed, next_list(current, "ben", current.devices, no_key(name), ben.now_ms))
    )
    ada.send(ROOM, "not to be sent")
    while ada.ask():
        pass
    assert found(ada) == ["malformed"]
    assert nothing_is_sent(ada)
    with pytest.raises(Malformed):
        ben.device.keep_archive(no_key(name), ben.now_ms)
    with pytest.raises(Malformed):
        ada.device.organisation(ROOM, no_key(name), ada.now_ms)


def test_prekeys_swapped_on_the_shelf_are_noticed_by_their_owner(scene: Scene) -> None:
    server, _, ben = scene
    swap(server, drawn("the server's key"), "b1")
    ben.connect()
    assert found(ben) == ["inventory_drift"]
    assert ben.device.requests() == []

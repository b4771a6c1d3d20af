"""A server that lies, and members that do: each lie is found, has its own name, and harms nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from protocol.e2ee import epochs, messages, ratchet, signing, structures, xwing
from protocol.e2ee.asking import Event, MessageData, Missing, SetAside, Suspicion
from protocol.e2ee.circle import read
from protocol.e2ee.devices import DeviceEntry, SignedList, make_list, next_list
from protocol.e2ee.epochs import EpochKeys, Place, Recipient
from protocol.e2ee.messages import Envelope
from protocol.e2ee.structures import pack, unpack
from tests.protocol.e2ee.app import ROOM, App, let_in, meet, settle
from tests.protocol.e2ee.server import Server
from tests.vectors.values import drawn


def written(ada: App, *texts: str) -> list[Event]:
    """What the room's log has, once Ada has written these."""
    for text in texts:
        ada.send(ROOM, text)
    settle([ada])
    return list(ada.server.memory.rooms[ROOM].events)


def deliver(app: App, *events: Event) -> None:
    """A server delivers these events in this order, with others of no meaning in between.

    None comes earlier than where it was stored: that is a lie with a test of its own.
    """
    for event in events:
        offset = app.device.cursor(ROOM).offset + 1
        for between in range(offset, event.place.offset):
            app.take(Event(ROOM, Place(1, between)))
        offset = max(offset, event.place.offset)
        app.take(Event(ROOM, Place(1, offset), event.account, event.device, event.content))


def texts(app: App) -> list[str]:
    return [text for _, text in app.shown]


def found(app: App) -> list[str]:
    """The names of what was told besides messages."""
    names = {SetAside: "error", Suspicion: "error"}
    return [getattr(told, names[type(told)]) if type(told) in names else "missing" for told in app.told]


@pytest.fixture
def scene() -> tuple[Server, App, App]:
    return meet()


Scene = tuple[Server, App, App]


# --- What the server does to messages -----------------------------------------------------------------


def message(event: Event) -> MessageData:
    assert isinstance(event.content, MessageData)
    return event.content


def with_data(event: Event, change: Callable[[Envelope], Envelope]) -> Event:
    body = message(event)
    changed = pack(change(unpack(Envelope, body.data)))
    return Event(event.room, event.place, event.account, event.device, MessageData(body.mid, changed))


CHANGES: dict[str, Callable[[Event], Event]] = {
    "wrong_sender": lambda e: Event(e.room, e.place, "ada", "a2", e.content),
    "wrong_message_id": lambda e: Event(
        e.room, e.place, e.account, e.device, MessageData(bytes(16), message(e).data)
    ),
    "wrong_session": lambda e: Event(
        e.room, e.place, e.account, e.device, MessageData(message(e).mid, message(e).data, "s")
    ),
    "truncated": lambda e: Event(
        e.room, e.place, e.account, e.device, MessageData(message(e).mid, message(e).data[:-70])
    ),
    "malformed": lambda e: Event(e.room, e.place, e.account, e.device, MessageData(message(e).mid, b"\xc1")),
    "forged_signature": lambda e: with_data(
        e, lambda envelope: replace(envelope, ciphertext=bytes(len(envelope.ciphertext)))
    ),
}


@pytest.mark.parametrize("error", CHANGES)
def test_a_changed_message_is_set_aside_and_the_next_one_is_read(scene: Scene, error: str) -> None:
    _, ada, ben = scene
    keys, first, second = written(ada, "one", "two")
    changed = CHANGES[error](first)
    deliver(ben, keys)
    if changed.device == "a2":  # A device that speaks too, so that its name is known.
        room = ben.device._state.rooms[ROOM]
        room.speakers["ada", "a2"] = room.speakers["ada", "a1"]
    deliver(ben, changed, first, second)
    assert texts(ben) == ["one", "two"]
    assert found(ben) == [error]


def test_a_message_of_another_room(scene: Scene) -> None:
    _, ada, ben = scene
    keys, first = written(ada, "one")
    deliver(ben, keys)
    room = ben.device._state.rooms
    room["elsewhere"] = room[ROOM]
    ben.take(Event("elsewhere", Place(1, 2), first.account, first.device, first.content))
    assert (texts(ben), found(ben)) == ([], ["wrong_room"])
    ben.take(Event("elsewhere", Place(1, 3), keys.account, keys.device, keys.content))
    assert found(ben)[1:] == ["wrong_room"]


def test_replays(scene: Scene) -> None:
    _, ada, ben = scene
    keys, one, two = written(ada, "one", "two")
    deliver(ben, keys, one, one, two, one, keys)
    assert (texts(ben), found(ben)) == (["one", "two"], ["duplicate", "replayed", "replayed"])


def test_a_message_left_out(scene: Scene) -> None:
    _, ada, ben = scene
    keys, _, _, three = written(ada, "one", "two", "three")
    deliver(ben, keys, three)
    assert texts(ben) == ["three"]
    assert [told.count for told in ben.told if isinstance(told, Missing)] == [2]


def test_a_hole_in_the_log_changes_nothing(scene: Scene) -> None:
    _, ada, ben = scene
    keys, _, two = written(ada, "one", "two")
    deliver(ben, keys)
    saved = ben.device.to_bytes()
    with pytest.raises(Exception, match="out_of_order"):
        ben.device.event(two, ben.now_ms)
    assert ben.device.to_bytes() == saved


def test_messages_swapped(scene: Scene) -> None:
    _, ada, ben = scene
    keys, one, two = written(ada, "one", "two")
    deliver(ben, keys, two, one)
    assert (texts(ben), found(ben)) == (["two"], ["missing", "replayed"])


def next_day(ada: App) -> None:
    ada.now_ms += 25 * 3600 * 1000


def test_the_end_of_an_epoch_left_out(scene: Scene) -> None:
    _, ada, ben = scene
    written(ada, "one", "two")
    next_day(ada)
    keys, one, _, keys2, three = written(ada, "three")
    deliver(ben, keys, one, keys2, three)
    assert (texts(ben), found(ben)) == (["one", "three"], ["missing"])


def test_a_whole_epoch_left_out(scene: Scene) -> None:
    _, ada, ben = scene
    log: list[Event] = []
    for text in ("one", "two", "three"):
        next_day(ada)
        log = written(ada, text)
    deliver(ben, *log[:2], *log[4:])
    assert (texts(ben), found(ben)) == (["one", "three"], ["missing"])


def test_the_keys_left_out(scene: Scene) -> None:
    _, ada, ben = scene
    _, one = written(ada, "one")
    deliver(ben, one)
    assert (texts(ben), found(ben)) == ([], ["unknown_epoch"])


def test_a_message_held_back_beyond_its_epoch(scene: Scene) -> None:
    _, ada, ben = scene
    written(ada, "one", "two")
    next_day(ada)
    keys, one, two, keys2, three = written(ada, "three")
    deliver(ben, keys, one, keys2, two, three)
    assert (texts(ben), found(ben)) == (["one", "three"], ["missing", "wrong_epoch"])


def test_a_message_put_before_what_its_sender_had_read(scene: Scene) -> None:
    _, ada, ben = scene
    saved = ben.saved
    ben.send(ROOM, "a question")
    settle([ben, ada])
    _, _, keys, answer = written(ada, "an answer")
    ben.saved = saved
    ben.shown.clear()
    ben.crash()
    for offset, event in enumerate((keys, answer), 1):
        ben.take(Event(ROOM, Place(1, offset), event.account, event.device, event.content))
    assert (texts(ben), found(ben)) == ([], ["reordered", "unknown_epoch"])


def test_an_answer_put_before_its_question(scene: Scene) -> None:
    _, ada, ben = scene
    saved = ben.saved
    written(ada, "a remark")
    ben.send(ROOM, "a question")
    settle([ben, ada])
    keys, remark, *_, answer = written(ada, "an answer")
    ben.saved = saved
    ben.shown.clear()
    ben.crash()
    for offset, event in enumerate((keys, remark, answer), 1):
        ben.take(Event(ROOM, Place(1, offset), event.account, event.device, event.content))
    assert (texts(ben), found(ben)) == (["a remark"], ["reordered"])


# --- What the server does to keys ---------------------------------------------------------------------


def epoch_keys(event: Event) -> EpochKeys:
    assert isinstance(event.content, EpochKeys)
    return event.content


def with_keys(event: Event, **changes: object) -> Event:
    keys = replace(epoch_keys(event), **changes)
    return Event(event.room, event.place, event.account, event.device, keys)


def test_a_slot_taken_away(scene: Scene) -> None:
    _, ada, ben = scene
    keys, one = written(ada, "one")
    deliver(ben, with_keys(keys, slots=()), one)
    assert (texts(ben), found(ben)) == ([], ["missing_slot", "missing_slot"])


def test_a_slot_changed(scene: Scene) -> None:
    _, ada, ben = scene
    keys, _ = written(ada, "one")
    (slot,) = epoch_keys(keys).slots
    deliver(ben, with_keys(keys, slots=(replace(slot, sealed=bytes(48)),)))
    assert found(ben) == ["unreadable_slot"]


def test_a_slot_for_a_prekey_that_never_was(scene: Scene) -> None:
    _, ada, ben = scene
    keys, _ = written(ada, "one")
    (slot,) = epoch_keys(keys).slots
    deliver(ben, with_keys(keys, slots=(replace(slot, prekey=999),)))
    assert found(ben) == ["unknown_prekey"]


def test_a_header_changed(scene: Scene) -> None:
    _, ada, ben = scene
    keys, _ = written(ada, "one")
    header = pack(replace(epochs.read_header(epoch_keys(keys).header), created_ms=0))
    deliver(ben, with_keys(keys, header=header))
    assert found(ben) == ["forged_signature"]


def resealed(ada: App, ben: App, keys: Event, seed: bytes, **changes: object) -> Event:
    """An epoch that Ada's own device made wrong on purpose."""
    header = replace(epochs.read_header(epoch_keys(keys).header), **changes)
    number, prekey = next(iter(ben.device._state.stock.one_time.items()))
    public = xwing.public_key(prekey.seed)
    made = epochs.make_keys(header, seed, ada.device._state.seed, [Recipient("ben", "b1", number, public)])
    return Event(keys.room, keys.place, keys.account, keys.device, made)


def test_a_member_who_gives_people_different_seeds(scene: Scene) -> None:
    _, ada, ben = scene
    keys, _ = written(ada, "one")
    deliver(ben, resealed(ada, ben, keys, drawn("another seed")))
    assert found(ben) == ["bad_commitment"]


def test_a_device_that_is_in_no_list(scene: Scene) -> None:
    _, ada, ben = scene
    keys, _ = written(ada, "one")
    header = replace(epochs.read_header(epoch_keys(keys).header), device="ghost")
    made = epochs.make_keys(header, drawn("seed"), drawn("ghost"), [])
    deliver(ben, Event(ROOM, keys.place, "ada", "ghost", made))
    assert found(ben) == ["unknown_device"]


def test_a_device_in_the_place_of_another(scene: Scene) -> None:
    _, ada, ben = scene
    phone = let_in(ada, "ada", "a2")
    keys, _ = written(ada, "one")
    deliver(ben, Event(ROOM, keys.place, "ada", phone.who[1], keys.content))
    assert found(ben) == ["wrong_sender"]


def test_a_revoked_device_that_the_server_lets_speak(scene: Scene) -> None:
    server, ada, ben = scene
    phone = let_in(ada, "ada", "a2")
    settle([ada, ben, phone])
    keys, late = written(phone, "from the phone")
    server.memory.rooms[ROOM].events.clear()
    ada.device.revoke("a2", ada.now_ms)
    ada.save()
    settle([ada, ben])
    written(ada, "the phone is gone")
    ben.read(ROOM)
    deliver(ben, keys, late)
    assert texts(ben) == ["the phone is gone"]
    assert found(ben)[-2:] == ["stale_list", "unknown_epoch"]


def test_a_message_of_a_device_revoked_meanwhile(scene: Scene) -> None:
    server, ada, ben = scene
    phone = let_in(ada, "ada", "a2")
    written(phone, "before")
    ben.read(ROOM)
    late = written(phone, "after")[-1]
    server.memory.rooms[ROOM].events.pop()
    ada.device.revoke("a2", ada.now_ms)
    ada.save()
    settle([ada])
    written(ada, "the phone is gone")
    ben.read(ROOM)
    deliver(ben, late)
    assert (texts(ben), found(ben)) == (["before", "the phone is gone"], ["stale_list"])


def test_a_member_who_names_lists_that_do_not_exist_shuts_nobody_out(scene: Scene) -> None:
    _, ada, ben = scene
    keys, _ = written(ada, "one")
    names = [
        replace(name, number=999, digest=drawn("none")) if name.account == "ben" else name
        for name in epochs.read_header(epoch_keys(keys).header).lists
    ]
    header = replace(epochs.read_header(epoch_keys(keys).header), lists=tuple(names))
    made = epochs.make_keys(header, drawn("seed"), ada.device._state.seed, [])
    deliver(ben, Event(ROOM, keys.place, keys.account, keys.device, made))
    next_day(ada)
    *_, keys2, two = written(ada, "two")
    deliver(ben, keys2, two)
    assert texts(ben) == ["two"]


def test_no_list_is_learnt_from_an_event_of_someone_else(scene: Scene) -> None:
    _, ada, ben = scene
    keys, _ = written(ada, "one")
    entry = DeviceEntry("m1", signing.public_key(drawn("mallory")), 0)
    own = make_list(drawn("mallory's account"), next_list(None, "cem", (entry,), None, 0))
    names = epochs.names_of({"cem": (1, own.digest)})
    header = replace(
        epochs.read_header(epoch_keys(keys).header), account="cem", device="m1", own=own, lists=names
    )
    made = epochs.make_keys(header, drawn("seed"), drawn("mallory"), [])
    deliver(ben, Event(ROOM, keys.place, "ada", "a1", made))
    assert found(ben) == ["wrong_sender"]
    assert "cem" not in ben.device._state.known


def with_own(ada: App, ben: App, keys: Event, own: SignedList, *, named: bool) -> Event:
    """Ada's epoch, bringing another list of hers."""
    header = epochs.read_header(epoch_keys(keys).header)
    mine = epochs.ListName("ada", read(own).number, own.digest)
    lists = tuple(mine if name.account == "ada" and named else name for name in header.lists)
    return resealed(ada, ben, keys, drawn("seed"), own=own, lists=lists)


def test_an_earlier_list_under_another_key(scene: Scene) -> None:
    server, ada, ben = scene
    let_in(ada, "ada", "a2")
    written(ada, "so that Ada is known")
    ben.read(ROOM)
    keys = server.memory.rooms[ROOM].events[0]
    forged = make_list(drawn("the server's key"), read(server.memory.lists["ada"][0]))
    deliver(ben, with_own(ada, ben, keys, forged, named=True))
    assert found(ben) == ["identity_changed", "identity_changed"]


def test_another_list_than_the_one_named(scene: Scene) -> None:
    server, ada, ben = scene
    let_in(ada, "ada", "a2")
    keys, _ = written(ada, "one")
    deliver(ben, with_own(ada, ben, keys, server.memory.lists["ada"][0], named=False))
    assert found(ben) == ["list_forked", "list_forked"]


# --- A member's defect --------------------------------------------------------------------------------


def test_a_message_that_only_its_sender_can_explain(scene: Scene) -> None:
    """Signed and unreadable: set aside, and the next one is read."""
    _, ada, ben = scene
    keys, one, two = written(ada, "one", "two")
    seed = ada.device._state.seed

    def spoil(envelope: Envelope) -> Envelope:
        ciphertext = bytes(len(envelope.ciphertext))
        signed = len(envelope.header).to_bytes(4, "big") + envelope.header + ciphertext
        return replace(envelope, ciphertext=ciphertext, signature=signing.sign(seed, "message", signed))

    deliver(ben, keys, with_data(one, spoil), two)
    assert (texts(ben), found(ben)) == (["two"], ["tampered"])


def test_an_epoch_has_an_end() -> None:
    header = messages.MessageHeader("r", "a", "d", bytes(16), 100, 99, bytes(16), Place(1, 1), None)
    with pytest.raises(Exception, match="epoch_exhausted"):
        messages.check_order(header, 100)
    assert ratchet.MAX_MESSAGES == 100
    assert structures.MAX_BYTES >= messages.MAX_ENVELOPE_BYTES

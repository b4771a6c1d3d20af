"""Keys over real sockets: what whole devices do through a server, and what becomes of them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from config.settings import KeySettings
from loadtest.key_frames import frame_of
from protocol.codec import decode_body
from protocol.e2ee.asking import Missing, SendMessage, SetAside, Suspicion
from protocol.e2ee.contents import Text
from protocol.e2ee.epochs import Place
from protocol.events import KeysBody
from relay.writes import AddMember, RemoveMember, Revoke
from tests.signaling.door_client import door_client, new_mid
from tests.signaling.door_server import DoorServer, door_server
from tests.signaling.keys_kit import Phone, now_ms


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DoorServer]:
    async with door_server(tmp_path / "s.db", keys=KeySettings(low_prekeys=3)) as server:
        await server.room("r", "ann", "ben")
        yield server


async def take_all(*phones: Phone) -> None:
    """Everyone takes in all there is; what they do about it, too."""
    for phone in phones:
        assert isinstance(phone.server, DoorServer)
        head = (await phone.server.store.heads(["r"]))["r"].head
        await phone.take("r", head)


async def stand(stack: AsyncExitStack, *phones: Phone) -> None:
    for phone in phones:
        await stack.enter_async_context(phone.connected())
    await take_all(*phones)


@pytest.fixture
async def people(server: DoorServer) -> AsyncIterator[tuple[Phone, Phone]]:
    """Ann and Ben with a device each, connected and listed."""
    ann, ben = Phone.first(server, "ann", "a1"), Phone.first(server, "ben", "b1")
    async with AsyncExitStack() as stack:
        await stand(stack, ann, ben)
        yield ann, ben


async def test_two_accounts_read_what_the_other_writes(people: tuple[Phone, Phone]) -> None:
    ann, ben = people
    await ann.say("r", "how are you")
    await take_all(ann, ben)
    await ben.say("r", "better")
    await take_all(ann, ben)
    assert ann.read == ben.read == ["how are you", "better"]
    assert ann.told == ben.told == []


async def test_a_message_that_is_not_signed_is_set_aside_and_does_not_hold_up_the_next(
    people: tuple[Phone, Phone],
) -> None:
    """The server cannot tell; who reads it can."""
    ann, ben = people
    ann.device.send("r", Text("one"), now_ms())
    while not isinstance(due := ann.device.requests()[0], SendMessage):
        ann.note(await ann.ask(due))
    frame = frame_of(due)
    reply = await ann.client.request(**frame | {"data": frame["data"][:-64] + bytes(64)})
    place = Place(reply["result"]["epoch"], reply["result"]["offset"])
    ann.device.stored("r", due.mid, place, now_ms())
    await ann.say("r", "two")
    await take_all(ann, ben)
    assert ben.read == ["two"]
    assert ben.told == [
        SetAside("r", place, "ann", "a1", "forged_signature"),
        Missing("r", Place(place.log, place.offset + 1), "ann", "a1", 1),
    ]


async def test_a_new_device_asks_is_let_in_and_reads_from_then_on(
    people: tuple[Phone, Phone], server: DoorServer
) -> None:
    ann, ben = people
    await ann.say("r", "before")
    tablet = Phone.further(server, "ben", "b2")
    async with tablet.connected():
        await ben.client.expect(lambda frame: frame["op"] == "keys.changed" and frame["what"] == "devices")
        inventory = (await ben.client.request("keys.inventory"))["result"]["keys"]
        assert (inventory["state"], inventory["pending"]) == ("listed", 1)
        told = (await ben.client.request("device.list"))["result"]["devices"]
        assert [(one["device"], one["state"]) for one in told] == [("b1", "listed"), ("b2", "pending")]
        assert told[1]["key"] == tablet.device.key
        ben.device.approve("b2", told[1]["key"], 1)
        await ben.settle()
        await take_all(tablet)
        await ann.say("r", "after")  # Ann learns of it by the refusal, and everything with it
        await take_all(ann, ben, tablet)
        assert tablet.read == ["after"]
        aside = [one.error for one in tablet.told if isinstance(one, SetAside)]
        assert set(aside) == {"before_this_device"}
    assert ann.read == ben.read == ["before", "after"]
    assert ann.told == ben.told == []


async def test_a_device_that_is_taken_out_is_cut_off_and_gets_nothing_more(
    people: tuple[Phone, Phone], server: DoorServer
) -> None:
    ann, ben = people
    tablet = Phone.further(server, "ben", "b2")
    async with tablet.connected():
        ben.device.approve("b2", tablet.device.key, 1)
        await ben.settle()
        ben.device.revoke("b2", 2)
        await ben.settle()
        assert await tablet.client.close_code() == 4503
    async with door_client(server.url) as again:
        assert (await again.hello(server.token("ben"), "b2"))["name"] == "revoked"
    await ann.say("r", "for few")
    await take_all(ann, ben)
    events = (await server.store.events("r", after=0, limit=99, max_bytes=1 << 20)).events
    assert ben.read == ["for few"]
    opened = [body for body in (decode_body(event.body) for event in events) if isinstance(body, KeysBody)]
    assert [[slot.device for slot in body.slots] for body in opened] == [["b1"]]


async def test_what_is_not_encrypted_is_refused_once_somebody_has_devices(server: DoorServer) -> None:
    ann = Phone.first(server, "ann", "a1")
    async with door_client(server.url) as ben:
        await ben.hello(server.token("ben"), "b1")
        assert (await ben.message("r", b"plain"))["op"] == "ok"
        async with ann.connected():
            refused = await ben.message("r", b"plain")
    assert refused["name"] == "encryption_required"
    assert refused["mismatch"]["members"] == ["ann", "ben"]
    assert refused["mismatch"]["missing"] == [["ann", "a1"]]
    assert len(refused["mismatch"]["lists"]) == 1


async def test_a_message_for_another_list_is_refused_with_all_that_is_needed(
    people: tuple[Phone, Phone],
) -> None:
    ann, _ = people
    ann.device.send("r", Text("hello"), now_ms())
    while ann.device.requests() and not isinstance(ann.device.requests()[0], SendMessage):
        ann.note(await ann.ask(ann.device.requests()[0]))
    message = ann.device.requests()[0]
    outdated = await ann.client.request(**frame_of(message) | {"lists": {"ann": 1, "ben": 7, "eve": 1}})
    assert outdated["name"] == "device_mismatch"
    assert outdated["mismatch"]["stale"] == ["ben", "eve"]
    assert len(outdated["mismatch"]["lists"]) == 2
    left_out = await ann.client.request(**frame_of(message) | {"lists": {"ann": 1}})
    assert left_out["mismatch"]["missing"] == [["ben", "b1"]]
    assert (await ann.client.request(**frame_of(message)))["op"] == "ok"
    assert (await ann.client.request(**frame_of(message) | {"lists": {}}))["result"]["duplicate"] is True


async def test_a_device_is_asked_for_more_prekeys_before_they_run_out(people: tuple[Phone, Phone]) -> None:
    ann, ben = people
    for number in range(2):
        reply = await ann.client.request("keys.claim", claim=new_mid(), room="r", devices=[["ben", "b1"]])
        assert "last_resort" not in reply["result"]["prekeys"][0], number
    await ben.client.expect(lambda frame: frame["op"] == "keys.changed" and frame["what"] == "prekeys")
    inventory = (await ben.client.request("keys.inventory"))["result"]["keys"]
    assert (inventory["count"], inventory["lowest"], inventory["highest"]) == (2, 3, 4)


async def test_a_device_that_the_platform_bars_gets_nothing(
    people: tuple[Phone, Phone], server: DoorServer
) -> None:
    ann, ben = people
    tablet = Phone.further(server, "ben", "b2")
    async with tablet.connected():
        ben.device.approve("b2", tablet.device.key, 1)
        await ben.settle()
        await server.rooms.commit(Revoke("ben", "b2", 5))
        assert await tablet.client.close_code() == 4503
    told = (await ann.client.request("keys.list.get", room="r"))["result"]
    assert told["barred"] == [["ben", "b2"]]
    both = [["ben", "b1"], ["ben", "b2"]]
    claimed = await ann.client.request("keys.claim", claim=new_mid(), room="r", devices=both)
    assert [one["device"] for one in claimed["result"]["prekeys"]] == ["b1"]
    await ann.say("r", "not for it")
    await take_all(ann, ben)
    assert ben.read == ["not for it"]
    devices = (await ben.client.request("device.list"))["result"]["devices"]
    assert [one["state"] for one in devices] == ["listed", "barred"]


async def test_keys_that_are_reset_begin_anew(people: tuple[Phone, Phone], server: DoorServer) -> None:
    ann, ben = people
    await ann.say("r", "hello")
    await take_all(ann, ben)
    await ben.client.request("vault.put", blob=b"old", revision=0)
    await server.keys.devices.reset("ben", ())
    assert await ben.client.close_code() == 4503
    assert (await ann.client.request("keys.list.get", room="r"))["result"]["members"] == ["ann", "ben"]
    anew = Phone.first(server, "ben", "b2")
    async with anew.connected():
        assert (await anew.client.request("vault.get"))["result"].get("blob", b"") == b""
        lists = (await ann.client.request("keys.list.get", room="r"))["result"]["lists"]
        assert len(lists) == 2
        ann.device.send("r", Text("who are you"), now_ms())
        await ann.settle()
        assert [one.error for one in ann.told if isinstance(one, Suspicion)] == ["identity_changed"]
        ann.device.trust("ben")
        await ann.settle()
        await take_all(ann, anew)
        await anew.say("r", "the same, with another phone")
        await take_all(ann, anew)
        assert anew.read == ["who are you", "the same, with another phone"]
        assert {one.error for one in anew.told if isinstance(one, SetAside)} == {"before_this_device"}
    assert ann.read == ["hello", "who are you", "the same, with another phone"]


async def test_others_go_on_reading_each_other_before_they_have_decided_on_a_new_identity(
    people: tuple[Phone, Phone], server: DoorServer
) -> None:
    """Ben's keys are reset, and his new device is let in. Ann trusts it at once, Cat does not look yet."""
    ann, ben = people
    cat = Phone.first(server, "cat", "c1")
    await server.rooms.commit(AddMember("r", "cat", "client", 1))
    async with AsyncExitStack() as stack:
        await stand(stack, cat)
        await ben.say("r", "hello")
        await take_all(ann, ben, cat)
        await cat.say("r", "hello Ben")
        await take_all(ann, ben, cat)
        await server.keys.devices.reset("ben", ())
        anew = Phone.first(server, "ben", "b2")
        await stand(stack, anew)
        ann.device.send("r", Text("who are you"), now_ms())
        await ann.settle()
        ann.device.trust("ben")
        await ann.settle()
        await take_all(ann, anew, cat)
        assert ann.read == cat.read == ["hello", "hello Ben", "who are you"]
        assert anew.read == ["who are you"]
        assert cat.told == []
        cat.device.send("r", Text("yes, who"), now_ms())
        await cat.settle()
        assert [one.error for one in cat.told if isinstance(one, Suspicion)] == ["identity_changed"]
        cat.device.trust("ben")
        await cat.settle()
        await take_all(ann, anew, cat)
        await anew.say("r", "the same")
        await take_all(ann, anew, cat)
        assert ann.read == cat.read == ["hello", "hello Ben", "who are you", "yes, who", "the same"]
        assert anew.read == ["who are you", "yes, who", "the same"]


async def test_a_room_that_was_left_meanwhile_is_no_way_around_a_reset(
    people: tuple[Phone, Phone], server: DoorServer
) -> None:
    """Ann speaks, Ben leaves, is reset and comes back: nothing has ended Ann's epoch but his list."""
    ann, _ = people
    await ann.say("r", "hello")
    await server.rooms.commit(RemoveMember("r", "ben"))
    await server.keys.devices.reset("ben", ())
    anew = Phone.first(server, "ben", "b2")
    async with anew.connected():
        await server.rooms.commit(AddMember("r", "ben", "client", 2))
        ann.device.send("r", Text("are you there"), now_ms())
        await ann.settle()
        assert [one.error for one in ann.told if isinstance(one, Suspicion)] == ["identity_changed"]
        ann.device.trust("ben")
        await ann.settle()
        await take_all(anew)
        assert anew.read == ["are you there"]


async def test_after_a_restore_nothing_is_handed_out_twice_and_all_go_on(tmp_path: Path) -> None:
    """The backup is from before Ben's second device; it has only its last-resort prekeys to offer."""
    path = tmp_path / "store" / "s.db"
    async with door_server(path) as first:
        await first.room("r", "ann", "ben")
        ann, ben = Phone.first(first, "ann", "a1"), Phone.first(first, "ben", "b1")
        async with AsyncExitStack() as stack:
            await stand(stack, ann, ben)
            generation = first.store.epoch
            await ann.say("r", "kept")
            await take_all(ann, ben)
    shutil.copytree(path.parent, tmp_path / "backup")
    async with door_server(path) as second:
        ann.server = ben.server = second
        tablet = Phone.further(second, "ben", "b2")
        async with AsyncExitStack() as stack:
            await stand(stack, ann, ben, tablet)
            ben.device.approve("b2", tablet.device.key, 1)
            await ben.settle()
            await ann.say("r", "lost")
            await take_all(ann, ben, tablet)
            assert ben.read == ["kept", "lost"]
    for file in (tmp_path / "backup").glob("s.db*"):
        if not file.name.endswith("-guard"):
            shutil.copy(file, path.parent)
    async with door_server(path) as third:
        ann.server = ben.server = tablet.server = third
        assert third.store.epoch > generation
        stock = await third.store.stock("ben", "b1")
        assert (stock.one_time, stock.number) == ((), 1)
        assert stock.last_resort is not None
        async with AsyncExitStack() as stack:
            for phone in (ann, ben, tablet):
                phone.device.reset("r", third.store.epoch, 1)
                await stack.enter_async_context(phone.connected())
            assert (await third.store.stock("ben", "b1")).number == 2  # Ben has put his list there again
            assert (await third.store.stock("ben", "b2")).listed is True
            assert len((await third.store.stock("ben", "b2")).one_time) == 4
            await take_all(ann, ben, tablet)
            await ann.say("r", "again")
            await take_all(ann, ben, tablet)
        assert ben.read[-1] == tablet.read[-1] == "again"

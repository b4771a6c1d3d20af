"""What is refused of keys, each by its name: forged, old, doubled, too many, not one's own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from config.settings import KeySettings
from protocol.e2ee import epochs, messages, ratchet, signing
from protocol.e2ee.devices import DeviceEntry, DeviceList, SignedList, make_list, next_list
from protocol.e2ee.epochs import MAX_HEADER_BYTES, EpochHeader, Place, Recipient
from protocol.e2ee.messages import MessageHeader
from protocol.e2ee.prekeys import Prekey, SignedPrekey, make_prekey
from protocol.e2ee.structures import unpack
from relay.bus import BusStatistics
from signaling.observe.metrics import ClusterFigures, Snapshot
from tests.signaling.door_client import DoorClient, Frame, door_client, new_mid
from tests.signaling.door_server import DoorServer, door_server
from tests.signaling.keys_kit import now_ms, of_epoch, plain

HELD = 6


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DoorServer]:
    settings = KeySettings(pending_devices=2, prekeys_held=HELD, claims_per_second=0.001, claims_burst=8)
    async with door_server(tmp_path / "s.db", keys=settings) as server:
        await server.room("r", "ann", "ben")
        await server.room("other", "eve")
        yield server


class Owner:
    """An account with one device, whose keys a test uses as it likes."""

    def __init__(self, account: str, client: DoorClient, generation: int) -> None:
        self.account, self.device = account, f"{account}-1"
        self.client = client
        self.generation = generation
        self.account_seed, self.seed = secrets.token_bytes(32), secrets.token_bytes(32)
        self.lists: list[SignedList] = []

    @property
    def key(self) -> bytes:
        return signing.public_key(self.seed)

    def entry(self, device: str | None = None, key: bytes | None = None) -> DeviceEntry:
        return DeviceEntry(device or self.device, key or self.key, now_ms() + 60_000)

    def next(self, *entries: DeviceEntry) -> SignedList:
        before = unpack(DeviceList, self.lists[-1].body) if self.lists else None
        devices = entries or (self.entry(),)
        return make_list(self.account_seed, next_list(before, self.account, devices, None, now_ms()))

    def prekey(self, number: int, *, last: bool = False, **other: Any) -> SignedPrekey:
        fields = {"seed": self.seed, "account": self.account, "device": self.device} | other
        generation = fields.pop("generation", self.generation)
        where = (fields["seed"], fields["account"], fields["device"], generation, number)
        return make_prekey(*where, secrets.token_bytes(32), last_resort=last)

    async def put_prekeys(self, *one_time: SignedPrekey, last: SignedPrekey | None = None) -> Frame:
        return await self.client.request(
            "keys.prekeys.put", one_time=[plain(one) for one in one_time], last_resort=plain(last)
        )

    async def put_list(self, signed: SignedList) -> Frame:
        reply = await self.client.request("keys.list.put", list=plain(signed))
        if reply["op"] == "ok":
            self.lists.append(signed)
        return reply

    async def enrol(self, *numbers: int) -> None:
        assert (await self.client.request("device.request", key=self.key))["op"] == "ok"
        last = self.prekey(99, last=True)
        assert (await self.put_prekeys(*map(self.prekey, numbers), last=last))["op"] == "ok"
        assert (await self.put_list(self.next()))["op"] == "ok"


KINDS = ("one_time", "last_resort", "none")


def counted(server: DoorServer) -> dict[str, float]:
    """The metrics about keys."""
    text = server.metrics.exposition(
        Snapshot(
            server.hub.stats(),
            BusStatistics(ready=True),
            ClusterFigures(1, acting=True, duties=0),
            None,
            {},
            0,
        )
    ).decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("rapport_prekeys")]
    return {series: float(value) for series, value in lines}


def name(reply: Frame) -> str:
    """What a reply is: the name of its error, or ok."""
    return str(reply.get("name", reply["op"]))


@pytest.fixture
async def ben(server: DoorServer) -> AsyncIterator[Owner]:
    async with door_client(server.url) as client:
        await client.hello(server.token("ben"), "ben-1")
        yield Owner("ben", client, server.store.epoch)


@pytest.fixture
async def ann(server: DoorServer) -> AsyncIterator[Owner]:
    async with door_client(server.url) as client:
        await client.hello(server.token("ann", "therapist"), "ann-1")
        owner = Owner("ann", client, server.store.epoch)
        await owner.enrol()
        yield owner


# --- Devices and lists


async def test_no_more_devices_ask_than_may(ben: Owner, server: DoorServer) -> None:
    await ben.client.request("device.request", key=ben.key)
    async with door_client(server.url) as second, door_client(server.url) as third:
        await second.hello(server.token("ben"), "ben-2")
        await third.hello(server.token("ben"), "ben-3")
        assert name(await second.request("device.request", key=ben.key)) == "ok"
        assert name(await third.request("device.request", key=ben.key)) == "too_many_devices"
        assert name(await second.request("device.dismiss", device="ben-1")) == "device_unlisted"
        assert name(await second.request("device.dismiss", device="ben-2")) == "ok"
        assert name(await third.request("device.request", key=ben.key)) == "ok"
        assert name(await third.request("device.request", key=b"short")) == "invalid_field"
        assert name(await third.request("keys.prekeys.put")) == "ok"
        assert name(await second.request("keys.prekeys.put")) == "no_such_device"


async def test_a_device_is_renamed_by_itself_or_by_one_that_is_listed(
    ben: Owner, ann: Owner, server: DoorServer
) -> None:
    async def rename(client: DoorClient, device: str, called: bytes) -> str:
        return name(await client.request("device.rename", device=device, sealed_name=called))

    assert await rename(ben.client, "ben-1", b"x") == "no_such_device", "it has not asked to be listed"
    await ben.enrol()
    async with door_client(server.url) as second:
        await second.hello(server.token("ben"), "ben-2")
        await second.request("device.request", key=bytes(32))
        assert await rename(second, "ben-2", b"phone") == "ok"
        assert await rename(second, "ben-1", b"mine now") == "device_unlisted"
        await ben.client.expect(lambda frame: frame["op"] == "keys.changed" and frame["what"] == "devices")
        assert await rename(ben.client, "ben-2", b"old phone") == "ok"
        assert await rename(ben.client, "ben-1", b"desk") == "ok"
        assert await rename(ben.client, "ben-1", bytes(257)) == "invalid_field"
        assert await rename(ann.client, "ben-1", b"hers") == "no_such_device", "of her own account"
        listed = (await second.request("device.list"))["result"]["devices"]
        assert {one["device"]: one["sealed_name"] for one in listed} == {
            "ben-1": b"desk",
            "ben-2": b"old phone",
        }


async def test_a_list_needs_devices_that_have_asked_and_have_prekeys(ben: Owner) -> None:
    assert name(await ben.put_list(ben.next())) == "no_such_device"
    await ben.client.request("device.request", key=ben.key)
    assert name(await ben.put_list(ben.next())) == "prekeys_missing"
    await ben.put_prekeys(ben.prekey(1))
    assert name(await ben.put_list(ben.next())) == "prekeys_missing"
    await ben.put_prekeys(last=ben.prekey(2, last=True))
    assert name(await ben.put_list(ben.next(ben.entry(key=b"k" * 32)))) == "no_such_device"
    assert name(await ben.put_list(ben.next(ben.entry(), ben.entry("ben-9")))) == "no_such_device"
    assert name(await ben.put_list(ben.next())) == "ok"


async def test_lists_that_are_forged_old_or_of_others(ben: Owner, ann: Owner) -> None:
    await ben.enrol()
    good = ben.next()
    forged = SignedList(good.account_key, good.body, bytes(64))
    assert name(await ben.put_list(forged)) == "list_invalid"
    assert name(await ben.put_list(ann.lists[0])) == "list_invalid"
    garbage = b"\x93\x01\x02\x03"
    signature = signing.sign(ben.account_seed, "device-list", garbage)
    nothing = SignedList(good.account_key, garbage, signature)
    assert name(await ben.put_list(nothing)) == "list_invalid"
    no_archive = replace(unpack(DeviceList, good.body), archive=b"\xff" * 1216)
    assert name(await ben.put_list(make_list(ben.account_seed, no_archive))) == "list_invalid"
    other_key = make_list(secrets.token_bytes(32), unpack(DeviceList, good.body))
    assert name(await ben.put_list(other_key)) == "account_key_changed"
    assert name(await ben.put_list(good)) == "ok"
    assert name(await ben.put_list(good)) == "ok"  # after a lost reply
    outdated = await ben.client.request("keys.list.put", list=plain(ben.lists[0]))
    assert name(outdated) == "list_outdated"
    assert outdated["mismatch"]["lists"] == [plain(good)]
    ahead = unpack(DeviceList, ben.next().body)
    skipping = make_list(
        ben.account_seed,
        DeviceList("ben", ahead.number + 1, ahead.created_ms, ahead.devices, None, ahead.previous),
    )
    assert name(await ben.put_list(skipping)) == "list_outdated"
    aside = make_list(
        ben.account_seed, DeviceList("ben", ahead.number, ahead.created_ms, ahead.devices, None, bytes(32))
    )
    assert name(await ben.put_list(aside)) == "list_outdated"


async def test_lists_are_shown_to_those_who_share_a_room(ben: Owner, ann: Owner, server: DoorServer) -> None:
    shown = await ben.client.request("keys.list.get", room="r")
    assert shown["result"]["lists"] == [plain(ann.lists[0])]
    assert name(await ben.client.request("keys.list.get", room="other")) == "no_such_room"
    async with door_client(server.url) as eve:
        await eve.hello(server.token("eve"), "e")
        assert name(await eve.request("keys.list.get", room="r")) == "no_such_room"
        assert "lists" not in (await eve.request("keys.list.get"))["result"]


# --- Prekeys and claims


async def test_prekeys_that_are_forged_doubled_or_of_others(ben: Owner) -> None:
    assert name(await ben.put_prekeys(ben.prekey(1))) == "no_such_device"
    await ben.enrol(1, 2)
    good = ben.prekey(3)
    no_key = good.body[:-1216] + b"\xff" * 1216
    bad = [
        SignedPrekey(good.body, bytes(64)),
        SignedPrekey(b"\x01", signing.sign(ben.seed, "prekey", b"\x01")),
        SignedPrekey(no_key, signing.sign(ben.seed, "prekey", no_key)),
        ben.prekey(3, seed=secrets.token_bytes(32)),
        ben.prekey(3, account="ann"),
        ben.prekey(3, device="ben-2"),
        ben.prekey(3, generation=ben.generation - 1),
        ben.prekey(3, last=True),
        ben.prekey(2),  # another key under an id that is held
    ]
    for prekey in bad:
        assert name(await ben.put_prekeys(good, prekey)) == "prekeys_invalid"
    assert name(await ben.put_prekeys(good, good)) == "prekeys_invalid"
    assert name(await ben.put_prekeys(last=good)) == "prekeys_invalid"
    reply = await ben.put_prekeys(good)
    assert reply["result"]["keys"]["count"] == 3
    assert (await ben.put_prekeys(good))["result"] == reply["result"]


async def test_no_more_prekeys_are_taken_than_are_kept(ben: Owner, server: DoorServer) -> None:
    await ben.enrol()
    many = [plain(ben.prekey(1))] * 129
    assert name(await ben.client.request("keys.prekeys.put", one_time=many)) == "invalid_field"
    more = [ben.prekey(number) for number in range(1, HELD + 2)]
    assert name(await ben.put_prekeys(*more)) == "too_many_prekeys"
    assert (await server.store.stock("ben", "ben-1")).one_time == ()
    assert name(await ben.put_prekeys(*more[:HELD])) == "ok"


async def test_a_million_prekeys_are_not_even_read(ben: Owner, server: DoorServer) -> None:
    await ben.enrol()
    await ben.client.send({"op": "keys.prekeys.put", "id": 99, "one_time": [0] * 1_000_000})
    assert await ben.client.close_code() == 4501
    assert ben.client.seen[-1]["name"] == "too_large"
    assert (await server.store.stock("ben", "ben-1")).one_time == ()


async def test_claims_are_for_those_who_share_a_room_and_have_a_device(
    ben: Owner, ann: Owner, server: DoorServer
) -> None:
    def claim(client: DoorClient, room: str, *places: list[str], number: bytes | None = None) -> Any:
        return client.request("keys.claim", claim=number or new_mid(), room=room, devices=list(places))

    place = ["ann", "ann-1"]
    assert name(await claim(ben.client, "r", place)) == "device_unlisted"
    await ben.enrol()
    assert name(await claim(ben.client, "other", place)) == "no_such_room"
    assert name(await claim(ben.client, "r", place, ["eve", "e"])) == "no_such_member"
    assert name(await claim(ben.client, "r", place, place)) == "invalid_field"
    assert name(await claim(ben.client, "r")) == "invalid_field"
    async with door_client(server.url) as eve:
        await eve.hello(server.token("eve"), "e")
        assert name(await claim(eve, "r", place)) == "no_such_room"
    number = new_mid()
    first = await claim(ben.client, "r", place, ["ann", "ann-9"], number=number)
    assert [one["device"] for one in first["result"]["prekeys"]] == ["ann-1"]
    again = await claim(ben.client, "r", place, ["ann", "ann-9"], number=number)
    assert again["result"] == first["result"]
    assert name(await claim(ben.client, "r", place, number=number)) == "claim_differs"


async def test_a_flood_of_claims_is_held_up_and_others_are_not(
    ben: Owner, ann: Owner, server: DoorServer
) -> None:
    await ben.enrol(1, 2, 3, 4, 5, 6)
    replies = [
        await ann.client.request("keys.claim", claim=new_mid(), room="r", devices=[["ben", "ben-1"]])
        for _ in range(9)
    ]
    assert [name(reply) for reply in replies] == ["ok"] * 8 + ["rate_limited"]
    assert replies[-1]["temporary"] is True
    assert replies[-1]["retry_after_ms"] > 0
    own = await ben.client.request("keys.claim", claim=new_mid(), room="r", devices=[["ann", "ann-1"]])
    assert name(own) == "ok"
    assert server.noted == [("request.keys.claim", "rate_limited")]
    assert server.hub.stats().refused == {"rate_limited": 1}
    found = counted(server)
    assert [found[f'rapport_prekeys_claimed_total{{kind="{kind}"}}'] for kind in KINDS] == [6, 3, 0]
    assert found["rapport_prekeys_low_total"] == 9, "told so each time"


async def test_what_is_not_there_is_counted_and_once(ben: Owner, ann: Owner, server: DoorServer) -> None:
    await ben.enrol()
    claim = {"claim": new_mid(), "room": "r", "devices": [["ann", "ann-1"], ["ann", "ann-9"]]}
    for _ in range(2):
        assert name(await ben.client.request("keys.claim", **claim)) == "ok"
    found = counted(server)
    assert [found[f'rapport_prekeys_claimed_total{{kind="{kind}"}}'] for kind in KINDS] == [0, 1, 1]


# --- Epochs and messages


class Epoch:
    """An epoch of Ann's, to be bent."""

    def __init__(self, ann: Owner, ben: Owner) -> None:
        self.ann = ann
        self.lists = {one.account: (1, one.lists[0].digest) for one in (ann, ben)}
        self.places = [("ben", "ben-1", 99)]
        self.id = secrets.token_bytes(16)
        self.room, self.device = "r", "ann-1"

    async def send(self, mid: bytes | None = None) -> Frame:
        header = EpochHeader(
            self.room,
            "ann",
            self.device,
            self.id,
            ratchet.commitment(bytes(32)),
            epochs.names_of(self.lists),
            self.ann.lists[0],
            None,
            None,
            Place(1, 0),
            now_ms(),
        )
        public = unpack(Prekey, self.ann.prekey(1).body).public
        recipients = [Recipient(account, device, number, public) for account, device, number in self.places]
        keys = epochs.make_keys(header, bytes(32), self.ann.seed, recipients)
        return await self.ann.client.request("keys.send", room="r", mid=mid or new_mid(), **of_epoch(keys))


async def test_an_epoch_is_for_all_devices_and_nobody_else(ben: Owner, ann: Owner) -> None:
    await ben.enrol()
    epoch = Epoch(ann, ben)
    epoch.places = []
    missing = await epoch.send()
    assert name(missing) == "device_mismatch"
    assert missing["mismatch"]["missing"] == [["ben", "ben-1"]]
    epoch.places = [("ben", "ben-1", 99), ("ben", "ben-2", 1), ("ben", "", 0)]
    extra = await epoch.send()
    assert extra["mismatch"]["extra"] == [["ben", ""], ["ben", "ben-2"]]
    assert len(extra["mismatch"]["lists"]) == 2
    epoch.places = [("ben", "ben-1", 99)] * 2
    assert name(await epoch.send()) == "envelope_invalid"
    epoch.places = [("ben", "ben-1", 99)]
    epoch.lists["ben"] = (1, bytes(32))
    stale = await epoch.send()
    assert stale["mismatch"]["stale"] == ["ben"]
    assert stale["mismatch"]["members"] == ["ann", "ben"]
    epoch.lists["ben"] = (1, ben.lists[0].digest)
    mid = new_mid()
    assert name(await epoch.send(mid)) == "ok"


async def test_an_epoch_names_its_room_and_sender(ben: Owner, ann: Owner) -> None:
    await ben.enrol()
    for change in ({"room": "other"}, {"device": "ann-2"}):
        epoch = Epoch(ann, ben)
        vars(epoch).update(change)
        assert name(await epoch.send()) == "envelope_invalid"
    fields = {"room": "r", "mid": new_mid(), "signature": bytes(64), "slots": []}
    assert name(await ann.client.request("keys.send", header=b"\x90", **fields)) == "envelope_invalid"
    assert name(await ann.client.request("keys.send", header=bytes(20_000), **fields)) == "invalid_field"


async def test_who_is_not_listed_opens_no_epoch(ben: Owner, ann: Owner, server: DoorServer) -> None:
    await ben.enrol()
    async with door_client(server.url) as client:
        await client.hello(server.token("ann", "therapist"), "ann-2")
        epoch = Epoch(ann, ben)
        epoch.device, ann.client = "ann-2", client
        assert name(await epoch.send()) == "device_unlisted"


async def test_messages_that_are_not_what_they_say(ben: Owner, ann: Owner) -> None:
    await ben.enrol()
    epoch = Epoch(ann, ben)
    await epoch.send()
    lists = {"ann": 1, "ben": 1}
    mid = new_mid()

    def sealed(**other: Any) -> bytes:
        fields: dict[str, Any] = {"room": "r", "account": "ann", "device": "ann-1", "epoch": epoch.id}
        fields |= {"index": 0, "previous": None, "mid": mid, "after": Place(1, 0), "session": None} | other
        chain, _ = ratchet.start(b"", bytes(32))
        return messages.seal(MessageHeader(**fields), chain, b"content", ann.seed)

    async def send(data: bytes) -> str:
        return name(await ann.client.message("r", data, mid, lists=lists))

    assert await send(b"not sealed") == "envelope_invalid"
    assert await send(sealed()[:-1]) == "envelope_invalid"
    others: list[dict[str, Any]] = [
        {"room": "other"},
        {"account": "ben"},
        {"device": "ann-2"},
        {"mid": new_mid()},
        {"session": "s"},
    ]
    for other in others:
        assert await send(sealed(**other)) == "envelope_invalid"
    assert await send(sealed(epoch=secrets.token_bytes(16))) == "epoch_unknown"
    good = sealed()
    assert await send(good) == "ok"
    again = await ann.client.message("r", good, mid, lists=lists)
    assert again["result"]["duplicate"] is True
    assert await send(sealed()[:-64] + bytes(64)) == "mid_differs"


async def test_envelopes_that_are_too_large(ben: Owner, ann: Owner, server: DoorServer) -> None:
    await ben.enrol()
    lists = {"ann": 1, "ben": 1}
    assert name(await ann.client.message("r", bytes(96 * 1024 + 1), lists=lists)) == "too_large"
    many = {f"account-{number}": 1 for number in range(4_097)}
    assert name(await ann.client.message("r", b"x", lists=many)) == "invalid_field"
    whole: dict[str, Any] = {"header": b"x", "signature": bytes(64), "slots": []}
    slot = ["ben", "ben-1", 1, bytes(1_120), bytes(100)]
    for other in ({"header": bytes(MAX_HEADER_BYTES + 1)}, {"signature": bytes(65)}, {"slots": [slot]}):
        reply = await ann.client.request("keys.send", room="r", mid=new_mid(), **whole | other)
        assert name(reply) == "invalid_field", other
    head = (await server.store.heads(["r"]))["r"].head
    epoch = Epoch(ann, ben)
    assert name(await epoch.send()) == "ok", "the connection goes on"
    assert (await server.store.heads(["r"]))["r"].head == head + 1


# --- The vault


async def test_a_vault_is_replaced_only_by_who_knows_it(ben: Owner, server: DoorServer) -> None:
    client = ben.client
    assert (await client.request("vault.get"))["result"] == {"of": "vault", "revision": 0}
    assert name(await client.request("vault.put", blob=b"a", revision=1)) == "vault_changed"
    assert (await client.request("vault.put", blob=b"a", revision=0))["result"]["revision"] == 1
    assert (await client.request("vault.put", blob=b"a", revision=0))["result"]["revision"] == 1
    assert name(await client.request("vault.put", blob=b"b", revision=0)) == "vault_changed"
    assert name(await client.request("vault.put", blob=bytes(16_385), revision=1)) == "invalid_field"
    await ben.enrol()
    async with door_client(server.url) as new:
        assert (await new.hello(server.token("ben"), "ben-2"))["keys"]["vault"] == 1
        assert (await new.request("vault.get"))["result"]["blob"] == b"a"
        assert name(await new.request("vault.put", blob=b"b", revision=1)) == "device_unlisted"

"""What the browser makes, Python takes; and what is wrong, both find wrong in the same way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from protocol.e2ee import devices, epochs, messages, prekeys, ratchet, signing, vault, xwing
from protocol.e2ee.attachments import decrypt as decrypt_file
from protocol.e2ee.attachments import encrypt as encrypt_file
from protocol.e2ee.contents import decode_content
from protocol.e2ee.devices import DeviceEntry, DeviceList, SignedList
from protocol.e2ee.epochs import ARCHIVE, EpochHeader, EpochKeys, Place, Recipient
from protocol.e2ee.errors import E2eeError
from protocol.e2ee.messages import Arrival, MessageHeader
from protocol.e2ee.padding import unpad
from protocol.e2ee.structures import NO_DIGEST, pack
from tests.vectors.values import drawn
from tests.web.runtimes import Held, Refused, Runtime

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

OUR_KEM = Held("kem")
ACCOUNT, DEVICE, MALLORY = drawn("account"), drawn("device"), drawn("mallory")
PREKEY = drawn("prekey")
NOW_MS = 1_800_000_000_000


def flipped(data: bytes, at: int = -1) -> bytes:
    """The bytes with one bit changed."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


async def kind_of(work: Awaitable[Any]) -> str:
    """The name of the error that the browser's modules throw; ``none`` without one."""
    try:
        await work
    except Refused as refused:
        return refused.kind or str(refused)
    return "none"


def name_of(work: Callable[[], Any]) -> str:
    """The name of the error that Python raises; ``none`` without one."""
    try:
        work()
    except E2eeError as error:
        return error.name
    return "none"


# --- Device lists and prekeys -----------------------------------------------------------------------------


def entry(name: str, key: bytes = DEVICE) -> DeviceEntry:
    return DeviceEntry(name, signing.public_key(key), NOW_MS)


def a_list(
    number: int,
    *entries: DeviceEntry,
    previous: bytes | None = None,
    by: bytes = ACCOUNT,
    account: str = "ada",
) -> SignedList:
    body = DeviceList(account, number, NOW_MS, entries, None, previous)
    return devices.make_list(by, body)


FIRST = a_list(1, entry("laptop"))
SECOND = a_list(2, entry("laptop"), entry("phone"), previous=FIRST.digest)
THIRD = a_list(3, entry("phone"), previous=SECOND.digest)
LISTS: dict[str, tuple[SignedList | None, SignedList]] = {
    "first": (None, FIRST),
    "next": (FIRST, SECOND),
    "some in between left out": (FIRST, THIRD),
    "the same again": (SECOND, SECOND),
    "rolled back": (SECOND, FIRST),
    "forked": (SECOND, a_list(2, entry("mallory", MALLORY), previous=FIRST.digest)),
    "does not follow": (SECOND, a_list(3, entry("phone"), previous=FIRST.digest)),
    "another key": (FIRST, a_list(2, entry("mallory", MALLORY), previous=FIRST.digest, by=MALLORY)),
    "device added": (FIRST, SignedList(SECOND.account_key, FIRST.body, SECOND.signature)),
    "one bit": (None, SignedList(FIRST.account_key, flipped(FIRST.body), FIRST.signature)),
    "of another account": (None, a_list(1, entry("laptop"), account="ben")),
    "unsorted": (None, a_list(1, entry("phone"), entry("laptop"))),
    "twice": (None, a_list(1, entry("phone"), entry("phone"))),
    "sorted by code points": (None, a_list(1, entry("\uffee"), entry("\U0001f600"))),
    "sorted by UTF-16": (None, a_list(1, entry("\U0001f600"), entry("\uffee"))),
    "a first one with a previous": (None, a_list(1, entry("laptop"), previous=FIRST.digest)),
    "a second one without": (None, a_list(2, entry("laptop"))),
    "beginning anew with the same key": (FIRST, a_list(2, entry("laptop"))),
    "a long name": (None, a_list(1, entry("\U0001f600" * 64))),
    "too many devices": (None, a_list(1, *(entry(f"d{i:02}") for i in range(21)))),
}


@pytest.mark.parametrize("case", LISTS)
async def test_device_lists(ours: Runtime, case: str) -> None:
    known, shown = LISTS[case]
    verdict = name_of(lambda: devices.advance(known, shown, "ada"))
    assert await kind_of(ours.call("identity.advance", in_js(known), in_js(shown), "ada")) == verdict


def in_js(signed: SignedList | None) -> Any:
    if signed is None:
        return None
    return {"accountKey": signed.account_key, "body": signed.body, "signature": signed.signature}


def a_prekey(device: str = "phone", by: bytes = DEVICE) -> prekeys.SignedPrekey:
    return prekeys.make_prekey(by, "ada", device, 1, 7, PREKEY)


@pytest.mark.parametrize(
    "shown",
    [
        a_prekey(),
        a_prekey(device="laptop"),
        a_prekey(by=MALLORY),
        prekeys.SignedPrekey(a_prekey().body, flipped(a_prekey().signature)),
        prekeys.SignedPrekey(flipped(a_prekey().body), a_prekey().signature),
        prekeys.SignedPrekey(b"\x96", signing.sign(DEVICE, "prekey", b"\x96")),
        prekeys.SignedPrekey(b"\xc1", signing.sign(DEVICE, "prekey", b"\xc1")),
    ],
    ids=["good", "of another device", "by another", "signature", "body", "cut short", "nonsense"],
)
async def test_prekeys(ours: Runtime, shown: prekeys.SignedPrekey) -> None:
    key = signing.public_key(DEVICE)
    verdict = name_of(lambda: prekeys.verify_prekey(shown, "ada", "phone", key))
    signed = {"body": shown.body, "signature": shown.signature}
    asked = {"account": "ada", "device": "phone", "deviceKey": key}
    assert await kind_of(ours.call("prekeys.verifyPrekey", signed, asked)) == verdict


# --- Epochs -----------------------------------------------------------------------------------------------

SEED = drawn("seed")
LISTED = epochs.names_of({"ada": (1, FIRST.digest), "ben": (0, NO_DIGEST)})
HEADER = EpochHeader(
    "room",
    "ada",
    "laptop",
    drawn("epoch", 16),
    ratchet.commitment(SEED),
    LISTED,
    FIRST,
    None,
    None,
    Place(1, 3),
    NOW_MS,
)
ME = Recipient("ben", "tablet", 5, xwing.public_key(PREKEY))
KEYS = epochs.make_keys(HEADER, SEED, DEVICE, [ME])
OTHER_SEED = epochs.make_keys(HEADER, drawn("other seed"), DEVICE, [ME])
OTHER_HEADER = epochs.make_keys(msgspec.structs.replace(HEADER, room="other"), SEED, DEVICE, [ME])
OPENINGS: dict[str, EpochKeys] = {
    "good": KEYS,
    "another seed than promised": OTHER_SEED,
    "a slot of another epoch": msgspec.structs.replace(KEYS, slots=OTHER_HEADER.slots),
    "of another room": OTHER_HEADER,
    "forged": epochs.make_keys(HEADER, SEED, MALLORY, [ME]),
    "in another's name": epochs.make_keys(msgspec.structs.replace(HEADER, account="eve"), SEED, DEVICE, [ME]),
    "for another prekey": msgspec.structs.replace(
        KEYS, slots=(msgspec.structs.replace(KEYS.slots[0], prekey=6),)
    ),
    "one bit": msgspec.structs.replace(
        KEYS, slots=(msgspec.structs.replace(KEYS.slots[0], sealed=flipped(KEYS.slots[0].sealed)),)
    ),
    "with a list that it does not name": epochs.make_keys(
        msgspec.structs.replace(HEADER, own=SECOND), SEED, DEVICE, [ME]
    ),
    "with a list that nobody signed": epochs.make_keys(
        msgspec.structs.replace(HEADER, own=SignedList(FIRST.account_key, FIRST.body, bytes(64))),
        SEED,
        DEVICE,
        [ME],
    ),
    "cut short": EpochKeys(KEYS.header[:-1], KEYS.signature, KEYS.slots),
}


@pytest.mark.parametrize("case", OPENINGS)
async def test_epochs(ours: Runtime, case: str) -> None:
    keys, key = OPENINGS[case], signing.public_key(DEVICE)

    def in_python() -> None:
        header = epochs.read_header(keys.header)
        epochs.check_header(keys, header, "room", "ada", "laptop", key)
        epochs.sender_list(header)
        slot = epochs.find_slot(keys, "ben", "tablet")
        assert slot is not None
        assert epochs.open_slot(keys.header, slot, PREKEY) == SEED

    async def in_browser() -> None:
        await ours.call("structures.decoded", pack(keys), hold="packed")
        read = await ours.call("epoch.EpochKeys.read", Held("packed"))
        sender = {"room": "room", "account": "ada", "device": "laptop", "deviceKey": key}
        header = await ours.call("epoch.checkHeader", read, sender)
        await ours.call("epoch.senderList", header)
        slot = await ours.call("epoch.findSlot", read, "ben", "tablet")
        await ours.call("kem.fromSeed", PREKEY, hold="prekey")
        opened = await ours.call("epoch.openSlot", OUR_KEM, read["header"], slot, Held("prekey.privateKey"))
        assert opened == SEED

    assert await kind_of(in_browser()) == name_of(in_python)


async def test_python_opens_an_epoch_that_the_browser_made(ours: Runtime) -> None:
    await ours.call("signing.fromSeed", DEVICE, hold="device")
    header = {
        "room": "room", "account": "ada", "device": "laptop", "epoch": drawn("epoch", 16),
        "commitment": await ours.call("ratchet.commitment", SEED),
        "lists": [{"account": "ada", "number": 1, "digest": FIRST.digest}], "own": in_js(FIRST),
        "organisation": None, "previous": {"epoch": drawn("before", 16), "last": None},
        "after": {"log": 1, "offset": 3}, "createdMs": NOW_MS,
    }  # fmt: skip
    recipients = [
        {"account": "ben", "device": "tablet", "prekey": 5, "public": xwing.public_key(PREKEY)},
        {"account": "ben", "device": ARCHIVE, "prekey": 0, "public": xwing.public_key(drawn("archive"))},
    ]
    made = await ours.call("epoch.makeKeys", OUR_KEM, header, SEED, Held("device.privateKey"), recipients)
    slots = tuple(epochs.Slot(*slot.values()) for slot in made["slots"])
    keys = EpochKeys(made["header"], made["signature"], slots)
    read = epochs.read_header(keys.header)
    epochs.check_header(keys, read, "room", "ada", "laptop", signing.public_key(DEVICE))
    for slot, seed in zip(slots, (PREKEY, drawn("archive")), strict=True):
        assert epochs.open_slot(keys.header, slot, seed) == SEED


# --- Messages ---------------------------------------------------------------------------------------------

PACKED = pack(HEADER)
MID = drawn("mid", 16)


def written(index: int, **changes: Any) -> bytes:
    """The envelope of message ``index`` of the epoch."""
    chain, _ = ratchet.start(PACKED, SEED)
    header = MessageHeader(
        "room", "ada", "laptop", HEADER.epoch, index, index - 1 if index else None, MID, Place(1, 3), None
    )
    by = changes.pop("by", DEVICE)
    return messages.seal(msgspec.structs.replace(header, **changes), chain.forward(index), b"\x92", by)


ARRIVAL = Arrival("room", "ada", "laptop", MID, None, Place(1, 9))
MESSAGES: dict[str, tuple[bytes, Arrival]] = {
    "good": (written(2), ARRIVAL),
    "of another room": (written(2, room="other"), ARRIVAL),
    "of another device": (written(2, device="phone"), ARRIVAL),
    "under another id": (written(2, mid=bytes(16)), ARRIVAL),
    "of another session": (written(2), msgspec.structs.replace(ARRIVAL, session="s1")),
    "forged": (written(2, by=MALLORY), ARRIVAL),
    "before what was read": (written(2), msgspec.structs.replace(ARRIVAL, place=Place(1, 3))),
    "in an earlier log": (written(2), msgspec.structs.replace(ARRIVAL, place=Place(0, 9))),
    "in a later log": (written(2), msgspec.structs.replace(ARRIVAL, place=Place(2, 1))),
    "the one before": (written(1), ARRIVAL),
    "an old one": (written(0), ARRIVAL),
    "one is missing": (written(3), ARRIVAL),
    "beyond the last": (written(100), ARRIVAL),
    "does not follow": (written(2, previous=0), ARRIVAL),
    "one bit": (flipped(written(2)), ARRIVAL),
    "cut short": (written(2)[:-1], ARRIVAL),
    "too large": (written(2) + bytes(100_000), ARRIVAL),
    "nothing": (b"", ARRIVAL),
    "no envelope": (b"\x90", ARRIVAL),
    "another version": (b"\x94\x02" + written(2)[2:], ARRIVAL),
}


@pytest.mark.parametrize("case", MESSAGES)
async def test_messages(ours: Runtime, case: str) -> None:
    data, arrival = MESSAGES[case]
    key = signing.public_key(DEVICE)

    def in_python() -> None:
        envelope, header = messages.read(data)
        messages.check(envelope, header, arrival, key)
        messages.check_order(header, 2)
        chain, _ = ratchet.start(PACKED, SEED)
        assert messages.decrypt(envelope, chain.forward(header.index)) == b"\x92"

    async def in_browser() -> None:
        read = await ours.call("message.read", data)
        place = {"log": arrival.place.log, "offset": arrival.place.offset}
        told = {**msgspec.structs.asdict(arrival), "place": place}
        await ours.call("message.check", read["envelope"], read["header"], told, key)
        await ours.call("message.checkOrder", read["header"], 2)
        await ours.call("ratchet.start", PACKED, SEED, hold="started")
        await ours.call("ratchet.forward", Held("started.chain"), read["header"]["index"], hold="chain")
        assert await ours.call("message.decrypt", read["envelope"], Held("chain")) == b"\x92"

    assert await kind_of(in_browser()) == name_of(in_python)


async def test_a_message_sealed_with_another_key_is_tampered(ours: Runtime) -> None:
    read = await ours.call("message.read", written(0))
    await ours.call("ratchet.start", PACKED, drawn("other seed"), hold="started")
    decrypted = ours.call("message.decrypt", read["envelope"], Held("started.chain"))
    assert await kind_of(decrypted) == "tampered"


# --- What stands inside and around ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "padded",
    [b"\x80" + bytes(255), bytes(256), b"", b"\x80", b"\x80" + bytes(256), b"a" * 256, b"\x80" + bytes(511)],
    ids=["good", "no mark", "nothing", "short", "long", "full", "too much"],
)
async def test_padding(ours: Runtime, padded: bytes) -> None:
    assert await kind_of(ours.call("padding.unpad", padded)) == name_of(lambda: unpad(padded))


@pytest.mark.parametrize(
    "value",
    [
        ["text", {"text": "hello", "newer": 1}],
        ["text", {}],
        ["text", {"text": 1}],
        ["text", ["hello"]],
        ["text", None],
        ["text"],
        ["text", {"text": "hello"}, 1],
        ["attachment", {"blob": bytes(31), "key": bytes(32), "size": 1, "name": "", "media_type": ""}],
        ["constructor", {}],
        ["form_result", {"form": "f", "version": 1, "answers": [1, 10], "total": 1, "band": ""}],
        ["form_result", {"form": "f", "version": 1, "answers": [1, 9], "total": 1, "band": ""}],
        {"text": "hello"},
        None,
    ],
    ids=repr,
)
async def test_contents(ours: Runtime, value: Any) -> None:
    data = pack(value)
    verdict = name_of(lambda: decode_content(data))
    assert await kind_of(ours.call("content.decodeContent", data)) == verdict


@pytest.mark.parametrize("size", [0, 10, 65_536, 65_537, 140_000])
async def test_attachments(ours: Runtime, size: int) -> None:
    key, file = drawn("file key"), bytes(size)
    whole, _ = encrypt_file(key, file)
    assert b"".join(await ours.call("attachments.encrypt", key, [file])) == whole
    chunk = 65_536 + 16
    cut = (whole[:-1], whole[:chunk], whole[chunk:], b"")
    for data in (whole, *cut, flipped(whole), flipped(whole, 0), whole * 2):

        def in_python(data: bytes = data) -> None:
            assert decrypt_file(key, size, data) == file

        async def in_browser(data: bytes = data) -> None:
            assert b"".join(await ours.call("attachments.decrypt", key, size, [data])) == file

        assert await kind_of(in_browser()) == name_of(in_python)


async def test_python_unlocks_a_vault_of_the_browser_and_reads_names(ours: Runtime) -> None:
    secrets = {"accountSeed": ACCOUNT, "archiveSeed": None}
    cost = {"passes": 1, "memoryKib": 16, "lanes": 1}
    blob = await ours.call("archive.lock", secrets, "Zauberwort", "ada", cost)
    opened = vault.unlock(blob, "Zauberwort", "ada")
    assert (opened.account_seed, opened.archive_seed) == (ACCOUNT, None)
    for data, passphrase, account in (
        (blob, "Zauberwort", "ada"),
        (blob, "zauberwort", "ada"),
        (blob, "Zauberwort", "ben"),
        (flipped(blob), "Zauberwort", "ada"),
        (blob[:-1], "Zauberwort", "ada"),
    ):
        verdict = name_of(lambda d=data, p=passphrase, a=account: vault.unlock(d, p, a))  # type: ignore[misc]
        assert await kind_of(ours.call("archive.unlock", data, passphrase, account)) == verdict
    sealed = await ours.call("archive.sealName", ACCOUNT, "Adas Telefon")
    assert vault.open_name(ACCOUNT, sealed) == "Adas Telefon"
    assert await kind_of(ours.call("archive.openName", MALLORY, sealed)) == "wrong_passphrase"

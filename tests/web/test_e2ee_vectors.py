"""The vectors that Python wrote, read and made again by the browser's modules."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.web.runtimes import Held, Runtime

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

FOLDER = Path(__file__).parents[1] / "vectors"
OUR_KEM = Held("kem")


def vectors(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def raw(digits: str) -> bytes:
    return bytes.fromhex(digits)


async def test_primitives(ours: Runtime) -> None:
    given = vectors("primitives")
    for each in given["sha256"]:
        assert await ours.call("kdf.sha256", raw(each["data"])) == raw(each["digest"])
    for each in given["hkdf"]:
        extracted = await ours.call("kdf.extract", raw(each["salt"]), raw(each["secret"]))
        assert extracted == raw(each["extracted"])
        await ours.call("kdf.secretKey", extracted, hold="prk")
        expanded = await ours.call("kdf.expand", Held("prk"), raw(each["info"]), each["length"])
        assert expanded == raw(each["expanded"])
    for each in given["ed25519"]:
        pair = await ours.call("signing.fromSeed", raw(each["seed"]), hold="pair")
        assert pair["publicKey"] == raw(each["public"])
        signed = await ours.call("signing.sign", Held("pair.privateKey"), each["label"], raw(each["body"]))
        assert signed == raw(each["signature"])
    for each in given["xwing_keys"]:
        assert (await ours.call("kem.fromSeed", raw(each["seed"])))["publicKey"] == raw(each["public"])
    for each in given["hpke"]:
        await ours.call("kem.fromSeed", raw(each["seed"]), hold="pair")
        message = {"enc": raw(each["encapsulated"]), "sealed": raw(each["sealed"])}
        opened = await ours.call("hpke.open", OUR_KEM, Held("pair.privateKey"), raw(each["info"]), message)
        assert opened == raw(each["plaintext"])


async def test_device_lists(ours: Runtime) -> None:
    for each in vectors("identity")["accounts"]:
        await ours.call("signing.fromSeed", raw(each["seed"]), hold="account")
        archive = None
        if each["archive_seed"]:
            archive = (await ours.call("kem.fromSeed", raw(each["archive_seed"])))["publicKey"]
        known = None
        for expected in each["lists"]:
            entries = [
                {"device": device, "key": raw(key), "addedMs": at} for device, key, at in expected["devices"]
            ]
            what = {"account": each["account"], "archive": archive, "nowMs": expected["created_ms"]}
            made = await ours.call("identity.nextList", known, {**what, "devices": entries[::-1]})
            signed = await ours.call("identity.makeList", Held("account"), made, hold="signed")
            assert signed["body"] == raw(expected["body"])
            assert signed["signature"] == raw(expected["signature"])
            assert await ours.call("identity.advance", known, signed, each["account"]) == made
            await ours.call("structures.decoded", raw(expected["packed"]), hold="packed")
            read = await ours.call("identity.SignedList.read", Held("packed"))
            assert read == signed
            known = signed


async def test_what_people_compare(ours: Runtime) -> None:
    given = vectors("identity")
    people = [{"account": account, "key": raw(key)} for account, key in given["safety_number"]["accounts"]]
    for pair in (people, people[::-1]):
        assert await ours.call("identity.safetyNumber", *pair) == given["safety_number"]["number"]
    code = given["verification_code"]
    keys = raw(code["account_key"]), raw(code["device_key"])
    assert await ours.call("identity.verificationCode", *keys) == code["code"]


async def test_prekeys(ours: Runtime) -> None:
    given = vectors("identity")
    tablet = given["accounts"][1]["devices"][0]
    pair = await ours.call("signing.fromSeed", raw(tablet["seed"]), hold="tablet")
    whose = {"account": "ben", "device": "tablet"}
    held = []
    for each in given["prekeys"]["prekeys"]:
        public = (await ours.call("kem.fromSeed", raw(each["seed"])))["publicKey"]
        prekey = {**whose, "generation": 1, "id": each["id"], "lastResort": each["last_resort"]}
        prekey["public"] = public
        made = await ours.call("prekeys.makePrekey", Held("tablet.privateKey"), prekey)
        assert made == {"body": raw(each["body"]), "signature": raw(each["signature"])}
        asked = {**whose, "deviceKey": pair["publicKey"]}
        assert await ours.call("prekeys.verifyPrekey", made, asked) == prekey
        held.append(prekey)
    one_time = held[1::-1]
    digest = await ours.call("prekeys.inventoryDigest", one_time)
    assert digest == raw(given["prekeys"]["inventory_digest"])


async def test_the_vault(ours: Runtime, chromium_modules: Runtime) -> None:
    given = vectors("identity")["vault"]
    seeds = {"accountSeed": raw(given["account_seed"]), "archiveSeed": raw(given["archive_seed"])}
    around = given["passphrase"], given["account"]
    assert await ours.call("archive.unlock", raw(given["quick_blob"]), *around) == seeds
    if ours is chromium_modules:  # seconds of computing, once
        assert await ours.call("archive.unlock", raw(given["blob"]), *around) == seeds


@pytest.mark.parametrize("spelling", range(3))
async def test_the_vault_opens_however_its_passphrase_is_spelt(ours: Runtime, spelling: int) -> None:
    given = vectors("identity")["vault"]
    passphrase = given["spellings"][spelling]
    secrets = await ours.call("archive.unlock", raw(given["spelt_blob"]), passphrase, given["account"])
    assert secrets["accountSeed"] == raw(given["account_seed"])


async def test_names_of_devices(ours: Runtime) -> None:
    given = vectors("identity")["device_name"]
    name = await ours.call("archive.openName", raw(given["account_seed"]), raw(given["sealed"]))
    assert name == given["name"]


async def test_an_epoch_is_opened_from_each_of_its_slots(ours: Runtime) -> None:
    given = vectors("talking")
    await ours.call("structures.decoded", raw(given["keys"]), hold="packed")
    keys = await ours.call("epoch.EpochKeys.read", Held("packed"))
    assert keys["header"] == raw(given["header"])
    sender = {name: given[name] for name in ("room", "account", "device")}
    sender["deviceKey"] = (await ours.call("signing.fromSeed", raw(given["device_seed"])))["publicKey"]
    header = await ours.call("epoch.checkHeader", keys, sender)
    assert header["commitment"] == raw(given["commitment"])
    again = await ours.call("structures.pack", Held("modules.epoch.EpochHeader"), header)
    assert again == raw(given["header"])
    for each in given["slots"]:
        slot = await ours.call("epoch.findSlot", keys, each["account"], each["device"])
        assert slot["prekey"] == each["prekey"]
        await ours.call("kem.fromSeed", raw(each["prekey_seed"]), hold="prekey")
        opened = await ours.call("epoch.openSlot", OUR_KEM, keys["header"], slot, Held("prekey.privateKey"))
        assert opened == raw(given["seed"])


async def test_the_ratchet(ours: Runtime) -> None:
    given = vectors("talking")
    await ours.call("ratchet.start", raw(given["header"]), raw(given["seed"]), hold="started")
    for each in given["exports"]:
        asked = each["label"], raw(each["context"]), each["length"]
        assert await ours.call("ratchet.exported", Held("started.exporter"), *asked) == raw(each["key"])
    for each in given["chain"]:
        await ours.call("ratchet.forward", Held("started.chain"), each["index"], hold="chain")
        keys = await ours.call("ratchet.messageKey", Held("chain"))
        assert keys == {"key": raw(each["key"]), "nonce": raw(each["nonce"])}


async def test_messages_are_sealed_to_the_same_bytes_and_opened(ours: Runtime) -> None:
    given = vectors("talking")
    await ours.call("ratchet.start", raw(given["header"]), raw(given["seed"]), hold="started")
    pair = await ours.call("signing.fromSeed", raw(given["device_seed"]), hold="device")
    for index, each in enumerate(given["messages"]):
        await ours.call("ratchet.forward", Held("started.chain"), each["index"], hold="chain")
        read = await ours.call("message.read", raw(each["envelope"]))
        envelope, header = read["envelope"], read["header"]
        log, offset = each["after"]
        arrival = {name: given[name] for name in ("room", "account", "device")}
        arrival |= {"mid": raw(each["mid"]), "session": each["session"]}
        arrival["place"] = {"log": log, "offset": offset + 1}
        await ours.call("message.check", envelope, header, arrival, pair["publicKey"])
        await ours.call("message.checkOrder", header, index)
        content = await ours.call("message.decrypt", envelope, Held("chain"))
        assert content == raw(each["content"])
        assert await ours.call("content.decodeContent", content) == {
            "type": "text",
            "text": f"message {index}",
        }
        sealed = await ours.call("message.seal", header, Held("chain"), content, Held("device.privateKey"))
        assert sealed == raw(each["envelope"])


async def test_contents(ours: Runtime) -> None:
    given = vectors("contents")
    for each in given["contents"]:
        content = await ours.call("content.decodeContent", raw(each["encoded"]))
        assert content["type"] == each["type"]
        assert await ours.call("content.encodeContent", content) == raw(each["encoded"])
    unknown = await ours.call("content.decodeContent", raw(given["unknown"]["encoded"]))
    assert unknown == {"type": given["unknown"]["type"], "unknown": True}


async def test_padding(ours: Runtime) -> None:
    for each in vectors("contents")["padding"]:
        content = b"x" * each["size"]
        padded = await ours.call("padding.pad", content)
        assert len(padded) == each["padded"]
        assert await ours.call("padding.unpad", padded) == content


async def test_the_forms_are_the_same_and_score_the_same(ours: Runtime) -> None:
    given = vectors("contents")
    definitions = {each["form"]: each for each in given["definitions"]}
    assert await ours.call("shown", Held("modules.forms.SHIPPED")) == definitions
    for each in given["scores"]:
        scored = await ours.call("forms.score", definitions[each["form"]], each["answers"])
        assert scored == {name: each[name] for name in ("total", "band", "urgent")}


async def test_attachments(ours: Runtime) -> None:
    given = vectors("attachments")
    key = raw(given["key"])
    for each in given["streams"]:
        file = hashlib.shake_256(given["file"].encode()).digest(each["size"])
        pieces = [file[at : at + 50_000] for at in range(0, len(file), 50_000)]
        ciphertext = b"".join(await ours.call("attachments.encrypt", key, pieces))
        assert hashlib.sha256(ciphertext).hexdigest() == each["digest"]
        assert len(ciphertext) == await ours.call("attachments.encryptedSize", each["size"])
        again = [ciphertext[at : at + 70_000] for at in range(0, len(ciphertext), 70_000)]
        assert b"".join(await ours.call("attachments.decrypt", key, each["size"], again)) == file

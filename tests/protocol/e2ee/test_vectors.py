"""The vectors are what the code makes, and what was sealed at random opens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.e2ee import attachments, epochs, kdf, messages, ratchet, signing, vault, xwing
from protocol.e2ee.contents import Unknown, decode_content, encode_content
from protocol.e2ee.epochs import EpochKeys
from protocol.e2ee.structures import unpack
from tests.vectors.__main__ import FILES, FOLDER
from tests.vectors.inside import plain

DRAWN = {"encapsulated", "sealed", "keys"}
"""What HPKE makes anew each time."""


def stored(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def settled(value: Any) -> Any:
    """A vector without what is drawn at random."""
    if isinstance(value, dict):
        return {key: settled(each) for key, each in value.items() if key not in DRAWN}
    return [settled(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_what_the_code_makes(name: str) -> None:
    made = json.loads(json.dumps(FILES[name]()))
    assert settled(made) == settled(stored(name)), "run python -m tests.vectors, and look at what changed"


def test_hpke_opens() -> None:
    for case in stored("primitives.json")["hpke"]:
        parts = (bytes.fromhex(case[key]) for key in ("seed", "info", "encapsulated", "sealed"))
        assert xwing.unseal(*parts).hex() == case["plaintext"]


def test_the_reference_agrees_with_rfc_5869() -> None:
    """Test case 1 of appendix A."""
    extracted = kdf.extract(bytes(range(13)), b"\x0b" * 22)
    expanded = kdf.expand(extracted, bytes(range(0xF0, 0xFA)), 42)
    assert expanded.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_every_slot_opens_to_the_seed() -> None:
    case = stored("talking.json")
    keys = unpack(EpochKeys, bytes.fromhex(case["keys"]))
    device_key = signing.public_key(bytes.fromhex(case["device_seed"]))
    header = epochs.read_header(keys.header)
    epochs.check_header(keys, header, case["room"], case["account"], case["device"], device_key)
    assert epochs.sender_list(header).key_of(case["device"]) == device_key
    for each in case["slots"]:
        slot = epochs.find_slot(keys, each["account"], each["device"])
        assert slot is not None
        seed = epochs.open_slot(keys.header, slot, bytes.fromhex(each["prekey_seed"]))
        assert seed.hex() == case["seed"]


def test_every_message_opens_with_its_key() -> None:
    case = stored("talking.json")
    chain, _ = ratchet.start(bytes.fromhex(case["header"]), bytes.fromhex(case["seed"]))
    for each in case["messages"]:
        envelope, header = messages.read(bytes.fromhex(each["envelope"]))
        assert messages.decrypt(envelope, chain.forward(header.index)).hex() == each["content"]


def test_the_vault_opens() -> None:
    case = stored("identity.json")["vault"]
    secrets = vault.unlock(bytes.fromhex(case["blob"]), case["passphrase"], case["account"])
    assert secrets.account_seed.hex() == case["account_seed"]


@pytest.mark.parametrize("spelling", range(3))
def test_the_vault_opens_however_its_passphrase_is_spelt(spelling: int) -> None:
    case = stored("identity.json")["vault"]
    secrets = vault.unlock(bytes.fromhex(case["spelt_blob"]), case["spellings"][spelling], case["account"])
    assert secrets.account_seed.hex() == case["account_seed"]


def test_contents_survive() -> None:
    case = stored("contents.json")
    for each in case["contents"]:
        encoded = bytes.fromhex(each["encoded"])
        content = decode_content(encoded)
        assert not isinstance(content, Unknown)
        assert encode_content(content) == encoded
    assert decode_content(bytes.fromhex(case["unknown"]["encoded"])) == Unknown("whiteboard")


def test_attachments_open() -> None:
    case = stored("attachments.json")
    key = bytes.fromhex(case["key"])
    for each in case["streams"]:
        ciphertext, _ = attachments.encrypt(key, plain(each["size"]))
        assert attachments.decrypt(key, each["size"], ciphertext) == plain(each["size"])

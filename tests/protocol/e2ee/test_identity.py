"""Lists, prekeys and vaults: what is refused, and by which name."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from protocol.e2ee import devices, errors, prekeys, signing, vault
from protocol.e2ee.devices import DeviceEntry, DeviceList, SignedList
from protocol.e2ee.structures import pack, unpack
from tests.vectors.identity import account_seed, device_seed, lists
from tests.vectors.values import drawn

(FIRST, SIGNED_FIRST), (SECOND, SIGNED_SECOND) = lists("ada")


def signed(devices_of: DeviceList, account: str = "ada") -> SignedList:
    return devices.make_list(account_seed(account), devices_of)


def test_lists_advance() -> None:
    assert devices.advance(None, SIGNED_FIRST, "ada") == FIRST
    assert devices.advance(SIGNED_FIRST, SIGNED_SECOND, "ada") == SECOND
    assert devices.advance(SIGNED_SECOND, SIGNED_SECOND, "ada") == SECOND


def test_lists_in_between_may_be_left_out() -> None:
    fourth = replace(SECOND, number=4, previous=drawn("the third"))
    assert devices.advance(SIGNED_SECOND, signed(fourth), "ada") == fourth


@pytest.mark.parametrize(
    ("known", "shown", "error"),
    [
        (SIGNED_SECOND, SIGNED_FIRST, errors.ListRolledBack),
        (SIGNED_FIRST, signed(replace(SECOND, previous=drawn("other"))), errors.ListForked),
        (SIGNED_SECOND, signed(replace(SECOND, created_ms=0)), errors.ListForked),
        (SIGNED_FIRST, signed(SECOND, "mallory"), errors.IdentityChanged),
        (SIGNED_FIRST, signed(replace(SECOND, account="ben")), errors.WrongAccount),
        (
            SIGNED_FIRST,
            replace(SIGNED_SECOND, body=pack(replace(SECOND, devices=()))),
            errors.ForgedSignature,
        ),
        (SIGNED_FIRST, signed(replace(SECOND, devices=SECOND.devices[::-1])), errors.Malformed),
        (SIGNED_FIRST, signed(replace(SECOND, devices=SECOND.devices[:1] * 2)), errors.Malformed),
        (SIGNED_FIRST, signed(replace(SECOND, previous=None)), errors.ListForked),
        (None, signed(replace(FIRST, previous=drawn("other"))), errors.Malformed),
    ],
)
def test_lists_that_do_not_follow(
    known: SignedList | None, shown: SignedList, error: type[errors.E2eeError]
) -> None:
    with pytest.raises(error):
        devices.advance(known, shown, "ada")


def test_a_list_has_a_limit() -> None:
    entries = tuple(DeviceEntry(f"d{n:02}", drawn("key"), 0) for n in range(21))
    with pytest.raises(errors.Malformed):
        devices.verify_list(signed(devices.next_list(None, "ada", entries, None, 0)), "ada")


def test_a_signature_for_one_purpose_is_worth_nothing_for_another() -> None:
    signature = signing.sign(drawn("key"), "keys", b"body")
    with pytest.raises(errors.ForgedSignature):
        signing.verify(signing.public_key(drawn("key")), "message", b"body", signature)


def test_the_safety_number_is_the_same_for_both_and_for_no_one_else() -> None:
    ada, ben, eve = (("ada", drawn("a")), ("ben", drawn("b")), ("ben", drawn("e")))
    number = devices.safety_number(ada, ben)
    assert number == devices.safety_number(ben, ada)
    assert number != devices.safety_number(ada, eve)
    assert [len(group) for group in number.split()] == [5] * 12


def prekey(account: str = "ada", device: str = "phone") -> prekeys.SignedPrekey:
    return prekeys.make_prekey(device_seed("ada", "phone"), account, device, 1, 9, drawn("prekey"))


def test_prekeys_verify() -> None:
    key = signing.public_key(device_seed("ada", "phone"))
    assert prekeys.verify_prekey(prekey(), "ada", "phone", key).id == 9
    with pytest.raises(errors.ForgedSignature):
        prekeys.verify_prekey(prekey(), "ada", "phone", drawn("another key"))
    with pytest.raises(errors.WrongPrekey):
        prekeys.verify_prekey(prekey("ben"), "ada", "phone", key)
    with pytest.raises(errors.WrongPrekey):
        prekeys.verify_prekey(prekey(device="laptop"), "ada", "phone", key)


def test_the_inventory_tells_order_and_keys() -> None:
    one, two = (1, drawn("one")), (2, drawn("two"))
    assert prekeys.inventory_digest([one, two]) == prekeys.inventory_digest([two, one])
    assert prekeys.inventory_digest([one, two]) != prekeys.inventory_digest([one])
    assert prekeys.inventory_digest([one]) != prekeys.inventory_digest([(1, drawn("two"))])


SECRETS = vault.AccountSecrets(drawn("account"), None)


def locked() -> bytes:
    salt, nonce = drawn("salt", 16), drawn("nonce", 12)
    return vault.lock(SECRETS, "hören", "ada", salt=salt, nonce=nonce, passes=1, memory_kib=8)


def test_the_vault_opens_with_its_passphrase_however_it_is_typed() -> None:
    assert vault.unlock(locked(), "ho\u0308ren", "ada") == SECRETS


def test_the_vault_stays_shut() -> None:
    for blob, passphrase, account in (
        (locked(), "hoeren", "ada"),
        (locked(), "hören", "ben"),
        (locked()[:-1] + bytes([locked()[-1] ^ 1]), "hören", "ada"),
    ):
        with pytest.raises(errors.VaultError):
            vault.unlock(blob, passphrase, account)


def test_the_vault_of_a_lying_server_costs_little() -> None:
    greedy = replace(unpack(vault.Vault, locked()), memory_kib=1 << 30)
    with pytest.raises(errors.Malformed):
        vault.unlock(pack(greedy), "hören", "ada")


def test_names_of_devices() -> None:
    sealed = vault.seal_name(drawn("account"), "Büro", drawn("nonce", 12))
    assert vault.open_name(drawn("account"), sealed) == "Büro"
    for seed, name in ((drawn("other"), sealed), (drawn("account"), b"short")):
        with pytest.raises(errors.VaultError):
            vault.open_name(seed, name)
    with pytest.raises(ValueError, match="at most 128 bytes"):
        vault.seal_name(drawn("account"), "x" * 129, drawn("nonce", 12))


def test_secrets_do_not_show() -> None:
    assert drawn("account").hex() not in repr(SECRETS)
    assert repr(SECRETS) == "<AccountSecrets>"

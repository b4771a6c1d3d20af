"""Device lists, safety numbers, prekeys and vaults of two people, Ada with two devices and Ben with one."""

from __future__ import annotations

from protocol.e2ee import devices, prekeys, signing, vault, xwing
from protocol.e2ee.devices import DeviceEntry, DeviceList, SignedList
from protocol.e2ee.structures import pack
from tests.vectors.values import CREATED_MS, Vector, drawn

PEOPLE = {"ada": ("laptop", "phone"), "ben": ("tablet",)}


def account_seed(account: str) -> bytes:
    return drawn(f"account {account}")


def device_seed(account: str, device: str) -> bytes:
    return drawn(f"device {account} {device}")


def archive_seed(account: str) -> bytes:
    return drawn(f"archive {account}")


def prekey_seed(account: str, device: str, number: int) -> bytes:
    return drawn(f"prekey {account} {device} {number}")


def lists(account: str) -> list[tuple[DeviceList, SignedList]]:
    """One list for each device that is added; Ada keeps an archive."""
    archive = xwing.public_key(archive_seed(account)) if account == "ada" else None
    entries: tuple[DeviceEntry, ...] = ()
    known: DeviceList | None = None
    made = []
    for step, device in enumerate(PEOPLE[account]):
        at_ms = CREATED_MS + step * 1000
        entries += (DeviceEntry(device, signing.public_key(device_seed(account, device)), at_ms),)
        known = devices.next_list(known, account, entries, archive, at_ms)
        made.append((known, devices.make_list(account_seed(account), known)))
    return made


def identity() -> Vector:
    """Structures are given decoded, and packed as they travel."""
    ada, ben = (signing.public_key(account_seed(account)) for account in ("ada", "ben"))
    return {
        "accounts": [_account(account) for account in PEOPLE],
        "safety_number": {
            "accounts": [["ada", ada.hex()], ["ben", ben.hex()]],
            "number": devices.safety_number(("ada", ada), ("ben", ben)),
        },
        "verification_code": {
            "account_key": ada.hex(),
            "device_key": signing.public_key(device_seed("ada", "phone")).hex(),
            "code": devices.verification_code(ada, signing.public_key(device_seed("ada", "phone"))),
        },
        "prekeys": _prekeys(),
        "vault": _vault(),
        "device_name": {
            "account_seed": account_seed("ada").hex(),
            "name": "Adas Telefon, grün",
            "nonce": drawn("name", 12).hex(),
            "sealed": vault.seal_name(account_seed("ada"), "Adas Telefon, grün", drawn("name", 12)).hex(),
        },
    }


def _account(account: str) -> Vector:
    return {
        "account": account,
        "seed": account_seed(account).hex(),
        "key": signing.public_key(account_seed(account)).hex(),
        "archive_seed": archive_seed(account).hex() if account == "ada" else None,
        "devices": [
            {"device": device, "seed": device_seed(account, device).hex()} for device in PEOPLE[account]
        ],
        "lists": [
            {
                "number": devices_of.number,
                "created_ms": devices_of.created_ms,
                "devices": [[each.device, each.key.hex(), each.added_ms] for each in devices_of.devices],
                "body": signed.body.hex(),
                "signature": signed.signature.hex(),
                "digest": signed.digest.hex(),
                "packed": pack(signed).hex(),
            }
            for devices_of, signed in lists(account)
        ],
    }


def _prekeys() -> Vector:
    numbers = (1, 2, 3)
    seeds = {number: prekey_seed("ben", "tablet", number) for number in numbers}
    made = [
        prekeys.make_prekey(
            device_seed("ben", "tablet"), "ben", "tablet", 1, number, seeds[number], last_resort=number == 3
        )
        for number in numbers
    ]
    return {
        "account": "ben",
        "device": "tablet",
        "generation": 1,
        "prekeys": [
            {
                "id": number,
                "last_resort": number == 3,
                "seed": seeds[number].hex(),
                "body": signed.body.hex(),
                "signature": signed.signature.hex(),
                "packed": pack(signed).hex(),
            }
            for number, signed in zip(numbers, made, strict=True)
        ],
        "inventory_digest": prekeys.inventory_digest(
            (number, xwing.public_key(seeds[number])) for number in (1, 2)
        ).hex(),
    }


SPELLINGS = ["Gr\u00fc\u00dfe finden", "Gru\u0308\u00dfe finden", "Gr\u00fc\u00dfe \ufb01nden"]
"""One passphrase, as different keyboards and systems give it: composed, decomposed, and with a ligature."""


def _vault() -> Vector:
    secrets = vault.AccountSecrets(account_seed("ada"), archive_seed("ada"))
    salt, nonce, passphrase = (
        drawn("vault salt", 16),
        drawn("vault nonce", 12),
        "korrekt Pferd Akku Heftklammer",
    )
    return {
        "account": "ada",
        "passphrase": passphrase,
        "account_seed": secrets.account_seed.hex(),
        "archive_seed": archive_seed("ada").hex(),
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "blob": vault.lock(secrets, passphrase, "ada", salt=salt, nonce=nonce).hex(),
        "quick_blob": vault.lock(
            secrets, passphrase, "ada", salt=salt, nonce=nonce, passes=1, memory_kib=64
        ).hex(),
        "spellings": SPELLINGS,
        "spelt_blob": vault.lock(
            secrets, SPELLINGS[0], "ada", salt=salt, nonce=nonce, passes=1, memory_kib=64
        ).hex(),
    }

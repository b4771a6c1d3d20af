"""Who speaks for an account: its key, and the numbered list of its devices which that key signs.

A list is taken only when it is signed by the account key already pinned, and when it follows the list known.
What a change of the account key means, only people can tell: :func:`safety_number` is what they compare.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from msgspec import Meta

from protocol.e2ee import signing, xwing
from protocol.e2ee.errors import IdentityChanged, ListForked, ListRolledBack, Malformed, WrongAccount
from protocol.e2ee.kdf import digest
from protocol.e2ee.structures import Bytes32, Number, Signature, Structure, pack, unpack
from protocol.e2ee.xwing import PublicKey
from protocol.fields import AccountId, DeviceId, Milliseconds

MAX_DEVICES = 20
"""How many devices an account has at most."""

MAX_LIST_BYTES = 8192
_SAFETY_ROUNDS = 5200  # Makes the search for a key with a similar number that much dearer.


class DeviceEntry(Structure, frozen=True):
    """One device of an account."""

    device: DeviceId
    """Which one."""
    key: Bytes32
    """Its Ed25519 public key."""
    added_ms: Milliseconds
    """When the account let it in."""


class DeviceList(Structure, frozen=True):
    """The devices of an account from a moment on: the body of a :class:`SignedList`."""

    account: AccountId
    """Whose."""
    number: Number
    """1 for the first, and one more each time; an account whose keys were reset goes on counting."""
    created_ms: Milliseconds
    """When it was made."""
    devices: Annotated[tuple[DeviceEntry, ...], Meta(max_length=MAX_DEVICES)]
    """Sorted by device id, none twice."""
    archive: PublicKey | None
    """To which the account's history is sealed too, if it keeps an archive."""
    previous: Bytes32 | None
    """SHA-256 of the body of the list before; none for the first of an account key."""

    def key_of(self, device: str) -> bytes | None:
        """The public key of a device, or None when it is not in the list."""
        return next((entry.key for entry in self.devices if entry.device == device), None)


class SignedList(Structure, frozen=True):
    """A device list as it travels."""

    account_key: Bytes32
    """The Ed25519 public key that signed it."""
    body: Annotated[bytes, Meta(max_length=MAX_LIST_BYTES)]
    """A :class:`DeviceList`, packed."""
    signature: Signature
    """Over ``body``, for ``device-list``."""

    @property
    def digest(self) -> bytes:
        """What epochs and the next list name it by."""
        return digest(self.body)


def make_list(account_seed: bytes, devices: DeviceList) -> SignedList:
    """Sign a list with the account's private key."""
    body = pack(devices)
    return SignedList(signing.public_key(account_seed), body, signing.sign(account_seed, "device-list", body))


def next_list(
    known: DeviceList | None,
    account: str,
    devices: tuple[DeviceEntry, ...],
    archive: bytes | None,
    now_ms: int,
) -> DeviceList:
    """The list that follows ``known``, or the first one."""
    ordered = tuple(sorted(devices, key=lambda entry: entry.device))
    number = known.number + 1 if known else 1
    return DeviceList(account, number, now_ms, ordered, archive, digest(pack(known)) if known else None)


def verify_list(signed: SignedList, account: str) -> DeviceList:
    """The list inside, once its signature holds and it is well-formed and of ``account``.

    Says nothing about whose the key is: that is :func:`advance`. Raises :exc:`ForgedSignature`,
    :exc:`Malformed` or :exc:`WrongAccount`.
    """
    signing.verify(signed.account_key, "device-list", signed.body, signed.signature)
    devices = unpack(DeviceList, signed.body, MAX_LIST_BYTES)
    if devices.account != account:
        raise WrongAccount()
    names = [entry.device for entry in devices.devices]
    if names != sorted(set(names)) or (devices.number == 1 and devices.previous is not None):
        raise Malformed("the devices are not sorted, one is there twice, or the numbering is off")
    return devices


def check_archive(devices: DeviceList) -> None:
    """Whether something can be sealed to the archive that a list names. :exc:`Malformed` if not.

    For those who send: a list with another archive still says which devices speak for its account.
    """
    if devices.archive is not None:
        xwing.check(devices.archive)


def advance(known: SignedList | None, shown: SignedList, account: str) -> DeviceList:
    """Take ``shown`` as the account's current list after ``known``, the one pinned.

    The first list seen of an account is pinned as it is. Lists in between may be left out: one signature by
    the pinned key over a higher number is enough, and the very next list must name ``known``.
    Raises what :func:`verify_list` raises, and :exc:`IdentityChanged`, :exc:`ListRolledBack` or
    :exc:`ListForked`.
    """
    devices = verify_list(shown, account)
    if known is None:
        return devices
    if shown.account_key != known.account_key:
        raise IdentityChanged()
    before = verify_list(known, account)
    if devices.number < before.number:
        raise ListRolledBack()
    if devices.number == before.number and shown.body != known.body:
        raise ListForked()
    if devices.number == before.number + 1 and devices.previous != known.digest:
        raise ListForked()
    return devices


def safety_number(one: tuple[str, bytes], other: tuple[str, bytes]) -> str:
    """What two people compare, each given by account id and account key: 12 groups of 5 digits.

    The same for both of them, whoever asks.
    """
    return " ".join(group for half in sorted((_digits(*one), _digits(*other))) for group in half)


def verification_code(account_key: bytes, device_key: bytes) -> str:
    """What a person compares before letting a new device in: 3 groups of 4 digits."""
    number = int.from_bytes(digest(b"rapport/v1/device-code\0" + account_key + device_key)[:8], "big")
    digits = f"{number % 10**12:012}"
    return " ".join(digits[at : at + 4] for at in (0, 4, 8))


def _digits(account: str, key: bytes) -> tuple[str, ...]:
    """Six groups of five digits for one of the two."""
    value = b"rapport/v1/safety-number\0" + key + account.encode()
    for _ in range(_SAFETY_ROUNDS):
        value = hashlib.sha512(value + key).digest()
    return tuple(f"{int.from_bytes(value[at : at + 5], 'big') % 100_000:05}" for at in range(0, 30, 5))

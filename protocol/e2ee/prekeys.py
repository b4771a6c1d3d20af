"""Prekeys: public keys that a device leaves with the server, so that others can seal to it while it is away.

One-time prekeys go out first in, first out, each once; the last-resort one is for when they have run out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from protocol.e2ee import signing, xwing
from protocol.e2ee.errors import WrongPrekey
from protocol.e2ee.kdf import digest
from protocol.e2ee.structures import Count, Number, Signature, Structure, pack, unpack
from protocol.e2ee.xwing import PublicKey
from protocol.fields import AccountId, DeviceId

MAX_PREKEY_BYTES = 2048


class Prekey(Structure, frozen=True):
    """A public key of a device, good for one seal: the body of a :class:`SignedPrekey`."""

    account: AccountId
    """Whose."""
    device: DeviceId
    """Of which device."""
    generation: Count
    """Which life of the server's key store it was made for; goes up when a backup is restored."""
    id: Number
    """Goes up with every prekey of the device, over all generations; none is used twice."""
    last_resort: bool
    """May be handed out more than once."""
    public: PublicKey
    """X-Wing."""


class SignedPrekey(Structure, frozen=True):
    """A prekey as it travels."""

    body: Annotated[bytes, Meta(max_length=MAX_PREKEY_BYTES)]
    """A :class:`Prekey`, packed."""
    signature: Signature
    """By the device over ``body``, for ``prekey``."""


def make_prekey(
    device_seed: bytes,
    account: str,
    device: str,
    generation: int,
    number: int,
    seed: bytes,
    *,
    last_resort: bool = False,
) -> SignedPrekey:
    """The signed public half of the private key that grows from ``seed``, 32 bytes."""
    body = pack(Prekey(account, device, generation, number, last_resort, xwing.public_key(seed)))
    return SignedPrekey(body, signing.sign(device_seed, "prekey", body))


def verify_prekey(signed: SignedPrekey, account: str, device: str, device_key: bytes) -> Prekey:
    """The prekey inside, once ``device_key`` has signed it for this account and device, and it is a key.

    Raises :exc:`ForgedSignature`, :exc:`Malformed` or :exc:`WrongPrekey`.
    """
    signing.verify(device_key, "prekey", signed.body, signed.signature)
    prekey = unpack(Prekey, signed.body, MAX_PREKEY_BYTES)
    if (prekey.account, prekey.device) != (account, device):
        raise WrongPrekey()
    xwing.check(prekey.public)
    return prekey


def inventory_digest(held: Iterable[tuple[int, bytes]]) -> bytes:
    """SHA-256 over id (8 bytes, big-endian) and public key of the one-time prekeys held, by rising id.

    The server sends it in ``welcome``; a device that computes another one replaces what the server holds.
    """
    return digest(b"".join(number.to_bytes(8, "big") + public for number, public in sorted(held)))

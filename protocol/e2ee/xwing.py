"""Sealing to a public key: HPKE (RFC 9180, base mode) over X-Wing, HKDF-SHA256 and AES-256-GCM.

X-Wing (draft-connolly-cfrg-xwing-kem) is ML-KEM-768 (FIPS 203) and X25519 (RFC 7748) in one: it holds as long
as either of them does. A private key is a seed of 32 bytes, expanded as the draft says.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from msgspec import Meta

from protocol.e2ee.errors import Malformed, UnreadableSlot

PUBLIC_BYTES = 1216
"""1,184 of ML-KEM-768, then 32 of X25519."""

ENCAPSULATED_BYTES = 1120
"""1,088 of ML-KEM-768, then 32 of X25519."""

TAG_BYTES = 16
"""What AES-GCM adds to a plaintext."""

PublicKey: TypeAlias = Annotated[bytes, Meta(min_length=PUBLIC_BYTES, max_length=PUBLIC_BYTES)]
Encapsulated: TypeAlias = Annotated[bytes, Meta(min_length=ENCAPSULATED_BYTES, max_length=ENCAPSULATED_BYTES)]

_MLKEM_PUBLIC = 1184
_ANY_X25519 = X25519PrivateKey.from_private_bytes(bytes(32))
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def public_key(seed: bytes) -> bytes:
    """The public key of the private key that grows from ``seed``, 32 bytes."""
    mlkem, x25519 = _halves(seed)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def check(public: bytes) -> None:
    """Whether something can be sealed to a public key: 60 us. :exc:`Malformed` when it is none.

    Lists and prekeys are signed, which says nothing about the keys in them: coefficients of ML-KEM may be too
    large (FIPS 203, 7.2), points of X25519 lie in a group that is too small (RFC 7748, 6.1).
    """
    try:
        _parsed(public)
        _ANY_X25519.exchange(X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]))
    except ValueError:
        raise Malformed("not an X-Wing public key") from None


def seal(public: bytes, info: bytes, plaintext: bytes) -> tuple[bytes, bytes]:
    """Encapsulated key and ciphertext. :exc:`Malformed` when ``public`` is none: see :func:`check`."""
    try:
        sealed = _SUITE.encrypt(plaintext, _parsed(public), info)
    except ValueError:
        raise Malformed("not an X-Wing public key") from None
    return sealed[:ENCAPSULATED_BYTES], sealed[ENCAPSULATED_BYTES:]


def unseal(seed: bytes, info: bytes, encapsulated: bytes, ciphertext: bytes) -> bytes:
    """The plaintext. :exc:`UnreadableSlot` when key, ``info`` or bytes are not those of :func:`seal`."""
    try:
        return _SUITE.decrypt(encapsulated + ciphertext, MLKEM768X25519PrivateKey(*_halves(seed)), info)
    except (InvalidTag, ValueError):
        raise UnreadableSlot() from None


def _parsed(public: bytes) -> MLKEM768X25519PublicKey:
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]),
        X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]),
    )


def _halves(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    expanded = hashlib.shake_256(seed).digest(96)
    return (
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        X25519PrivateKey.from_private_bytes(expanded[64:]),
    )

"""Ed25519 signatures (RFC 8032), each bound to what it is for.

What is signed is ``"rapport/v1/" + label + NUL + body``, so that a signature for one purpose is worth nothing
for another.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.e2ee.errors import ForgedSignature

Label: TypeAlias = Literal["device-list", "prekey", "keys", "message", "dtls"]
"""What signatures are made for."""


def public_key(seed: bytes) -> bytes:
    """The public key, 32 bytes, of a private key given by its seed of 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, label: Label, body: bytes) -> bytes:
    """The signature, 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(_signed(label, body))


def verify(public: bytes, label: Label, body: bytes, signature: bytes) -> None:
    """Raises :exc:`ForgedSignature` unless ``signature`` was made over ``body`` for this purpose."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _signed(label, body))
    except (InvalidSignature, ValueError):
        raise ForgedSignature() from None


def _signed(label: Label, body: bytes) -> bytes:
    return b"rapport/v1/" + label.encode() + b"\0" + body

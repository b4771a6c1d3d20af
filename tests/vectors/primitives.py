"""Hashing, derivation, signatures, X-Wing and HPKE."""

from __future__ import annotations

from protocol.e2ee import kdf, signing, xwing
from tests.vectors.values import Vector, drawn


def primitives() -> Vector:
    """Each case holds its inputs and what comes out, bytes in hex."""
    return {
        "sha256": [{"data": data.hex(), "digest": kdf.digest(data).hex()} for data in (b"", b"rapport")],
        "hkdf": [_hkdf(length) for length in (12, 32, 44, 100)],
        "ed25519": [_signature(label) for label in ("device-list", "prekey", "keys", "message")],
        "xwing_keys": [_xwing_key(name) for name in ("one", "other")],
        "hpke": [_hpke(b"", b""), _hpke(b"some info", drawn("plaintext"))],
    }


def _hkdf(length: int) -> Vector:
    salt, secret, info = drawn("salt"), drawn("secret"), b"rapport/v1/chain"
    extracted = kdf.extract(salt, secret)
    return {
        "salt": salt.hex(),
        "secret": secret.hex(),
        "extracted": extracted.hex(),
        "info": info.hex(),
        "length": length,
        "expanded": kdf.expand(extracted, info, length).hex(),
    }


def _signature(label: signing.Label) -> Vector:
    seed, body = drawn("signing key"), b"the body of " + label.encode()
    return {
        "seed": seed.hex(),
        "public": signing.public_key(seed).hex(),
        "label": label,
        "body": body.hex(),
        "signature": signing.sign(seed, label, body).hex(),
    }


def _xwing_key(name: str) -> Vector:
    seed = drawn(f"x-wing {name}")
    return {"seed": seed.hex(), "public": xwing.public_key(seed).hex()}


def _hpke(info: bytes, plaintext: bytes) -> Vector:
    seed = drawn("x-wing one")
    encapsulated, sealed = xwing.seal(xwing.public_key(seed), info, plaintext)
    return {
        "seed": seed.hex(),
        "info": info.hex(),
        "plaintext": plaintext.hex(),
        "encapsulated": encapsulated.hex(),
        "sealed": sealed.hex(),
    }

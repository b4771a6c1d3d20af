"""Hashing and derivation of keys: SHA-256 and HKDF over it (RFC 5869)."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def digest(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def extract(salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract (RFC 5869, 2.2): 32 bytes."""
    return hmac.digest(salt, secret, "sha256")


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869, 2.3): ``length`` bytes, at most 8,160."""
    if length <= 32:  # One block, which is all that a message needs: three times as fast.
        return hmac.digest(key, info + b"\x01", "sha256")[:length]
    return HKDFExpand(SHA256(), length, info).derive(key)

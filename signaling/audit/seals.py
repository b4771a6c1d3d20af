"""What is signed of the audit trail, and how it is checked: Ed25519 (RFC 8032) over digests of the chain.

Pure: keys are arguments, and Ed25519 needs no randomness to sign. Where keys are kept is told by
:mod:`signaling.audit.keys`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from relay.audit_trail import AuditAnchor, AuditCheckpoint, AuditHead

PublicKeys = Mapping[str, Ed25519PublicKey]
"""Keys by their ids."""

_CHECKPOINT = b"rapport audit checkpoint 1\0"
_ANCHOR = b"rapport audit anchor 1\0"


def key_id(key: Ed25519PublicKey) -> str:
    """What a public key is called: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def sign_checkpoint(key: Ed25519PrivateKey, head: AuditHead, at_ms: int) -> AuditCheckpoint:
    """A checkpoint of the trail as it stands."""
    public = key_id(key.public_key())
    unsigned = AuditCheckpoint(head.sequence, head.digest, at_ms, public, b"")
    return AuditCheckpoint(head.sequence, head.digest, at_ms, public, key.sign(_checkpoint_bytes(unsigned)))


def sign_anchor(key: Ed25519PrivateKey, through: AuditHead, kept: bytes, at_ms: int) -> AuditAnchor:
    """The anchor of a trail pruned up to ``through``, but for the entries that have the digest ``kept``."""
    public = key_id(key.public_key())
    unsigned = AuditAnchor(through.sequence, through.digest, kept, at_ms, public, b"")
    signature = key.sign(_anchor_bytes(unsigned))
    return AuditAnchor(through.sequence, through.digest, kept, at_ms, public, signature)


def checkpoint_is_genuine(checkpoint: AuditCheckpoint, keys: PublicKeys) -> bool:
    """Whether one of the keys has signed it."""
    return _is_genuine(checkpoint.key, checkpoint.signature, _checkpoint_bytes(checkpoint), keys)


def anchor_is_genuine(anchor: AuditAnchor, keys: PublicKeys) -> bool:
    """Whether one of the keys has signed it."""
    return _is_genuine(anchor.key, anchor.signature, _anchor_bytes(anchor), keys)


def _is_genuine(key: str, signature: bytes, signed: bytes, keys: PublicKeys) -> bool:
    public = keys.get(key)
    if public is None:
        return False
    try:
        public.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _checkpoint_bytes(checkpoint: AuditCheckpoint) -> bytes:
    return _CHECKPOINT + b"".join(_parts(checkpoint.sequence, checkpoint.at_ms, checkpoint.digest))


def _anchor_bytes(anchor: AuditAnchor) -> bytes:
    return _ANCHOR + b"".join(_parts(anchor.through, anchor.at_ms, anchor.digest, anchor.kept))


def _parts(*values: int | bytes) -> Iterator[bytes]:
    """Numbers as 8 bytes; digests as they are, behind their length: a stored one may have any."""
    for value in values:
        if isinstance(value, int):
            yield value.to_bytes(8, "big", signed=True)
        else:
            yield len(value).to_bytes(4, "big") + value

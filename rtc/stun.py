"""STUN binding requests and their answers (RFC 8489), as far as an ICE-lite agent needs them.

Only binding requests are understood: the server never sends any itself. Who may be answered is decided in
`rtc.ice`; here are bytes and values alone.
"""

import binascii
import hmac
from dataclasses import dataclass
from struct import Struct
from typing import Final

MAGIC_COOKIE: Final = 0x2112A442
HEADER_BYTES: Final = 20

BINDING_REQUEST: Final = 0x0001
BINDING_SUCCESS: Final = 0x0101
BINDING_ERROR: Final = 0x0111

USERNAME: Final = 0x0006
MESSAGE_INTEGRITY: Final = 0x0008
ERROR_CODE: Final = 0x0009
XOR_MAPPED_ADDRESS: Final = 0x0020
USE_CANDIDATE: Final = 0x0025
FINGERPRINT: Final = 0x8028
ICE_CONTROLLED: Final = 0x8029

ROLE_CONFLICT: Final = 487

_INTEGRITY_BYTES: Final = 24
_FINGERPRINT_BYTES: Final = 8
_FINGERPRINT_XOR: Final = 0x5354554E
_MAX_USERNAME_BYTES: Final = 513

_HEADER: Final = Struct("!HHI12s")
_ATTRIBUTE: Final = Struct("!HH")
_U32: Final = Struct("!I")


class StunError(ValueError):
    """The bytes are not a binding request that an ICE agent would send."""


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A well-formed connectivity check (RFC 8445, section 7.1); its integrity is still to be checked."""

    transaction_id: bytes
    "12 bytes."
    local_ufrag: str
    "The user fragment of the receiver of this request: before the colon of USERNAME."
    remote_ufrag: str
    "The user fragment of its sender: after the colon."
    use_candidate: bool
    "The sender nominates this path."
    controlled: bool
    "The sender believes itself to be the controlled agent."
    signed: bytes
    "The bytes covered by MESSAGE-INTEGRITY, with the length that the signature assumes."
    integrity: bytes
    "The signature, 20 bytes."

    def is_signed_with(self, password: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY was made with `password` (RFC 8489, section 14.5)."""
        return hmac.compare_digest(self.integrity, hmac.digest(password, self.signed, "sha1"))


def parse_binding_request(data: bytes) -> BindingRequest:
    """Read a connectivity check.

    Raises `StunError` when it is anything else, or lacks USERNAME, MESSAGE-INTEGRITY or a right FINGERPRINT.
    """
    if len(data) < HEADER_BYTES + _FINGERPRINT_BYTES:
        raise StunError("shorter than a check")
    kind, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if kind != BINDING_REQUEST or cookie != MAGIC_COOKIE or len(data) != HEADER_BYTES + length:
        raise StunError("not a binding request")
    if data[-_FINGERPRINT_BYTES:] != _fingerprint(data[:-_FINGERPRINT_BYTES]):
        raise StunError("wrong or missing FINGERPRINT")
    attributes, integrity_at = _attributes(data)
    local_ufrag, colon, remote_ufrag = _username(attributes).partition(":")
    if not colon:
        raise StunError("USERNAME without a colon")
    return BindingRequest(
        transaction_id=transaction_id,
        local_ufrag=local_ufrag,
        remote_ufrag=remote_ufrag,
        use_candidate=USE_CANDIDATE in attributes,
        controlled=ICE_CONTROLLED in attributes,
        signed=_with_length(data[:integrity_at], integrity_at - HEADER_BYTES + _INTEGRITY_BYTES),
        integrity=attributes[MESSAGE_INTEGRITY],
    )


def _attributes(data: bytes) -> tuple[dict[int, bytes], int]:
    """The attributes up to MESSAGE-INTEGRITY, after which nothing is authentic, and where that one begins."""
    attributes: dict[int, bytes] = {}
    at = HEADER_BYTES
    while at + _ATTRIBUTE.size <= len(data):
        kind, length = _ATTRIBUTE.unpack_from(data, at)
        value = data[at + 4 : at + 4 + length]
        if len(value) != length:
            raise StunError("attribute beyond the end")
        attributes.setdefault(kind, value)
        if kind == MESSAGE_INTEGRITY:
            if length != 20:
                raise StunError("MESSAGE-INTEGRITY of a wrong length")
            return attributes, at
        at += 4 + length + (-length % 4)
    raise StunError("no MESSAGE-INTEGRITY")


def _username(attributes: dict[int, bytes]) -> str:
    value = attributes.get(USERNAME, b"")
    if len(value) > _MAX_USERNAME_BYTES:
        raise StunError("USERNAME too long")
    # RFC 8839, section 5.4: user fragments are ASCII.
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise StunError("USERNAME is not ASCII") from None


def success(request: BindingRequest, *, ip: bytes, port: int, password: bytes) -> bytes:
    """A success response that tells the sender its address; `ip` is 4 or 16 bytes in network order."""
    pad = _U32.pack(MAGIC_COOKIE) + request.transaction_id
    family = 1 if len(ip) == 4 else 2
    mapped = bytes((0, family)) + (port ^ (MAGIC_COOKIE >> 16)).to_bytes(2, "big")
    mapped += bytes(a ^ b for a, b in zip(ip, pad, strict=False))
    return _signed(BINDING_SUCCESS, request.transaction_id, XOR_MAPPED_ADDRESS, mapped, password)


def role_conflict(request: BindingRequest, *, password: bytes) -> bytes:
    """The error response 487 (RFC 8445, section 7.3.1.1)."""
    value = bytes((0, 0, ROLE_CONFLICT // 100, ROLE_CONFLICT % 100)) + b"Role Conflict"
    return _signed(BINDING_ERROR, request.transaction_id, ERROR_CODE, value, password)


def _signed(kind: int, transaction_id: bytes, attribute: int, value: bytes, password: bytes) -> bytes:
    body = _ATTRIBUTE.pack(attribute, len(value)) + value + bytes(-len(value) % 4)
    message = _HEADER.pack(kind, len(body) + _INTEGRITY_BYTES, MAGIC_COOKIE, transaction_id) + body
    message += _ATTRIBUTE.pack(MESSAGE_INTEGRITY, 20) + hmac.digest(password, message, "sha1")
    message = _with_length(message, len(message) - HEADER_BYTES + _FINGERPRINT_BYTES)
    return message + _fingerprint(message)


def _fingerprint(message: bytes) -> bytes:
    """The FINGERPRINT attribute for `message`, whose length field already counts it (RFC 8489, 14.7)."""
    return _ATTRIBUTE.pack(FINGERPRINT, 4) + _U32.pack(binascii.crc32(message) ^ _FINGERPRINT_XOR)


def _with_length(message: bytes, length: int) -> bytes:
    return message[:2] + length.to_bytes(2, "big") + message[4:]

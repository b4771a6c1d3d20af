"""How the structures of end-to-end encryption become bytes: MessagePack arrays, fields in fixed order.

What is signed travels as the bytes that were signed and is parsed from them; nothing is encoded again to be
checked. Every reader bounds its input before it parses.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from protocol.e2ee.errors import Malformed, Truncated

Bytes12: TypeAlias = Annotated[bytes, Meta(min_length=12, max_length=12)]
Bytes16: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes32: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature: TypeAlias = Annotated[bytes, Meta(min_length=64, max_length=64)]
"""Ed25519 (RFC 8032)."""

EpochId: TypeAlias = Bytes16
"""Chosen at random by the sending device."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]

Number: TypeAlias = Annotated[int, Meta(ge=1, le=(1 << 53) - 1)]

NO_DIGEST = bytes(32)
"""In place of a digest where there is nothing to hash, as of the list of an account that has none."""

MAX_BYTES = 256 * 1024
"""The largest structure that is parsed."""


class Structure(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of what travels."""


class Secret(Struct, frozen=True, array_like=True, gc=False):
    """Base of what holds keys: it never shows its fields."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


_T = TypeVar("_T")
_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODERS: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


def pack(value: Any) -> bytes:
    """A structure to bytes, in the shortest encoding."""
    return _ENCODER.encode(value)


def unpack(kind: type[_T], data: bytes, max_bytes: int = MAX_BYTES) -> _T:
    """Bytes to a structure of type ``kind``.

    Raises :exc:`Truncated` when they end too early and :exc:`Malformed` for anything else that is wrong.
    """
    if len(data) > max_bytes:
        raise Malformed(f"{len(data)} bytes, {max_bytes} are allowed")
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.msgpack.Decoder(kind)
    try:
        value: _T = decoder.decode(data)
    except msgspec.ValidationError:
        raise Malformed() from None
    except msgspec.DecodeError as error:
        raise (Truncated() if "truncated" in str(error) else Malformed()) from None
    except (UnicodeError, ValueError, RecursionError):
        raise Malformed() from None
    return value

"""Tokens: who is speaking, in which role, and what they may reach.

A token is a JWT (RFC 7519). Its ``iss`` names the key: either an API key whose secret signs with HS256, or an
issuer whose public keys come from a JWKS (RFC 7517). The algorithm belongs to the key and is never taken
from the token's header, so ``alg: none`` and key confusion have nothing to work with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import jwt
import msgspec
from msgspec import Meta, Struct

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import AccountId, DeviceId, Role, RoomId, SessionId

MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: an HS256 key has at least as many bits as its hash."""

MAX_TOKEN_BYTES = 8192
"""A longer token is refused unread."""

_ASYMMETRIC = {"EdDSA", "ES256", "RS256"}


class Claims(Struct, frozen=True, omit_defaults=True):
    """The claims of a token. Times are in seconds since 1970 (RFC 7519, 2)."""

    iss: Annotated[str, Meta(min_length=1, max_length=256)]
    """The API key's id, or the issuer of a JWKS."""
    sub: AccountId
    """The account."""
    role: Role
    """In which role the account speaks."""
    exp: float
    """When the token runs out."""
    nbf: float | None = None
    """From when on it is valid."""
    room: RoomId | None = None
    """The only room it reaches, if given."""
    session: SessionId | None = None
    """The only session it reaches, if given."""
    device: DeviceId | None = None
    """The only device it may be used from, if given."""
    scope: Annotated[str, Meta(max_length=1024)] = ""
    """What a back end may do, separated by spaces (RFC 8693, 4.2)."""

    def allows(self, scope: str) -> bool:
        """Whether ``scope`` is among the scopes granted."""
        return scope in self.scope.split()


@dataclass(frozen=True, slots=True)
class Key:
    """A key that tokens are checked with, and the one algorithm it is for."""

    algorithm: str
    material: Any = field(repr=False)  # bytes for HS256, otherwise one of cryptography's public key types
    key_id: str | None = None


Keys = Mapping[str, tuple[Key, ...]]
"""Issuer to its keys."""


def api_key(secret: str) -> Key:
    """The key of an API key's secret. :exc:`ValueError` when it is shorter than :data:`MIN_SECRET_BYTES`."""
    material = secret.encode()
    if len(material) < MIN_SECRET_BYTES:
        raise ValueError(f"an API key's secret has at least {MIN_SECRET_BYTES} bytes")
    return Key("HS256", material)


def parse_jwks(document: bytes) -> tuple[Key, ...]:
    """The signing keys of a JWKS document (RFC 7517, 5) whose algorithms are used here.

    Raises :exc:`ValueError` when the document is not a JWKS or has no such key.
    """
    try:
        keys = tuple(_usable(msgspec.json.decode(document, type=dict[str, Any])["keys"]))
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ValueError(f"not a JWKS: {type(error).__name__}") from None
    if not keys:
        raise ValueError("the JWKS has no signing key for EdDSA, ES256 or RS256")
    return keys


def _usable(entries: Iterable[dict[str, Any]]) -> Iterable[Key]:
    for entry in entries:
        if entry.get("use", "sig") != "sig" or entry.get("kty") not in {"OKP", "EC", "RSA"}:
            continue
        parsed = jwt.PyJWK(entry)
        if parsed.algorithm_name in _ASYMMETRIC:
            yield Key(parsed.algorithm_name, parsed.key, parsed.key_id)


def mint(claims: Claims, secret: str) -> str:
    """An HS256 token for these claims. Back ends in any language do the same with their own JWT library."""
    return jwt.encode(msgspec.to_builtins(claims), api_key(secret).material, algorithm="HS256")


def verify(
    token: str, keys: Keys, *, now: float, leeway: float = 0.0, max_lifetime: float | None = None
) -> Claims:
    """The claims of a good token.

    ``now`` is in seconds since 1970; ``leeway`` seconds of clock skew are forgiven at both ends; with
    ``max_lifetime`` a token that has more seconds left than that is refused. Raises
    :exc:`ProtocolError` of a ``token_*`` kind, which never quotes the token.
    """
    header, issuer = _unverified(token)
    payload = _signed_payload(token, header, keys.get(issuer, ()))
    claims = _claims(payload)
    if claims.exp <= now - leeway:
        raise ProtocolError(errors.TOKEN_EXPIRED)
    if claims.nbf is not None and claims.nbf > now + leeway:
        raise ProtocolError(errors.TOKEN_NOT_YET_VALID)
    if max_lifetime is not None and claims.exp > now + max_lifetime + leeway:
        raise ProtocolError(errors.TOKEN_LIFETIME)
    return claims


def issuer_of(token: str) -> str:
    """The issuer that a token names, unproven: good for finding its keys, and for nothing else.

    Raises :exc:`ProtocolError` ``token_missing`` or ``token_malformed``.
    """
    return _unverified(token)[1]


def _unverified(token: str) -> tuple[dict[str, Any], str]:
    """Header and issuer as the token claims them: good for choosing a key, and for nothing else."""
    if not token:
        raise ProtocolError(errors.TOKEN_MISSING)
    if len(token) > MAX_TOKEN_BYTES:
        raise ProtocolError(errors.TOKEN_MALFORMED, f"the token is longer than {MAX_TOKEN_BYTES} bytes")
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, UnicodeError, ValueError, RecursionError):
        raise ProtocolError(errors.TOKEN_MALFORMED) from None
    issuer = parts["payload"].get("iss")
    if not isinstance(issuer, str):
        raise ProtocolError(errors.TOKEN_MALFORMED, "the token has no `iss`")
    return parts["header"], issuer


def _signed_payload(token: str, header: dict[str, Any], candidates: tuple[Key, ...]) -> bytes:
    """The payload, once one of the issuer's keys has proved it."""
    key_id = header.get("kid")
    named = tuple(key for key in candidates if key_id is None or key.key_id is None or key.key_id == key_id)
    if not named:
        raise ProtocolError(errors.TOKEN_UNKNOWN_KEY)
    fitting = tuple(key for key in named if key.algorithm == header.get("alg"))
    if not fitting:
        raise ProtocolError(errors.TOKEN_ALGORITHM)
    for key in fitting:
        try:
            payload: bytes = jwt.PyJWS().decode(token, key.material, algorithms=[key.algorithm])
        except (jwt.PyJWTError, UnicodeError, ValueError):
            continue
        return payload
    raise ProtocolError(errors.TOKEN_SIGNATURE)


def _claims(payload: bytes) -> Claims:
    try:
        return msgspec.json.decode(payload, type=Claims)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError) as error:
        field_name = str(error).rpartition("`$.")[2].rstrip("`") if "`$." in str(error) else "a claim"
        raise ProtocolError(errors.TOKEN_MALFORMED, f"{field_name} is missing or not valid") from None

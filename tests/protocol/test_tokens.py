"""Tokens: the good ones pass, and each kind of bad one has its own refusal."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors, tokens
from protocol.errors import ErrorKind, ProtocolError
from protocol.tokens import Claims

NOW = 1_800_000_000.0
SECRET = "a secret of this test, long enough to be one"
KEYS = {"platform": (tokens.api_key(SECRET),)}
GOOD = Claims(iss="platform", sub="alice", role="therapist", exp=NOW + 600)


def payload(**changes: Any) -> dict[str, Any]:
    good = {"iss": "platform", "sub": "alice", "role": "therapist", "exp": NOW + 600}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def signed(
    algorithm: str = "HS256", key: Any = SECRET, headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    return jwt.encode(payload(**changes), key, algorithm=algorithm, headers=headers)


def refusal(token: str, **options: Any) -> ErrorKind:
    with pytest.raises(ProtocolError) as caught:
        tokens.verify(token, options.pop("keys", KEYS), now=NOW, **options)
    assert not token or token not in str(caught.value)
    return caught.value.kind


def test_a_minted_token_verifies() -> None:
    claims = Claims("platform", "alice", "client", NOW + 60, NOW - 5, "r", "s", "d", "rooms usage")
    assert tokens.verify(tokens.mint(claims, SECRET), KEYS, now=NOW) == claims
    assert claims.allows("usage")
    assert not claims.allows("audit")


def test_no_token() -> None:
    assert refusal("") is errors.TOKEN_MISSING


def test_alg_none_is_refused_whatever_its_spelling() -> None:
    unsigned = signed("none", None)
    assert refusal(unsigned) is errors.TOKEN_ALGORITHM
    body = unsigned.split(".")[1]
    for spelling in ("none", "None", "NONE", "nOnE", "", 0, None):
        header = (
            base64.urlsafe_b64encode(json.dumps({"alg": spelling, "typ": "JWT"}).encode())
            .rstrip(b"=")
            .decode()
        )
        assert refusal(f"{header}.{body}.") in {errors.TOKEN_ALGORITHM, errors.TOKEN_MALFORMED}


def test_a_wrong_signature() -> None:
    assert refusal(signed(key=SECRET + "x")) is errors.TOKEN_SIGNATURE
    good = tokens.mint(GOOD, SECRET)
    head, body, signature = good.split(".")
    other = jwt.encode(payload(sub="mallory"), SECRET, algorithm="HS256").split(".")[1]
    assert refusal(f"{head}.{other}.{signature}") is errors.TOKEN_SIGNATURE
    assert refusal(f"{head}.{body}.") is errors.TOKEN_SIGNATURE


def test_times_and_their_leeway() -> None:
    assert refusal(signed(exp=NOW)) is errors.TOKEN_EXPIRED
    assert refusal(signed(nbf=NOW + 1)) is errors.TOKEN_NOT_YET_VALID
    assert tokens.verify(signed(exp=NOW - 3, nbf=NOW + 3), KEYS, now=NOW, leeway=5).sub == "alice"
    assert refusal(signed(exp=NOW + 3601), max_lifetime=3600) is errors.TOKEN_LIFETIME
    assert tokens.verify(signed(exp=NOW + 3600), KEYS, now=NOW, max_lifetime=3600).sub == "alice"


def test_an_unknown_issuer_and_an_unknown_key_id() -> None:
    assert refusal(signed(iss="elsewhere")) is errors.TOKEN_UNKNOWN_KEY
    named = {"platform": (tokens.Key("HS256", SECRET.encode(), "2026"),)}
    assert refusal(signed(headers={"kid": "2025"}), keys=named) is errors.TOKEN_UNKNOWN_KEY


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ...},
        {"iss": 5},
        {"sub": ...},
        {"sub": ""},
        {"sub": "x" * 129},
        {"role": ...},
        {"role": "king"},
        {"exp": ...},
        {"exp": "soon"},
        {"nbf": []},
        {"room": 3},
        {"scope": ["rooms"]},
    ],
    ids=str,
)
def test_claims_that_are_missing_or_wrong(changes: dict[str, Any]) -> None:
    token = jwt.api_jws.encode(json.dumps(payload(**changes)).encode(), SECRET, algorithm="HS256")
    assert refusal(token) is errors.TOKEN_MALFORMED


@pytest.mark.parametrize("extreme", ["Infinity", "NaN", "1e999", "-1"])
def test_an_expiry_that_is_no_time_is_refused(extreme: str) -> None:
    body = json.dumps(payload(exp=0)).replace('"exp": 0', f'"exp": {extreme}').encode()
    token = jwt.api_jws.encode(body, SECRET, algorithm="HS256")
    assert refusal(token) in {errors.TOKEN_MALFORMED, errors.TOKEN_EXPIRED}


@given(st.text(max_size=200) | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,80}\.[\w-]{0,40}", fullmatch=True))
def test_any_text_is_refused_with_our_error(text: str) -> None:
    with pytest.raises(ProtocolError):
        tokens.verify(text, KEYS, now=NOW)


def test_a_huge_token_is_refused_unread() -> None:
    assert refusal(signed(room="r" * tokens.MAX_TOKEN_BYTES)) is errors.TOKEN_MALFORMED


def test_a_short_secret_is_no_secret() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        tokens.api_key("x" * 31)


WRITERS: dict[type, Any] = {
    ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
    rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
}


def jwks(**keys: Any) -> bytes:
    entries = []
    for key_id, private in keys.items():
        writer = next(writer for kind, writer in WRITERS.items() if isinstance(private, kind))
        entries.append({**json.loads(writer.to_jwk(private.public_key())), "kid": key_id, "use": "sig"})
    return json.dumps({"keys": entries}).encode()


ED = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def test_tokens_of_an_issuer_with_a_jwks() -> None:
    keys = {"idp": tokens.parse_jwks(jwks(a=ED, b=P256, c=RSA))}
    for key_id, algorithm, private in (("a", "EdDSA", ED), ("b", "ES256", P256), ("c", "RS256", RSA)):
        token = signed(algorithm, private, {"kid": key_id}, iss="idp")
        assert tokens.verify(token, keys, now=NOW).sub == "alice"
        assert (
            refusal(signed(algorithm, private, {"kid": "zz"}, iss="idp"), keys=keys)
            is errors.TOKEN_UNKNOWN_KEY
        )
    assert refusal(signed("ES256", P256, {"kid": "a"}, iss="idp"), keys=keys) is errors.TOKEN_ALGORITHM


def test_a_public_key_cannot_be_used_as_a_secret() -> None:
    keys = {"idp": tokens.parse_jwks(jwks(c=RSA))}
    public = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    forged = jwt.api_jws.PyJWS()
    # PyJWT itself refuses to forge this.
    forged._algorithms["HS256"].prepare_key = lambda key: key  # type: ignore[method-assign]
    token = forged.encode(json.dumps(payload(iss="idp")).encode(), public, algorithm="HS256")
    assert refusal(token, keys=keys) is errors.TOKEN_ALGORITHM


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": 5}',
        b'{"keys": [5]}',
        b'{"keys": []}',
        b'{"keys": [{"kty": "oct", "k": "AA"}]}',
        b'{"keys": [{"kty": "RSA"}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}',
        b"\xff",
    ],
)
def test_what_is_not_a_jwks_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="JWKS"):
        tokens.parse_jwks(document)

"""Where doorbells may be sent, and how the server proves itself there."""

from __future__ import annotations

import base64

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)

from config.settings import PushSettings
from signaling.push.addresses import fault_of, is_public
from signaling.push.vapid import LIFETIME_SECONDS, Vapid

GIVEN = PushSettings()


@pytest.mark.parametrize(
    "url",
    [
        "https://fcm.googleapis.com/fcm/send/abc:def",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAA",
        "https://wns2-par02p.notify.windows.com/w/?token=BQY%3d",
        "https://web.push.apple.com:443/QOE",
    ],
)
def test_push_services_are_rung(url: str) -> None:
    assert fault_of(url, GIVEN) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com:99999/x",
        "https://user@fcm.googleapis.com/x",
        "https://fcm.googleapis.com@127.0.0.1/x",
        "https://fcm.googleapis.com/x#y",
        "https://fcm.googleapis.com/a b",
        "https://fcm.googleapis.com/x\r\nHost: y",
        "https://fcm.googleapis.com/\u00e9",
        "https://notfcm.googleapis.com.example/x",
        "https://evilpush.apple.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[fcm.googleapis.com/x",
        "https:///x",
        "file:///etc/passwd",
        "fcm.googleapis.com",
        "https://fcm.googleapis.com/" + "x" * 1024,
    ],
)
def test_nothing_else_is(url: str) -> None:
    assert fault_of(url, GIVEN) is not None
    assert fault_of("https://fcm.googleapis.com/x", PushSettings(services=())) is not None


def test_any_host_by_choice_but_not_any_port_or_scheme() -> None:
    anywhere = PushSettings(services=("*",))
    assert fault_of("https://push.example/x", anywhere) is None
    assert fault_of("https://push.example:444/x", anywhere) is not None
    assert fault_of("http://push.example/x", anywhere) is not None
    assert fault_of("http://127.0.0.1:1/x", PushSettings(services=("127.0.0.1",), private=True)) is None


@pytest.mark.parametrize("address", ["8.8.8.8", "2600:1901:0:38d7::"])
def test_the_public_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "fc00::1",
        "fe80::1%1",
        "ff02::1",
    ],
)
def test_all_else(address: str) -> None:
    assert not is_public(address)


def test_a_push_service_can_check_who_rings() -> None:
    """RFC 8292, 2 and 3, as its receiver does it."""
    vapid = Vapid(generate_private_key(SECP256R1()), "mailto:ops@example.org")
    header = vapid.authorization("https://push.example/secret?x=y", 1_000)
    scheme, token, key = header.replace(",", "").split(" ")
    assert (scheme, key) == ("vapid", f"k={vapid.public}")
    point = base64.urlsafe_b64decode(vapid.public + "=")
    public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    claims = jwt.decode(
        token.removeprefix("t="),
        public,
        algorithms=["ES256"],
        audience="https://push.example",
        options={"verify_exp": False},
    )
    assert claims == {
        "aud": "https://push.example",
        "exp": 1_000 + LIFETIME_SECONDS,
        "sub": "mailto:ops@example.org",
    }
    assert LIFETIME_SECONDS < 86_400
    other = Vapid(generate_private_key(SECP256R1()), None)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(
            other.authorization("https://push.example/", 1_000).split(" ")[1][2:-1],
            public,
            algorithms=["ES256"],
            options={"verify_exp": False, "verify_aud": False},
        )

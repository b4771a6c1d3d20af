"""How the server proves itself to push services: Voluntary Application Server Identification (RFC 8292).

With the key a subscription can be restricted to this deployment: nobody else can ring it who has seen its
address.
"""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LIFETIME_SECONDS = 12 * 3600
"""Half of what is allowed (RFC 8292, 2), so that clocks may differ."""


class Vapid:
    """The identity of this deployment. ``contact`` is a URL by which its operator is reached."""

    def __init__(self, key: EllipticCurvePrivateKey, contact: str | None) -> None:
        self._key = key
        self._contact = contact
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = base64.urlsafe_b64encode(point).rstrip(b"=").decode()
        """The public key as subscriptions and headers have it."""

    def authorization(self, endpoint: str, now_s: int) -> str:
        """The value of ``Authorization`` (RFC 8292, 3) for a request to an endpoint."""
        parts = urlsplit(endpoint)
        claims: dict[str, str | int] = {
            "aud": f"{parts.scheme}://{parts.netloc}",
            "exp": now_s + LIFETIME_SECONDS,
        }
        if self._contact is not None:
            claims["sub"] = self._contact
        return f"vapid t={jwt.encode(claims, self._key, algorithm='ES256')}, k={self.public}"

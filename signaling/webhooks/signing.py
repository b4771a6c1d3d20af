"""The signature of a delivery: HMAC-SHA256 over its time, its id and its body.

With the time in it a recorded delivery cannot be sent again later, with the id in it two deliveries cannot
be taken for one another. During a rotation there is one signature for each secret, and a receiver accepts a
delivery that any secret it knows has signed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence


def signature(secrets: Sequence[bytes], delivery: str, at_s: int, body: bytes) -> str:
    """The value of ``Rapport-Signature``: ``t=<at_s>,v1=<hex>``, with a ``v1`` for each secret.

    ``at_s`` is the time of the attempt, in seconds since 1970.
    """
    signed = f"{at_s}.{delivery}.".encode() + body
    made = (hmac.new(secret, signed, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={at_s}", *(f"v1={one}" for one in made)])

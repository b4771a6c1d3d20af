"""What lets participants use the TURN servers of the deployment (RFC 8656).

They know no accounts: a username says until when it is good, and the password is its MAC under a secret
that they share with this server (draft-uberti-behave-turn-rest-00, 2.2; `use-auth-secret` of coturn).
"""

from __future__ import annotations

import base64
import hmac

from config.settings import TurnSettings
from protocol.frames import Relay, Relays


def relays(settings: TurnSettings, now_ms: int, nonce: str) -> Relays:
    """What a participant may use from now on; no relays if there are no TURN servers.

    ``nonce`` tells usernames apart. It is random and names nobody: TURN servers log usernames.
    """
    expires_s = now_ms // 1000 + int(settings.credential_seconds)
    if not settings.urls or settings.secret is None:
        return Relays((), expires_s * 1000)
    username = f"{expires_s}:{nonce}"
    # SHA-1 is what TURN servers compute; nothing about a MAC rests on its collisions.
    mac = hmac.digest(settings.secret.encode(), username.encode(), "sha1")
    return Relays((Relay(settings.urls, username, base64.b64encode(mac).decode()),), expires_s * 1000)

"""What participants are given to use TURN servers with."""

from __future__ import annotations

import base64
import hashlib
import hmac

from config.settings import TurnSettings
from signaling.media.turn import relays

SECRET = "shared by both servers, and by nobody else"
SETTINGS = TurnSettings(
    urls=("turn:turn.example.org", "turns:turn.example.org:443?transport=tcp"),
    secret=SECRET,
    credential_seconds=3600,
)
NOW_MS = 1_800_000_000_999


def test_a_credential_is_what_a_turn_server_computes_from_the_username() -> None:
    (relay,) = relays(SETTINGS, NOW_MS, "n").relays
    mac = hmac.new(SECRET.encode(), relay.username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(relay.credential) == mac
    assert relay.urls == SETTINGS.urls


def test_a_username_says_until_when_it_is_good_and_nothing_else() -> None:
    given = relays(SETTINGS, NOW_MS, "nonce")
    assert given.expires_ms == 1_800_003_600_000
    assert given.relays[0].username == "1800003600:nonce"


def test_without_turn_servers_there_are_no_relays() -> None:
    assert relays(TurnSettings(), NOW_MS, "n").relays == ()

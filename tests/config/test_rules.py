"""Every rule is broken by something, and only by that."""

from __future__ import annotations

from typing import Any

import pytest

from config.faults import ConfigError
from config.resolve import resolve
from config.rules import RULES, Rule

KEY = "k" * 32
GOOD: dict[str, str] = {"RAPPORT_TOKENS_KEYS": f"main={KEY}", "RAPPORT_MEDIA_ANNOUNCE": "203.0.113.7"}

# What breaks each rule, as environment variables without their prefix, in the order of the table.
BREAKING: list[dict[str, Any]] = [
    {"SERVER_TLS_KEY": "key.pem"},
    {"BUS_URL": "redis://127.0.0.1"},
    {"BUS_TLS_KEY": "key.pem"},
    {"TOKENS_KEYS": ""},
    {"TOKENS_JWKS": "main=https://idp.example/jwks"},
    {"SERVER_PORT": 40_002, "MEDIA_WORKERS": 3},
    {"MEDIA_PORT": 65_535, "MEDIA_WORKERS": 2},
    {"MEDIA_ANNOUNCE": ""},
    {"TURN_URLS": "turn:turn.example.org"},
    {"TURN_CREDENTIAL_SECONDS": 14_399},
    {"LIMITS_MESSAGE_BYTES": 200_000},
    {"LIMITS_SIGNAL_BYTES": 200_000},
    {"LIMITS_UNACKED_BYTES": 262_143},
    {"LIMITS_OUTBOX_BYTES": 262_143},
    {"LIMITS_ACCOUNT_REQUESTS_PER_SECOND": 49.9},
    {"LIMITS_ACCOUNT_REQUESTS_BURST": 199},
    {"LIMITS_CONNECTIONS": 19},
    {"SESSIONS_MIN_MINUTES": 241},
    {"SCHEDULE_SERIES_AHEAD_DAYS": 401},
    {"TOKENS_LEEWAY_SECONDS": 60, "TOKENS_MAX_LIFETIME_SECONDS": 60},
    {"WEBHOOKS_ENDPOINTS": "main=https://a.example", "WEBHOOKS_SECRETS": ""},
    {"WEBHOOKS_TYPES": "main=session.ended"},
    {"WEBHOOKS_RETRY_MAX_SECONDS": 4.9},
    {"WEBHOOKS_CONNECT_SECONDS": 10.5},
    {"SERVER_HOST": "0.0.0.0"},
    {"MEDIA_HOST": "192.0.2.1"},
]

# As close as one can come to breaking a rule.
KEEPING: list[dict[str, Any]] = [
    {"SERVER_TLS_KEY": "key.pem", "SERVER_TLS_CERTIFICATE": "certificate.pem"},
    {"BUS_URL": "redis://127.0.0.1", "BUS_KEY": KEY},
    {"BUS_TLS_KEY": "key.pem", "BUS_TLS_CERTIFICATE": "certificate.pem"},
    {"TOKENS_KEYS": "", "TOKENS_JWKS": "idp=https://idp.example/jwks"},
    {"SERVER_PORT": 40_003, "MEDIA_WORKERS": 3},
    {"SERVER_PORT": 39_999},
    {"SERVER_PORT": 0, "MEDIA_PORT": 0},
    {"MEDIA_PORT": 65_534, "MEDIA_WORKERS": 2},
    {"MEDIA_ANNOUNCE": "", "MEDIA_HOST": "192.0.2.1"},
    {"TURN_URLS": "turn:turn.example.org", "TURN_SECRET": KEY, "TURN_CREDENTIAL_SECONDS": 14_400},
    {"LIMITS_MESSAGE_BYTES": 174_762},
    {"LIMITS_UNACKED_BYTES": 262_144, "LIMITS_OUTBOX_BYTES": 262_144},
    {"SESSIONS_MIN_MINUTES": 240},
    {
        "WEBHOOKS_ENDPOINTS": "a=https://a.example,b=http://[::1]:99/hook",
        "WEBHOOKS_SECRETS": f"a={KEY},b={KEY} {KEY}",
        "WEBHOOKS_TYPES": "b=session.* room.member_added",
    },
    {"WEBHOOKS_RETRY_MAX_SECONDS": 5, "WEBHOOKS_CONNECT_SECONDS": 10},
    {"SCHEDULE_SERIES_AHEAD_DAYS": 400},
]


def environment(changes: dict[str, Any]) -> dict[str, str]:
    return GOOD | {f"RAPPORT_{name}": str(value) for name, value in changes.items()}


def resolving(changes: dict[str, Any], *, development: bool = False) -> None:
    secret = KEY if development else None
    resolve(file=None, environ=environment(changes), flags={}, cores=2, development_secret=secret)


def test_the_table_is_whole() -> None:
    assert len(BREAKING) == len(RULES)


@pytest.mark.parametrize(("rule", "changes"), list(zip(RULES, BREAKING, strict=True)))
def test_rule_is_broken(rule: Rule, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        resolving(changes, development=rule.only_development)
    (fault,) = caught.value.faults
    assert fault.problem == rule.problem
    for name in changes:
        assert f"environment RAPPORT_{name}" in fault.place


@pytest.mark.parametrize("changes", KEEPING)
def test_no_rule_is_broken(changes: dict[str, Any]) -> None:
    resolving(changes)


def test_a_rule_is_not_asked_about_a_faulty_setting() -> None:
    with pytest.raises(ConfigError) as caught:
        resolving({"SESSIONS_MIN_MINUTES": 241, "SESSIONS_MAX_MINUTES": "long"})
    (fault,) = caught.value.faults
    assert fault.problem == "must be a number, not 'long'"

"""What settings may say about webhooks: the types there are, and checks of endpoints, secrets and filters.

Each check is a :data:`config.setting.Check`. Names, secrets and filters are tables by the endpoint's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from config import checks

WebhookType: TypeAlias = Literal[
    "session.opened",
    "session.waiting",
    "session.started",
    "session.extended",
    "session.overrun",
    "session.modality_changed",
    "session.ended",
    "session.consent_withdrawn",
    "session.rated",
    "session.rated_low",
    "session.late",
    "room.member_added",
    "room.member_removed",
    "message.undelivered",
    "push.doorbell",
    "audit.break_glass",
    "account.device_added",
    "account.device_removed",
    "account.keys_reset",
]
"""What a webhook can tell of."""

TYPES: frozenset[WebhookType] = frozenset(get_args(WebhookType))

MAX_ENDPOINTS = 16
"""With this, and the requests that one endpoint may have at the same time, all requests are bounded."""

MAX_SECRETS = 4
"""Secrets of one endpoint: every one of them signs every delivery."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_URL = re.compile(r"[!-~]+")  # what a request line may have in it (RFC 9112, 3.2)


def endpoints(value: Mapping[str, str]) -> str | None:
    """Names with addresses: over TLS, or on the same machine."""
    if len(value) > MAX_ENDPOINTS:
        return f"must be at most {MAX_ENDPOINTS} endpoints"
    for name, url in value.items():
        if not _NAME.fullmatch(name):
            return "must have names of 1 to 64 characters out of letters, digits and _ -"
        if not _URL.fullmatch(url) or checks.web_url(url) or not _private(url):
            return (
                "must give each endpoint an https:// address (http:// only on loopback) without user or query"
            )
    return None


def secrets(value: Mapping[str, str]) -> str | None:
    """One secret or more for each endpoint, each long enough."""
    for name, words in value.items():
        listed = words.split()
        if not 1 <= len(listed) <= MAX_SECRETS:
            return f"must have 1 to {MAX_SECRETS} secrets for {name!r}, separated by spaces"
        if any(len(secret.encode()) < checks.MIN_SECRET_BYTES for secret in listed):
            return (
                f"a secret of {name!r} has less than {checks.MIN_SECRET_BYTES} bytes: "
                "try `openssl rand -hex 32`"
            )
    return None


def types(value: Mapping[str, str]) -> str | None:
    """Types, or groups of them, for each endpoint."""
    for name, words in value.items():
        unknown = [word for word in words.split() if not matching(word)]
        if unknown or not words.split():
            return f"must name types of webhooks for {name!r}, such as session.ended or room.*"
    return None


def matching(word: str) -> frozenset[WebhookType]:
    """The types that a word of a filter stands for: one, or with ``group.*`` all of a group."""
    if word.endswith(".*"):
        return frozenset(one for one in TYPES if one.startswith(word[:-1]))
    return frozenset(one for one in TYPES if one == word)


def _private(url: str) -> bool:
    """Whether what is sent there can be read by nobody else; and the address itself is no secret."""
    parts = urlsplit(url)
    encrypted = parts.scheme == "https" or checks.is_loopback(parts.hostname or "")
    return encrypted and parts.username is None and parts.password is None

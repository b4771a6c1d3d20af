"""Who is told: the endpoints of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from config import webhooks
from config.settings import WebhookSettings
from config.webhooks import WebhookType


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that is told what happens."""

    name: str
    url: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)
    """Every one of them signs."""
    types: frozenset[WebhookType]
    """What it is told."""


def endpoints_of(settings: WebhookSettings) -> tuple[Endpoint, ...]:
    """The endpoints of a deployment, by name."""
    return tuple(
        Endpoint(name, url, _secrets(settings.secrets[name]), _types(settings.types.get(name)))
        for name, url in sorted(settings.endpoints.items())
    )


def _secrets(words: str) -> tuple[bytes, ...]:
    return tuple(secret.encode() for secret in words.split())


def _types(words: str | None) -> frozenset[WebhookType]:
    if words is None:
        return webhooks.TYPES
    return frozenset(chain.from_iterable(webhooks.matching(word) for word in words.split()))

"""Settings that are good alone and contradict each other.

A rule names the settings it is about. It is not asked when one of them is already at fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from config import checks
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that has to hold between settings."""

    about: tuple[str, ...]
    """The paths of the settings; those that were given are the place of the fault."""
    broken: Callable[[Settings], bool]
    """Whether these settings break it."""
    problem: str
    """What is wrong then, and what would be right."""
    only_development: bool = False
    """Whether it holds in development mode only."""


def _ports_overlap(settings: Settings) -> bool:
    media, port = settings.media, settings.server.port
    return bool(port and media.port) and media.port <= port < media.port + media.workers


def _ports_past_the_last(settings: Settings) -> bool:
    return settings.media.port > 0 and settings.media.port + settings.media.workers - 1 > 65535


RULES: tuple[Rule, ...] = (
    Rule(
        ("server.tls_certificate", "server.tls_key"),
        lambda s: (s.server.tls_certificate is None) != (s.server.tls_key is None),
        "a certificate and its key go together: give both or neither",
    ),
    Rule(
        ("bus.url", "bus.key"),
        lambda s: s.bus.url != "memory://" and s.bus.key is None,
        "nodes would believe anyone who can write to Redis: give a key (`openssl rand -hex 32`)",
    ),
    Rule(
        ("bus.tls_certificate", "bus.tls_key"),
        lambda s: (s.bus.tls_certificate is None) != (s.bus.tls_key is None),
        "a certificate and its key go together: give both or neither",
    ),
    Rule(
        ("tokens.keys", "tokens.jwks"),
        lambda s: not s.tokens.keys and not s.tokens.jwks,
        "nobody could connect: give an API key or a JWKS address (or start with --dev)",
    ),
    Rule(
        ("tokens.keys", "tokens.jwks"),
        lambda s: bool(s.tokens.keys.keys() & s.tokens.jwks.keys()),
        "an issuer has an API key or a key set, not both: rename one",
    ),
    Rule(
        ("server.port", "media.port", "media.workers"),
        _ports_overlap,
        "the server's port lies among the media workers' ports: move one of them",
    ),
    Rule(
        ("media.port", "media.workers"),
        _ports_past_the_last,
        "the last worker's port would be above 65535: begin lower",
    ),
    Rule(
        ("media.host", "media.announce"),
        lambda s: checks.is_unspecified(s.media.host) and not s.media.announce,
        "clients have to be told where to send media: give media.announce, or one address as media.host",
    ),
    Rule(
        ("turn.urls", "turn.secret"),
        lambda s: bool(s.turn.urls) != bool(s.turn.secret),
        "TURN servers let nobody in without the secret they share with this server: give both or neither",
    ),
    Rule(
        ("turn.credential_seconds", "sessions.max_minutes"),
        lambda s: s.turn.credential_seconds < 60 * s.sessions.max_minutes,
        "a session would outlive what lets it use TURN servers: raise it to sessions.max_minutes",
    ),
    Rule(
        ("limits.frame_bytes", "limits.message_bytes"),
        lambda s: 2 * s.limits.frame_bytes < 3 * s.limits.message_bytes,
        "a frame must hold half as much again as a message, whose bytes are Base64 in JSON",
    ),
    Rule(
        ("limits.frame_bytes", "limits.signal_bytes"),
        lambda s: 2 * s.limits.frame_bytes < 3 * s.limits.signal_bytes,
        "a frame must hold half as much again as a signal, whose bytes are Base64 in JSON",
    ),
    Rule(
        ("limits.unacked_bytes", "limits.frame_bytes"),
        lambda s: s.limits.unacked_bytes < s.limits.frame_bytes,
        "a single frame would not fit unacked_bytes: raise it to frame_bytes at least",
    ),
    Rule(
        ("limits.outbox_bytes", "limits.frame_bytes"),
        lambda s: s.limits.outbox_bytes < s.limits.frame_bytes,
        "a single frame would not fit outbox_bytes: raise it to frame_bytes at least",
    ),
    Rule(
        ("limits.account_requests_per_second", "limits.requests_per_second"),
        lambda s: s.limits.account_requests_per_second < s.limits.requests_per_second,
        "an account may not be slower than one of its connections",
    ),
    Rule(
        ("limits.account_requests_burst", "limits.requests_burst"),
        lambda s: s.limits.account_requests_burst < s.limits.requests_burst,
        "an account may not burst less than one of its connections",
    ),
    Rule(
        ("limits.connections", "limits.connections_per_account"),
        lambda s: s.limits.connections < s.limits.connections_per_account,
        "one account may not have more connections than the whole server",
    ),
    Rule(
        ("sessions.min_minutes", "sessions.max_minutes"),
        lambda s: s.sessions.min_minutes > s.sessions.max_minutes,
        "the shortest session may not be longer than the longest",
    ),
    Rule(
        ("schedule.series_ahead_days", "sessions.max_ahead_days"),
        lambda s: s.schedule.series_ahead_days > s.sessions.max_ahead_days,
        "the sessions of a series may not be made further ahead than sessions may be scheduled",
    ),
    Rule(
        ("tokens.leeway_seconds", "tokens.max_lifetime_seconds"),
        lambda s: s.tokens.leeway_seconds >= s.tokens.max_lifetime_seconds,
        "a leeway as long as the longest lifetime would double every token's life",
    ),
    Rule(
        ("webhooks.endpoints", "webhooks.secrets"),
        lambda s: not s.webhooks.endpoints.keys() <= s.webhooks.secrets.keys(),
        "every endpoint needs a secret that signs what it is told: try `openssl rand -hex 32`",
    ),
    Rule(
        ("webhooks.endpoints", "webhooks.secrets", "webhooks.types"),
        lambda s: not s.webhooks.secrets.keys() | s.webhooks.types.keys() <= s.webhooks.endpoints.keys(),
        "there are secrets or types for an endpoint that has no URL",
    ),
    Rule(
        ("webhooks.retry_seconds", "webhooks.retry_max_seconds"),
        lambda s: s.webhooks.retry_seconds > s.webhooks.retry_max_seconds,
        "the first pause may not be longer than the longest",
    ),
    Rule(
        ("webhooks.connect_seconds", "webhooks.request_seconds"),
        lambda s: s.webhooks.connect_seconds > s.webhooks.request_seconds,
        "connecting may not take longer than the whole request",
    ),
    Rule(
        ("server.host",),
        lambda s: not checks.is_loopback(s.server.host),
        "development mode stays on loopback: leave --dev out to serve others",
        only_development=True,
    ),
    Rule(
        ("media.host",),
        lambda s: not checks.is_loopback(s.media.host),
        "development mode stays on loopback: leave --dev out to serve others",
        only_development=True,
    ),
)

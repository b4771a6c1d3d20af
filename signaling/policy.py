"""What the settings say about sessions, as the sessions' core takes it."""

from __future__ import annotations

from config import Settings
from signaling.sessions.commands import Policy

NO_OVERRUN_MS = 0
"""At the agreed end a session is over."""

LATE_START_MS = 60_000


def policy_of(settings: Settings) -> Policy:
    """The policy of a deployment."""
    sessions = settings.sessions
    return Policy(
        join_window_ms=round(sessions.join_window_seconds * 1000),
        grace_ms=round(sessions.grace_seconds * 1000),
        overrun_ms=NO_OVERRUN_MS,
        capacity=settings.media.max_participants,
        min_length_ms=round(sessions.min_minutes * 60_000),
        max_length_ms=round(sessions.max_minutes * 60_000),
        max_ahead_ms=sessions.max_ahead_days * 86_400_000,
        late_start_ms=LATE_START_MS,
    )

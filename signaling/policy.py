"""What the settings say about sessions, as the sessions' core takes it."""

from __future__ import annotations

from collections.abc import Sequence

from config import Settings
from signaling.sessions.commands import Limits, Policy
from signaling.sessions.terms import Terms

LATE_START_MS = 60_000


def policy_of(settings: Settings) -> Policy:
    """The policy of a deployment."""
    sessions = settings.sessions
    terms = Terms(
        join_window_ms=round(sessions.join_window_seconds * 1000),
        grace_ms=round(sessions.grace_seconds * 1000),
        overrun_ms=_minutes(sessions.overrun_minutes),
        capacity=settings.media.max_participants,
        waiting_room=sessions.waiting_room,
        cues_to=sessions.cues_to,
        cues_ms=_cues(sessions.cue_minutes),
        cap_cues_ms=_cues(sessions.cap_cue_minutes),
    )
    limits = Limits(
        min_length_ms=_minutes(sessions.min_minutes),
        max_length_ms=_minutes(sessions.max_minutes),
        max_ahead_ms=sessions.max_ahead_days * 86_400_000,
        late_start_ms=LATE_START_MS,
    )
    return Policy(terms, limits)


def _cues(minutes: Sequence[str]) -> tuple[int, ...]:
    return tuple(_minutes(float(each)) for each in minutes)


def _minutes(minutes: float) -> int:
    return round(minutes * 60_000)

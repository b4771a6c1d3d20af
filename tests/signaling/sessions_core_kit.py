"""Sessions in the hands of the pure core: one to begin with, and what commands make of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from protocol.errors import ProtocolError
from signaling.sessions.commands import (
    Admit,
    Agreed,
    Command,
    Decision,
    Join,
    Limits,
    Policy,
)
from signaling.sessions.core import decide, schedule
from signaling.sessions.session import Session
from signaling.sessions.terms import Terms

MINUTE = 60_000
START = 1_800_000_000_000
OPENS, END = START - 10 * MINUTE, START + 45 * MINUTE
CAP = END + 15 * MINUTE

TERMS = Terms(
    join_window_ms=10 * MINUTE,
    grace_ms=90_000,
    overrun_ms=0,
    capacity=3,
    waiting_room="nobody",
    cues_to="nobody",
    cues_ms=(10 * MINUTE, 5 * MINUTE, 0),
    cap_cues_ms=(5 * MINUTE, MINUTE),
)
LIMITS = Limits(
    min_length_ms=MINUTE,
    max_length_ms=240 * MINUTE,
    max_ahead_ms=400 * 1440 * MINUTE,
    late_start_ms=MINUTE,
)
AGREED = Agreed("s1", "r1", START, 45 * MINUTE, "video")

THERAPIST = Join("anna", "therapist", "c1")
CLIENT = Join("ben", "client", "c2")
GUEST = Join("cleo", "guest", "c3")


def policy(**terms: Any) -> Policy:
    """A policy with these terms: no waiting room, no overrun and no cues unless said otherwise."""
    return Policy(msgspec.structs.replace(TERMS, **terms), LIMITS)


def scheduled(now_ms: int = OPENS - MINUTE, agreed: Agreed = AGREED, **terms: Any) -> Session:
    """A session that has been scheduled."""
    return schedule(agreed, policy(**terms), now_ms).session


def attended(*attendees: Any, **terms: Any) -> Session:
    """A session with invitations of its own."""
    return scheduled(agreed=dataclasses.replace(AGREED, attendees=attendees), **terms)


def after(session: Session, *commands: tuple[Command, int]) -> Session:
    """The session after commands, each at its time."""
    for command, now_ms in commands:
        session = decide(session, command, now_ms).session
    return session


def live(**terms: Any) -> Session:
    """A session with anna and ben in it since its start."""
    both = after(scheduled(**terms), (THERAPIST, OPENS), (CLIENT, START))
    return both if both.participant("ben") else after(both, (Admit("anna", ("ben",)), START))


def changes(decision: Decision) -> list[str]:
    """What happened, by name."""
    return [event.change for event in decision.events]


def refused(session: Session, command: Command, now_ms: int) -> ProtocolError:
    """Why the command is not allowed."""
    with pytest.raises(ProtocolError) as refusal:
        decide(session, command, now_ms)
    return refusal.value

"""Segments and sessions to work out usage of."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from protocol.fields import Modality, SessionRole
from signaling.sessions.segments import Segment
from signaling.sessions.session import Session
from tests.signaling.sessions_core_kit import START, scheduled

SECOND = 1_000
MINUTE = 60 * SECOND
ROLES: dict[str, SessionRole] = {"anna": "therapist", "ben": "client", "cleo": "guest"}


def segments(*parts: tuple[int, Modality, str], from_ms: int = START) -> tuple[Segment, ...]:
    """One after another: for how long, in which modality, and the initials of those present."""
    names = {name[0]: name for name in (*ROLES, "dora")}
    instants = itertools.accumulate((part[0] for part in parts), initial=from_ms)
    return tuple(
        Segment(begin, end, modality, tuple(names[initial] for initial in present))
        for (begin, end), (_, modality, present) in zip(itertools.pairwise(instants), parts, strict=True)
        if present
    )


def ended(*parts: tuple[int, Modality, str], **changes: Any) -> Session:
    """A session that is over and had these segments."""
    end_ms = START + sum(part[0] for part in parts)
    given: dict[str, Any] = {
        "state": "ended",
        "reason": "completed",
        "live_ms": START,
        "ended_ms": end_ms,
        "changed_ms": end_ms,
        "segments": segments(*parts),
        "roles": ROLES,
    }
    return msgspec.structs.replace(scheduled(), **(given | changes))

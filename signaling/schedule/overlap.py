"""What else lies at the same time. Pure; all times are milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MAX_OVERLAPS = 32
"""As many are named; a warning has done its work long before."""


class Booking(NamedTuple):
    """A session and its time; the end is not part of it."""

    starts_ms: int
    ends_ms: int
    session: str


def overlapping(booked: Sequence[Booking], others: Sequence[Booking]) -> tuple[Booking, ...]:
    """Those of ``others`` that share time with one that is booked, by start; a session never with itself."""
    own = {one.session for one in booked}
    found = [
        other
        for other in sorted(set(others))
        if other.session not in own
        and any(one.starts_ms < other.ends_ms and other.starts_ms < one.ends_ms for one in booked)
    ]
    return tuple(found[:MAX_OVERLAPS])

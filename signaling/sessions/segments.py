"""Segments: who was present in a session, in which modality, from when to when.

They follow one another without overlap and leave out the time in which nobody was there. The last one is open
while the session runs. All instants are milliseconds since 1970; intervals include their start and not their
end. What follows from them for billing is decided by those who read them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec import Struct

from protocol.fields import Modality, SessionRole

BOTH: frozenset[SessionRole] = frozenset({"therapist", "client"})
"""The roles that have to be present for the session to be held."""


class Segment(Struct, frozen=True):
    """A stretch of a session with one modality and one set of people present."""

    starts_ms: int
    ends_ms: int | None
    """None while it goes on."""
    modality: Modality
    present: tuple[str, ...]
    """Accounts, in the order of their coming."""


def record(
    segments: tuple[Segment, ...], present: tuple[str, ...], modality: Modality, at_ms: int
) -> tuple[Segment, ...]:
    """The segments once these people are present, in this modality, from ``at_ms`` on."""
    last = segments[-1] if segments else None
    if last is not None and last.ends_ms is None:
        if (last.present, last.modality) == (present, modality):
            return segments
        closed = msgspec.structs.replace(last, ends_ms=at_ms)
        segments = segments[:-1] if last.starts_ms == at_ms else (*segments[:-1], closed)
    if not present:
        return segments
    return _joined((*segments, Segment(at_ms, None, modality, present)))


def without(segments: Iterable[Segment], account: str, since_ms: int) -> tuple[Segment, ...]:
    """The segments if an account was gone from ``since_ms`` on: an absence turned out to be leaving."""
    rest: list[Segment] = []
    for segment in segments:
        ends_later = segment.ends_ms is None or segment.ends_ms > since_ms
        if account not in segment.present or not ends_later:
            rest.append(segment)
            continue
        if segment.starts_ms < since_ms:
            rest.append(msgspec.structs.replace(segment, ends_ms=since_ms))
        if others := tuple(one for one in segment.present if one != account):
            starts_ms = max(segment.starts_ms, since_ms)
            rest.append(msgspec.structs.replace(segment, starts_ms=starts_ms, present=others))
    return _joined(rest)


def both_ms(segments: Iterable[Segment], roles: Mapping[str, SessionRole], until_ms: int) -> int:
    """For how long until ``until_ms`` a therapist and a client were present together, in milliseconds."""
    return sum(
        max(0, (until_ms if segment.ends_ms is None else segment.ends_ms) - segment.starts_ms)
        for segment in segments
        if has_both(roles[account] for account in segment.present)
    )


def has_both(roles: Iterable[SessionRole]) -> bool:
    """Whether a therapist and a client are among these."""
    return frozenset(roles) >= BOTH


def _joined(segments: Collection[Segment]) -> tuple[Segment, ...]:
    """Segments that follow one another at once and do not differ are one."""
    joined: list[Segment] = []
    for segment in segments:
        last = joined[-1] if joined else None
        if last is not None and last.ends_ms == segment.starts_ms and _alike(last, segment):
            joined[-1] = msgspec.structs.replace(last, ends_ms=segment.ends_ms)
        else:
            joined.append(segment)
    return tuple(joined)


def _alike(one: Segment, other: Segment) -> bool:
    return (one.present, one.modality) == (other.present, other.modality)

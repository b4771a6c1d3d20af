"""For how long people were in a session: sums over its segments, in milliseconds.

Segments do not overlap, and absences shorter than the grace are bridged in them already. One that has not
ended counts up to ``until_ms``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, get_args

from msgspec import Struct

from protocol.fields import Modality, SessionRole
from signaling.sessions.segments import Segment, has_both

MINUTE_MS: Final = 60_000
MODALITIES: Final[tuple[Modality, ...]] = get_args(Modality)


class Attendance(Struct, frozen=True):
    """How long one account was in a session."""

    account: str
    role: SessionRole
    came_ms: int
    """When it came in first."""
    left_ms: int
    """When it was in it last."""
    present_ms: int
    """For how long in between."""


def whole_minutes(span_ms: int) -> int:
    """The minutes that have passed completely: 37 min 59.999 s are 37. Never rounded up."""
    return span_ms // MINUTE_MS


def together_ms(
    segments: Iterable[Segment], roles: Mapping[str, SessionRole], until_ms: int
) -> dict[Modality, int]:
    """For how long a therapist and a client were present together, by modality: all of them, also with 0."""
    sums: dict[Modality, int] = dict.fromkeys(MODALITIES, 0)
    for segment, span_ms in _spans(segments, until_ms):
        if has_both(roles[account] for account in segment.present):
            sums[segment.modality] += span_ms
    return sums


def role_ms(
    segments: Iterable[Segment],
    roles: Mapping[str, SessionRole],
    role: SessionRole,
    until_ms: int,
    from_ms: int = 0,
) -> int:
    """For how long somebody in this role was present from ``from_ms`` on."""
    return sum(
        span_ms
        for segment, span_ms in _spans(segments, until_ms, from_ms)
        if any(roles[account] == role for account in segment.present)
    )


def attendances(
    segments: Iterable[Segment], roles: Mapping[str, SessionRole], until_ms: int
) -> tuple[Attendance, ...]:
    """Everyone who was present, in the order of their coming."""
    found: dict[str, Attendance] = {}
    for segment, span_ms in _spans(segments, until_ms):
        for account in segment.present:
            known = found.get(account)
            found[account] = Attendance(
                account=account,
                role=roles[account],
                came_ms=known.came_ms if known else segment.starts_ms,
                left_ms=segment.starts_ms + span_ms,
                present_ms=span_ms + (known.present_ms if known else 0),
            )
    return tuple(found.values())


def _spans(segments: Iterable[Segment], until_ms: int, from_ms: int = 0) -> Iterator[tuple[Segment, int]]:
    """Each segment with how much of it lies between two instants."""
    for segment in segments:
        ends_ms = until_ms if segment.ends_ms is None else min(segment.ends_ms, until_ms)
        yield segment, max(0, ends_ms - max(segment.starts_ms, from_ms))

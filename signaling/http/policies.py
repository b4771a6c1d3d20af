"""Policies as back ends write them, in seconds, and as sessions take them."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.sessions import ConsentTerm
from signaling.http.schemas import ConsentSpec, PolicySpec
from signaling.sessions.terms import Wishes


def wishes_of(policy: PolicySpec) -> Wishes:
    """What a policy wishes for."""
    consents = policy.consents
    return Wishes(
        join_window_ms=_ms(policy.join_window_seconds),
        grace_ms=_ms(policy.grace_seconds),
        overrun_ms=_ms(policy.overrun_seconds),
        hard_end=policy.hard_end,
        waiting_room=policy.waiting_room,
        cues_to=policy.cues_to,
        cues_ms=_all_ms(policy.cue_seconds),
        cap_cues_ms=_all_ms(policy.cap_cue_seconds),
        consents=None if consents is None else tuple(ConsentTerm(c.kind, c.version) for c in consents),
    )


def policy_of(wishes: Wishes) -> PolicySpec:
    """The inverse of :func:`wishes_of`."""
    consents = wishes.consents
    return PolicySpec(
        join_window_seconds=_seconds(wishes.join_window_ms),
        grace_seconds=_seconds(wishes.grace_ms),
        overrun_seconds=_seconds(wishes.overrun_ms),
        hard_end=wishes.hard_end,
        waiting_room=wishes.waiting_room,
        cues_to=wishes.cues_to,
        cue_seconds=_all_seconds(wishes.cues_ms),
        cap_cue_seconds=_all_seconds(wishes.cap_cues_ms),
        consents=None if consents is None else tuple(ConsentSpec(c.kind, c.version) for c in consents),
    )


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _all_ms(seconds: Sequence[float] | None) -> tuple[int, ...] | None:
    """Each once: a cue is given once."""
    return None if seconds is None else tuple(dict.fromkeys(round(each * 1000) for each in seconds))


def _seconds(span_ms: int | None) -> float | None:
    return None if span_ms is None else span_ms / 1000


def _all_seconds(spans_ms: Sequence[int] | None) -> tuple[float, ...] | None:
    return None if spans_ms is None else tuple(each / 1000 for each in spans_ms)

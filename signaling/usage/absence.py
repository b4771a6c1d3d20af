"""Whether a session's record is evidence that its client did not come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from protocol.fields import SessionRole
from signaling.sessions.segments import Segment
from signaling.usage.minutes import role_ms

Verdict: TypeAlias = Literal["holds", "client_came", "client_waited", "before_grace", "therapist_absent"]
"""It is evidence, or why it is refused."""


def verdict(
    segments: Sequence[Segment],
    roles: Mapping[str, SessionRole],
    waited: bool,
    starts_ms: int,
    grace_ms: int,
    until_ms: int,
) -> Verdict:
    """What the record of a session up to ``until_ms`` says about its client not having come.

    ``roles`` are those of everyone who was in it; ``waited``: whether somebody who may have been the client
    was in its waiting room. It is refused if the client came that far; before the grace has passed since the
    agreed start; and if no therapist was there, after that start, for as long as the grace.
    """
    if "client" in roles.values():
        return "client_came"
    if waited:
        return "client_waited"
    if until_ms < starts_ms + grace_ms:
        return "before_grace"
    if role_ms(segments, roles, "therapist", until_ms, starts_ms) < max(1, grace_ms):
        return "therapist_absent"
    return "holds"

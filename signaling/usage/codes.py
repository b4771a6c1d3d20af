"""Suggests billing codes (CPT) for psychotherapy. What is billed is for people to decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from protocol.fields import Modality
from signaling.usage.minutes import whole_minutes

Code: TypeAlias = Literal["90832", "90834", "90837"]
Modifier: TypeAlias = Literal["95"]

LEAST_MINUTES: Final[tuple[tuple[int, Code], ...]] = ((53, "90837"), (38, "90834"), (16, "90832"))
"""From how many whole minutes on a code stands for a session, the longest first."""


class Suggestion(NamedTuple):
    """What a session could be billed as."""

    code: Code
    modifier: Modifier | None


def suggested(together_ms: Mapping[Modality, int], *, clients: int) -> Suggestion | None:
    """The code for the time that a therapist and the client were present together; None for no code.

    The codes are for one client: there is none for a group, nor for less than 16 minutes. The modifier 95
    (synchronous telehealth by audio and video) is given if video was the modality for more than half of it.
    """
    total_ms = sum(together_ms.values())
    minutes = whole_minutes(total_ms)
    code = next((code for least, code in LEAST_MINUTES if minutes >= least), None)
    if code is None or clients != 1:
        return None
    return Suggestion(code, "95" if together_ms["video"] * 2 > total_ms else None)

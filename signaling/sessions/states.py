"""The states of a session and what leads from one to the next, as data.

``docs/sessions.md`` shows the same table; a test holds the two equal. What else a change does (who is told,
what is cut) is decided in :mod:`signaling.sessions.core`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from protocol.fields import EndReason, SessionState

Trigger: TypeAlias = Literal[
    "moved",
    "window_opened",
    "both_present",
    "agreed_end",
    "agreed_end_empty",
    "cap",
    "emptied",
    "extended",
    "ended_by_therapist",
    "stopped_by_operator",
]
"""What moves a session: the clock, who is present, or someone's decision."""

Change: TypeAlias = Literal["moved", "opened", "live", "overrun", "extended", "ended", "cancelled", "no_show"]
"""How the room's log names the move."""


class Step(NamedTuple):
    """Where a trigger leads."""

    to: SessionState
    change: Change
    reason: EndReason | None = None


TRANSITIONS: Mapping[SessionState, Mapping[Trigger, Step]] = {
    "scheduled": {
        "moved": Step("scheduled", "moved"),
        "window_opened": Step("open", "opened"),
        "stopped_by_operator": Step("cancelled", "cancelled", "cancelled"),
    },
    "open": {
        "moved": Step("scheduled", "moved"),
        "both_present": Step("live", "live"),
        "extended": Step("open", "extended"),
        "agreed_end": Step("no_show", "no_show", "no_show"),
        "ended_by_therapist": Step("cancelled", "cancelled", "cancelled"),
        "stopped_by_operator": Step("cancelled", "cancelled", "cancelled"),
    },
    "live": {
        "extended": Step("live", "extended"),
        # A cap at the agreed end leaves nothing to overrun into: it comes instead of `agreed_end`.
        "agreed_end": Step("overrun", "overrun"),
        "agreed_end_empty": Step("ended", "ended", "left"),
        "cap": Step("ended", "ended", "completed"),
        "ended_by_therapist": Step("ended", "ended", "left"),
        "stopped_by_operator": Step("ended", "ended", "operator"),
    },
    "overrun": {
        # Where the new agreed end has passed as well, the clock leads back here at once.
        "extended": Step("live", "extended"),
        "emptied": Step("ended", "ended", "completed"),
        "cap": Step("ended", "ended", "cap"),
        "ended_by_therapist": Step("ended", "ended", "completed"),
        "stopped_by_operator": Step("ended", "ended", "operator"),
    },
    "ended": {},
    "cancelled": {},
    "no_show": {},
}

FINAL: frozenset[SessionState] = frozenset(state for state, steps in TRANSITIONS.items() if not steps)
"""States that nothing leads out of."""


def table() -> str:
    """The transitions as a Markdown table, for the documentation."""
    rows = [
        f"| {state} | {trigger} | {step.to} | {step.reason or ''} |"
        for state, steps in TRANSITIONS.items()
        for trigger, step in steps.items()
    ]
    return "\n".join(["| state | what happens | next state | reason |", "|---|---|---|---|", *rows])


def diagram() -> str:
    """The transitions as a Mermaid state diagram, for the documentation."""
    arrows = [
        f"    {state} --> {step.to}: {trigger}"
        for state, steps in TRANSITIONS.items()
        for trigger, step in steps.items()
    ]
    ends = [f"    {state} --> [*]" for state in TRANSITIONS if state in FINAL]
    return "\n".join(["stateDiagram-v2", "    [*] --> scheduled", *arrows, *ends])

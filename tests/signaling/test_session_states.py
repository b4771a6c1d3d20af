"""The table of states: whole, and without dead ends."""

from __future__ import annotations

from typing import get_args

import pytest

from protocol.fields import SessionState
from signaling.sessions.states import FINAL, TRANSITIONS, Trigger, diagram, table

BY_THE_CLOCK: frozenset[Trigger] = frozenset({"window_opened", "agreed_end", "cap"})


def test_every_state_of_the_wire_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(get_args(SessionState))


def test_every_state_can_be_reached() -> None:
    reached, unseen = set[SessionState](), [SessionState.__args__[0]]  # type: ignore[attr-defined]
    while unseen:
        state = unseen.pop()
        reached.add(state)
        unseen += [step.to for step in TRANSITIONS[state].values() if step.to not in reached]
    assert reached == set(TRANSITIONS)


@pytest.mark.parametrize("state", [state for state in TRANSITIONS if state not in FINAL])
def test_the_clock_alone_leads_out_of_every_state_that_is_not_final(state: SessionState) -> None:
    assert BY_THE_CLOCK & TRANSITIONS[state].keys()


def test_final_states_have_a_reason_and_others_none() -> None:
    for steps in TRANSITIONS.values():
        for step in steps.values():
            assert (step.reason is not None) == (step.to in FINAL)


def test_table_and_diagram_show_every_transition() -> None:
    transitions = sum(map(len, TRANSITIONS.values()))
    assert len(table().splitlines()) == transitions + 2
    assert diagram().count("-->") == transitions + len(FINAL) + 1

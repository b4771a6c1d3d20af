"""How long people were in a session."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.fields import Modality, SessionRole
from signaling.sessions.segments import Segment, both_ms
from signaling.usage.minutes import Attendance, attendances, role_ms, together_ms, whole_minutes
from tests.signaling.sessions_core_kit import START
from tests.signaling.usage_kit import MINUTE, ROLES, segments

LATER: Final = START + 1_000 * MINUTE


@pytest.mark.parametrize(
    ("span_ms", "minutes"),
    [(0, 0), (59_999, 0), (60_000, 1), (16 * MINUTE - 1, 15), (16 * MINUTE, 16), (38 * MINUTE - 1, 37)],
)
def test_minutes_are_never_rounded_up(span_ms: int, minutes: int) -> None:
    assert whole_minutes(span_ms) == minutes


def test_only_a_therapist_with_a_client_counts_as_both() -> None:
    made = segments(
        (100, "video", "a"),
        (10, "video", "ab"),
        (1, "video", "b"),
        (1, "video", ""),
        (1, "video", "bc"),
        (1, "video", "ac"),
        (7, "audio", "abc"),
        (5, "chat", "ba"),
    )
    assert together_ms(made, ROLES, LATER) == {"video": 10, "audio": 7, "chat": 5}
    assert role_ms(made, ROLES, "therapist", LATER) == 100 + 10 + 1 + 7 + 5
    assert role_ms(made, ROLES, "client", LATER) == 10 + 1 + 1 + 7 + 5
    assert role_ms(made, ROLES, "therapist", LATER, from_ms=START + 95) == 5 + 10 + 1 + 7 + 5


def test_what_goes_on_counts_until_now() -> None:
    made = (Segment(START, None, "video", ("anna", "ben")),)
    assert together_ms(made, ROLES, START + 90_000)["video"] == 90_000
    assert role_ms(made, ROLES, "client", START - 5) == 0


def test_everyone_is_listed_with_their_first_and_last_moment() -> None:
    made = segments(
        (10, "video", "a"), (20, "video", "ab"), (5, "audio", "b"), (3, "audio", ""), (7, "audio", "ab")
    )
    assert attendances(made, ROLES, LATER) == (
        Attendance("anna", "therapist", START, START + 45, 37),
        Attendance("ben", "client", START + 10, START + 45, 32),
    )


PARTS = st.lists(
    st.tuples(
        st.integers(0, 10**7),
        st.sampled_from(["video", "audio", "chat"]),
        st.sampled_from(["", "a", "b", "ab", "abc", "bc"]),
    ),
    max_size=30,
)


@given(PARTS)
def test_the_parts_add_up_to_the_whole(parts: list[tuple[int, Modality, str]]) -> None:
    made = segments(*parts)
    end_ms = START + sum(part[0] for part in parts)
    spans = together_ms(made, ROLES, end_ms)
    assert sum(spans.values()) == both_ms(made, ROLES, end_ms)
    for modality, span_ms in spans.items():
        assert span_ms == sum(part[0] for part in parts if part[1] == modality and {"a", "b"} <= set(part[2]))
    listed = {one.account: one for one in attendances(made, ROLES, end_ms)}
    for account, one in listed.items():
        assert one.present_ms == sum(part[0] for part in parts if account[0] in part[2])
        assert START <= one.came_ms <= one.left_ms <= end_ms
        assert one.present_ms <= one.left_ms - one.came_ms
    roles: list[SessionRole] = ["therapist", "client"]
    assert sum(spans.values()) <= min(role_ms(made, ROLES, role, end_ms) for role in roles)

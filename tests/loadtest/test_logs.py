"""The rule of the log as a device applies it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.logs import RoomLogs, Verdict
from tests.loadtest.rooms import head

RECONNECT = 0
ARRIVALS = st.lists(st.integers(1, 12) | st.just(RECONNECT), max_size=60)


@given(ARRIVALS)
def test_whatever_comes_what_is_handed_over_is_gapless_and_without_repeats(arrivals: list[int]) -> None:
    logs = RoomLogs()
    logs.welcomed([head(0)])
    taken: list[int] = []
    for offset in arrivals:
        if offset == RECONNECT:
            logs.welcomed([head(12)])
        elif logs.event("r1", 1, offset) is Verdict.NEW:
            taken.append(offset)
        assert logs.positions() == {"r1": {"epoch": 1, "offset": len(taken)}}
    assert taken == list(range(1, len(taken) + 1))


@given(st.integers(0, 1 << 53), st.integers(2, 1000))
def test_an_event_after_the_next_is_a_gap_and_moves_nothing(cursor: int, ahead: int) -> None:
    logs = RoomLogs()
    logs.welcomed([head(cursor, cursor=cursor)])
    assert logs.event("r1", 1, cursor + ahead) is Verdict.GAP
    assert logs.event("r1", 1, cursor + 1) is Verdict.NEW


def test_an_event_of_another_epoch_needs_a_reset_first() -> None:
    logs = RoomLogs({"r1": (1, 4)})
    assert logs.event("r1", 2, 5) is Verdict.GAP
    logs.reset("r1", 2, 1)
    assert logs.event("r1", 2, 1) is Verdict.NEW


def test_a_reset_of_an_empty_log_begins_before_its_first_event() -> None:
    logs = RoomLogs({"r1": (1, 4)})
    logs.reset("r1", 2, 0)
    assert logs.positions() == {"r1": {"epoch": 2, "offset": 0}}


def test_what_the_device_remembers_goes_before_the_cursor_of_the_server() -> None:
    logs = RoomLogs({"r1": (1, 4)})
    logs.welcomed([head(9, cursor=7)])
    assert logs.positions() == {"r1": {"epoch": 1, "offset": 4}}


def test_rooms_that_are_gone_at_the_welcome_are_forgotten() -> None:
    logs = RoomLogs({"old": (1, 4)})
    logs.welcomed([head(0)])
    assert logs.positions().keys() == {"r1"}


def test_only_a_second_ping_without_progress_is_stuck() -> None:
    logs = RoomLogs({"r1": (1, 4)})
    assert not logs.stuck({"r1": 5})
    logs.event("r1", 1, 5)
    assert not logs.stuck({"r1": 6})
    assert logs.stuck({"r1": 6})
    assert not logs.stuck({})
    assert not logs.stuck({"r1": 6})

"""When the clock looks at which deadline: never early, in order, each until it is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.rows import Deadline
from signaling.sessions.agenda import RETRY_FIRST_MS, RETRY_MOST_MS, Agenda
from signaling.sessions.countdowns import Countdowns

HORIZON = 2_000


def due(at_ms: int, session: str = "s", kind: str = "cap") -> Deadline:
    return Deadline(session, kind, at_ms, 1)


def test_nothing_is_known_before_the_first_load() -> None:
    agenda = Agenda(HORIZON)
    assert agenda.stale(0)
    assert agenda.load_before_ms(10) == 10 + HORIZON
    agenda.loaded([], 10 + HORIZON, complete=True)
    assert not agenda.stale(9 + HORIZON)
    assert agenda.wake_ms() == 10 + HORIZON


def test_is_taken_when_due_and_not_before() -> None:
    agenda = Agenda(HORIZON)
    agenda.loaded([due(100)], HORIZON, complete=True)
    assert agenda.wake_ms() == 100
    assert agenda.take(99, 10) == ()
    assert agenda.take(100, 10) == (due(100),)
    assert agenda.take(100, 10) == ()


def test_a_load_that_was_cut_is_repeated_from_where_it_ended() -> None:
    agenda = Agenda(HORIZON)
    agenda.loaded([due(100, "a"), due(200, "b")], HORIZON, complete=False)
    assert not agenda.stale(199)
    assert agenda.stale(200)


def test_a_deadline_of_the_same_session_waits_for_the_next_turn() -> None:
    agenda = Agenda(HORIZON)
    agenda.loaded([due(1, "a"), due(2, "b"), due(3, "a"), due(4, "c")], HORIZON, complete=True)
    assert agenda.take(10, 10) == (due(1, "a"), due(2, "b"))
    assert agenda.take(10, 10) == (due(3, "a"), due(4, "c"))


def test_what_a_session_has_due_at_the_same_instant_is_one() -> None:
    agenda = Agenda(HORIZON)
    rows = [due(7, session, kind) for session in "abc" for kind in ("cap", "cue")]
    agenda.loaded(rows, HORIZON, complete=True)
    assert agenda.take(7, 10) == (due(7, "a"), due(7, "b"), due(7, "c"))
    assert agenda.held == 0


def test_what_is_left_to_another_comes_again_with_every_load_until_it_is_done() -> None:
    agenda = Agenda(HORIZON)
    agenda.loaded([due(1, "a"), due(2, "b")], HORIZON, complete=True)
    for deadline in agenda.take(5, 10):
        agenda.leave(deadline)
    assert agenda.take(5, 10) == ()
    assert agenda.held == 2
    agenda.loaded([due(2, "b")], 2 * HORIZON, complete=True)
    assert agenda.held == 1
    assert agenda.take(5, 10) == (due(2, "b"),)


def test_a_load_that_was_cut_says_nothing_of_what_was_left_behind_it() -> None:
    agenda = Agenda(HORIZON)
    agenda.loaded([due(1, "a"), due(2, "b"), due(3, "c")], HORIZON, complete=True)
    for deadline in agenda.take(5, 10):
        agenda.leave(deadline)
    agenda.loaded([due(1, "a"), due(2, "b")], 2 * HORIZON, complete=False)
    assert agenda.held == 3, "so that the next load reaches further"


def test_it_looks_again_at_once_when_told_so() -> None:
    agenda = Agenda(HORIZON)
    agenda.loaded([], HORIZON, complete=True)
    assert not agenda.stale(5)
    agenda.look_again()
    assert agenda.stale(5)
    assert agenda.wake_ms() <= 5


def test_what_is_near_when_it_is_set_may_be_seen_by_others_too_late() -> None:
    agenda = Agenda(HORIZON)
    agenda.load_before_ms(10)
    assert agenda.put(due(9 + HORIZON))
    assert not agenda.put(due(10 + HORIZON))


def test_what_is_set_for_later_is_left_to_a_later_load() -> None:
    agenda = Agenda(HORIZON)
    agenda.loaded([], agenda.load_before_ms(0), complete=True)
    agenda.put(due(HORIZON))
    assert agenda.held == 0
    assert agenda.wake_ms() == HORIZON
    assert agenda.stale(HORIZON)


def test_what_is_set_while_the_store_is_read_is_not_missed() -> None:
    agenda = Agenda(HORIZON)
    before_ms = agenda.load_before_ms(0)
    agenda.put(due(100))  # committed after the store was read, and before the rows are here
    agenda.loaded([], before_ms, complete=True)
    assert agenda.wake_ms() == 100
    assert agenda.take(100, 10) == (due(100),)


def test_loading_again_does_not_double_what_waits() -> None:
    agenda = Agenda(HORIZON)
    agenda.loaded([due(100)], HORIZON, complete=True)
    agenda.loaded([due(100)], HORIZON, complete=True)
    assert agenda.held == 1


def test_failures_are_tried_again_after_a_pause_that_grows_even_if_loaded_anew() -> None:
    agenda = Agenda(HORIZON)
    agenda.load_before_ms(0)
    agenda.put(due(100))
    now, pauses = 100, []
    for _ in range(12):
        (taken,) = agenda.take(now, 10)
        agenda.failed(taken, now)
        agenda.put(taken)  # the store still has it
        agenda.loaded([taken], now + 10**9, complete=True)
        pauses.append(agenda.wake_ms() - now)
        assert agenda.take(agenda.wake_ms() - 1, 10) == ()
        now = agenda.wake_ms()
    assert pauses[:3] == [RETRY_FIRST_MS, 2 * RETRY_FIRST_MS, 4 * RETRY_FIRST_MS]
    assert pauses[-1] == RETRY_MOST_MS
    agenda.done(agenda.take(now, 10)[0])
    assert agenda.held == 0


@given(
    rows=st.lists(
        st.builds(due, st.integers(0, 500), st.sampled_from("abcdef"), st.sampled_from(["cap", "cue"])),
        max_size=30,
        unique=True,
    ),
    steps=st.lists(st.integers(0, 100), min_size=1, max_size=30),
    limit=st.integers(1, 5),
)
def test_everything_in_the_store_is_taken_once_in_order_and_never_early(
    rows: list[Deadline], steps: list[int], limit: int
) -> None:
    stored = sorted(rows, key=lambda row: (row.due_ms, row.session, row.kind))
    in_order = list(dict.fromkeys((row.due_ms, row.session) for row in stored))
    agenda, store, taken, now = Agenda(50), stored, [], 0
    for step in [*steps, 500, 500, *[0] * 60]:
        now += step
        if agenda.stale(now):
            size = agenda.held + limit
            page = [row for row in store if row.due_ms < agenda.load_before_ms(now)][:size]
            agenda.loaded(page, agenda.load_before_ms(now), complete=len(page) < size)
        for row in agenda.take(now, limit):
            assert row.due_ms <= now
            # Done: the outcome of all that the session had due at that instant is committed.
            store = [one for one in store if (one.due_ms, one.session) != (row.due_ms, row.session)]
            agenda.done(row)
            taken.append((row.due_ms, row.session))
    assert taken == in_order


def test_a_session_is_reminded_once_per_interval() -> None:
    countdowns = Countdowns(60)
    countdowns.told("a", 0)
    countdowns.told("b", 10)
    assert countdowns.due(59) == ()
    assert countdowns.due(60) == ("a",)
    assert countdowns.due(60) == ()
    countdowns.told("a", 60)
    countdowns.told("b", 65)  # told for another reason: its interval begins anew
    assert countdowns.due(119) == ()
    countdowns.forget("a")
    assert countdowns.due(1000) == ("b",)

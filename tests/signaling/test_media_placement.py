"""Where sessions are: load is never wrong, and what was on a dead worker is nowhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signaling.media.placement import Place, Placement, Seat

PLACE = Place("connection", 1)


def test_a_session_goes_to_the_slot_with_the_fewest_participants() -> None:
    placement = Placement()
    assert placement.choose() is None
    for slot in range(3):
        placement.up(slot)
    placement.take("a", Seat(0, 1))
    placement.enter("a", "anna", PLACE)
    assert placement.choose() == 1
    placement.take("b", Seat(1, 1))
    placement.enter("b", "ben", PLACE)
    assert placement.choose() == 2


def test_a_participant_counts_once_and_moves_to_the_connection_it_offered_from_last() -> None:
    placement = Placement()
    placement.up(0)
    placement.take("a", Seat(0, 1))
    placement.enter("a", "anna", PLACE)
    placement.enter("a", "anna", Place("other", 1))
    assert placement.load == {0: 1}
    assert placement.place("a", "anna") == Place("other", 1)


def test_what_a_dead_worker_carried_has_no_seat() -> None:
    placement = Placement()
    placement.up(0)
    placement.up(1)
    placement.take("a", Seat(0, 1))
    placement.enter("a", "anna", PLACE)
    placement.take("b", Seat(1, 4))
    assert placement.down(0) == {"a": {"anna": PLACE}}
    assert placement.seat("a") is None
    assert placement.place("a", "anna") is None
    assert placement.seat("b") == Seat(1, 4)
    assert placement.leave("a", "anna") is None
    assert placement.release("a") is None
    assert placement.choose() == 1


steps = st.lists(
    st.tuples(
        st.sampled_from(["up", "down", "enter", "leave", "release"]),
        st.integers(0, 2),
        st.sampled_from("abc"),
        st.sampled_from("xyz"),
    ),
    max_size=60,
)


@given(steps)
def test_the_load_is_the_number_of_participants_whatever_happens(
    steps: list[tuple[str, int, str, str]],
) -> None:
    placement, model = Placement(), dict[str, tuple[int, set[str]]]()
    up: set[int] = set()
    for what, slot, session, account in steps:
        match what:
            case "up" if slot not in up:
                placement.up(slot)
                up.add(slot)
            case "down":
                stranded = placement.down(slot)
                gone = {name: held[1] for name, held in model.items() if held[0] == slot}
                assert {name: set(places) for name, places in stranded.items()} == gone
                model = {name: held for name, held in model.items() if name not in gone}
                up.discard(slot)
            case "enter" if up:
                if session not in model:
                    chosen = placement.choose()
                    assert chosen is not None
                    placement.take(session, Seat(chosen, 1))
                    model[session] = (chosen, set())
                placement.enter(session, account, PLACE)
                model[session][1].add(account)
            case "leave":
                known = session in model and account in model[session][1]
                assert (placement.leave(session, account) is not None) == known
                if known:
                    model[session][1].discard(account)
            case "release":
                assert (placement.release(session) is not None) == (session in model)
                model.pop(session, None)
    expected = {slot: sum(len(held[1]) for held in model.values() if held[0] == slot) for slot in up}
    assert placement.load == expected

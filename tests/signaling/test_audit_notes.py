"""What is noted is bounded and counted; how far a trail is pruned."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from relay.audit_chain import AuditEntry, kept_digest
from relay.audit_trail import EMPTY
from signaling.audit.notes import Notes
from signaling.audit.pruning import Pruning
from tests.signaling.audit_kit import KEY, chained, entry, head_of


def at(entry: AuditEntry, at_ms: int) -> AuditEntry:
    return msgspec.structs.replace(entry, at_ms=at_ms)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 99))), st.integers(1, 6))
def test_every_note_is_kept_counted_or_left_out(noted: list[tuple[str, int]], limit: int) -> None:
    notes = Notes(limit)
    for actor, at_ms in noted:
        notes.put(at(entry(0, actor), at_ms))
    left_out, taken = notes.left_out, notes.take()
    assert len(taken) <= limit
    assert sum(one.count for one in taken) + left_out == len(noted)
    everyone = Counter(actor for actor, _ in noted)
    for one in taken:
        assert one.count == everyone[one.actor]
        assert one.at_ms == next(at_ms for actor, at_ms in noted if actor == one.actor)
    assert [one.actor for one in taken] == list(dict.fromkeys(actor for actor, _ in noted))[:limit]
    assert (notes.take(), notes.left_out) == ((), 0)


def test_what_is_put_back_keeps_its_count() -> None:
    notes = Notes()
    for _ in range(3):
        notes.put(entry(1))
    (waiting,) = notes.take()
    notes.put(waiting)
    notes.put(entry(1))
    assert [one.count for one in notes.take()] == [4]


TRAIL = chained(entry(number) for number in range(10, 16))  # at 10, 11, ... ms


def test_pruning_stops_at_what_is_young_and_at_what_is_not_signed() -> None:
    for before_ms, signed, through in ((13, 99, 3), (99, 3, 2), (10, 99, 0), (99, 0, 0)):
        pruning = Pruning(None, before_ms, signed)
        taken = [pruning.takes(record) for record in TRAIL]
        assert taken[through] is False
        assert pruning.through == (head_of(TRAIL[through - 1]) if through else EMPTY)
        assert pruning.worthwhile == bool(through)
        assert pruning.dropped == through


def test_held_entries_are_counted_and_told_by_the_anchor() -> None:
    pruning = Pruning(None, 14, 99)
    for record in TRAIL[:4]:
        assert pruning.takes(record)
    pruning.keeps(TRAIL[1])
    first = pruning.anchor(KEY, 1)
    assert (pruning.dropped, first.through, first.kept) == (3, 4, kept_digest([TRAIL[1]]))

    still_held = Pruning(first, 14, 99)
    still_held.keeps(TRAIL[1])
    assert not still_held.takes(TRAIL[4])
    assert not still_held.worthwhile

    released = Pruning(first, 14, 99)
    assert released.worthwhile
    assert released.anchor(KEY, 2).kept == kept_digest([])
    assert released.through == head_of(TRAIL[3])

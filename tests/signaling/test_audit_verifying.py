"""Whatever is done to a trail is found, and called by its name."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relay.audit_chain import AuditEntry, AuditRecord, kept_digest
from relay.audit_trail import AuditAnchor, AuditCheckpoint
from signaling.audit.seals import sign_anchor, sign_checkpoint
from signaling.audit.verifying import Report, verify
from tests.signaling.audit_kit import KEY, KEYS, STRANGER, chained, entry, head_of, reading
from tests.strategies import values

replace = msgspec.structs.replace
TRAIL = chained(entry(number) for number in range(1, 11))
SEALS = [sign_checkpoint(KEY, head_of(TRAIL[n - 1]), 100 + n) for n in (4, 8)]


def checked(
    records: list[AuditRecord], seals: list[AuditCheckpoint] = SEALS, anchor: AuditAnchor | None = None
) -> Report:
    return verify(reading(records), seals, anchor, KEYS)


def fault(
    records: list[AuditRecord], seals: list[AuditCheckpoint] = SEALS, anchor: AuditAnchor | None = None
) -> tuple[str, int] | None:
    found = checked(records, seals, anchor).fault
    return (found.kind, found.sequence) if found else None


def moved(record: AuditRecord, sequence: int) -> AuditRecord:
    return replace(record, sequence=sequence)


def test_a_whole_trail_is_read_to_its_end() -> None:
    report = checked(TRAIL)
    assert report.fault is None
    assert (report.entries, report.checkpoints) == (10, 2)
    assert (report.head, report.signed) == (head_of(TRAIL[-1]), SEALS[-1])
    assert fault([], []) is None


def test_an_edited_entry() -> None:
    edited = replace(TRAIL[4], entry=entry(5, actor="eve"))
    assert fault([*TRAIL[:4], edited, *TRAIL[5:]]) == ("edited", 5)
    other_digest = replace(TRAIL[4], digest=bytes(32))
    assert fault([*TRAIL[:4], other_digest, *TRAIL[5:]]) == ("edited", 5)


def test_a_deleted_entry_with_and_without_closing_the_gap() -> None:
    assert fault([*TRAIL[:4], *TRAIL[5:]]) == ("deleted", 5)
    assert fault(TRAIL[1:]) == ("deleted", 1)
    closed = [*TRAIL[:4], *(moved(one, one.sequence - 1) for one in TRAIL[5:])]
    assert fault(closed) == ("edited", 5)


@pytest.mark.parametrize("with_digests", [True, False])
@pytest.mark.parametrize(("one", "other"), [(5, 6), (3, 9)])
def test_reordered_entries(one: int, other: int, with_digests: bool) -> None:
    first, second = TRAIL[one - 1], TRAIL[other - 1]
    swapped = list(TRAIL)
    if with_digests:
        swapped[one - 1], swapped[other - 1] = moved(second, one), moved(first, other)
    else:
        swapped[one - 1] = replace(first, entry=second.entry)
        swapped[other - 1] = replace(second, entry=first.entry)
    assert fault(swapped) == ("reordered", one)


def test_a_truncated_trail_is_found_up_to_the_last_checkpoint() -> None:
    assert fault(TRAIL[:7]) == ("truncated", 8)
    assert fault([]) == ("truncated", 1)
    assert fault(TRAIL[:7], SEALS[:1]) is None, "nothing tells of the entry that is gone"
    assert fault(TRAIL[:8]) is None, "behind the last checkpoint nothing tells either"


def test_a_trail_that_was_computed_anew_does_not_fit_its_checkpoints() -> None:
    forged = chained(
        [*(one.entry for one in TRAIL[:5]), entry(6, actor="eve"), *(r.entry for r in TRAIL[6:])]
    )
    assert fault(forged) == ("rewritten", 8)
    longer = chained([*(one.entry for one in TRAIL[:6]), *(entry(n, actor="eve") for n in range(7, 20))])
    assert fault(longer) == ("rewritten", 8)


def test_a_checkpoint_that_no_key_of_the_server_has_signed() -> None:
    forged = sign_checkpoint(STRANGER, head_of(TRAIL[5]), 106)
    as_ours = replace(forged, key=SEALS[0].key)
    for seal in (forged, as_ours, replace(SEALS[1], at_ms=1), replace(SEALS[1], digest=TRAIL[6].digest)):
        assert fault(TRAIL, [SEALS[0], seal]) == ("forged", seal.sequence)
    assert fault(TRAIL, [SEALS[1], SEALS[0]]) == ("forged", 4), "checkpoints only go forward"


def test_the_same_checkpoint_from_two_places_is_good() -> None:
    assert checked(TRAIL, sorted([*SEALS, *SEALS], key=lambda one: one.sequence)).checkpoints == 4


def pruned(through: int, *kept: int) -> tuple[list[AuditRecord], AuditAnchor]:
    remaining = [one for one in TRAIL if one.sequence > through or one.sequence in kept]
    stay = kept_digest(TRAIL[number - 1] for number in kept)
    return remaining, sign_anchor(KEY, head_of(TRAIL[through - 1]), stay, 200)


def test_a_pruned_trail_goes_on_from_its_anchor() -> None:
    for through, kept in ((3, ()), (5, (1, 4)), (8, (8,))):
        remaining, anchor = pruned(through, *kept)
        report = checked(remaining, SEALS, anchor)
        assert (report.fault, report.entries) == (None, len(remaining))
        assert fault(remaining, SEALS) == ("deleted", 1 if 1 not in kept else 2)


def test_what_a_pruned_trail_has_kept_cannot_be_changed() -> None:
    remaining, anchor = pruned(6, 2, 5)
    edited = replace(remaining[0], entry=entry(2, actor="eve"))
    swapped = [moved(remaining[1], 2), moved(remaining[0], 5)]
    for kept in ([], remaining[:1], [edited, remaining[1]], swapped, TRAIL[:6]):
        assert fault([*kept, *remaining[2:]], SEALS, anchor) == ("unkept", 6)
    assert fault([*remaining[:2], *remaining[3:]], SEALS, anchor) == ("deleted", 7)


def test_nobody_else_prunes() -> None:
    remaining, anchor = pruned(6)
    forged = sign_anchor(STRANGER, head_of(TRAIL[5]), kept_digest(()), 200)
    for wrong in (
        forged,
        replace(forged, key=anchor.key),
        replace(anchor, through=5),
        replace(anchor, kept=b""),
    ):
        assert fault(remaining, SEALS, wrong) == ("forged", wrong.through)
    assert fault(remaining[2:], SEALS, anchor) == ("deleted", 7)
    wrong_place = sign_anchor(KEY, head_of(moved(TRAIL[5], 8)), kept_digest(()), 200)
    assert fault(TRAIL[8:], SEALS, wrong_place) == ("rewritten", 8)


@st.composite
def tampered(draw: st.DrawFn) -> tuple[list[AuditRecord], list[AuditRecord]]:
    """A trail that ends with a checkpoint, and the same after anything at all was done to it."""
    entries = draw(st.lists(values(AuditEntry), min_size=1, max_size=7))
    trail = chained(entries)
    changed = [(one.sequence, one.entry, one.digest) for one in trail]
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(changed) - 1)))
        match draw(st.sampled_from(["delete", "insert", "edit", "swap", "truncate", "digest", "recompute"])):
            case "delete":
                changed[place : place + 1] = []
            case "insert":
                changed.insert(place, (place + 1, draw(values(AuditEntry)), draw(st.binary(max_size=32))))
            case "edit" if changed:
                changed[place] = (changed[place][0], draw(values(AuditEntry)), changed[place][2])
            case "swap" if changed:
                other = draw(st.integers(0, len(changed) - 1))
                changed[place], changed[other] = changed[other], changed[place]
            case "digest" if changed:
                changed[place] = (changed[place][0], changed[place][1], draw(st.binary(max_size=32)))
            case "recompute":
                changed = [(r.sequence, r.entry, r.digest) for r in chained(one for _, one, _ in changed)]
            case _:
                changed = changed[:place]
    if draw(st.booleans()):  # close the gaps
        changed = [(place, one, digest) for place, (_, one, digest) in enumerate(changed, start=1)]
    unique = {sequence: (sequence, one, digest) for sequence, one, digest in changed}
    return trail, [AuditRecord(*unique[sequence]) for sequence in sorted(unique)]


@given(tampered())
def test_any_tampering_up_to_the_last_checkpoint_is_found(
    case: tuple[list[AuditRecord], list[AuditRecord]],
) -> None:
    trail, changed = case
    seal = sign_checkpoint(KEY, head_of(trail[-1]), 1)
    assume(changed[: len(trail)] != trail)
    assert fault(changed, [seal]) is not None


@given(tampered())
def test_any_tampering_with_what_was_kept_is_found(case: tuple[list[AuditRecord], list[AuditRecord]]) -> None:
    trail, changed = case
    anchor = sign_anchor(KEY, head_of(trail[-1]), kept_digest(trail), 1)
    assume([one for one in changed if 0 < one.sequence <= len(trail)] != trail)
    assert fault(changed, [], anchor) is not None


def test_a_trail_is_read_one_entry_at_a_time() -> None:
    """Neither entries nor checkpoints are collected, however many there are."""
    waiting = 0

    def one_by_one(after: int) -> Iterator[AuditRecord]:
        nonlocal waiting
        for record in TRAIL[after:]:
            waiting += 1
            assert waiting == 1
            yield record
            waiting -= 1

    def seals() -> Iterator[AuditCheckpoint]:
        for seal in SEALS:
            assert waiting <= 1
            yield seal

    assert verify(one_by_one, seals(), None, KEYS).fault is None

"""The chain's digests: no two histories have the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from relay.audit_chain import GENESIS, AuditEntry, AuditRecord, canonical, follow, kept_digest
from tests.strategies import values

entries = values(AuditEntry)


def chained(entries: Sequence[AuditEntry]) -> list[AuditRecord]:
    records, before = list[AuditRecord](), GENESIS
    for sequence, entry in enumerate(entries, start=1):
        before = follow(before, sequence, entry)
        records.append(AuditRecord(sequence, entry, before))
    return records


@given(entries, entries)
def test_two_entries_have_the_same_bytes_only_if_they_are_equal(one: AuditEntry, other: AuditEntry) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


def test_text_cannot_slip_from_one_field_into_the_next() -> None:
    fields = ("role", "action", "kind", "id", "room", "subject", "source", "ok")
    assert canonical(AuditEntry(1, "ab", *fields)) != canonical(
        AuditEntry(1, "a", "b" + fields[0], *fields[1:])
    )


@given(st.lists(entries, min_size=1, max_size=6), st.data())
def test_the_last_digest_stands_for_everything_before_it(
    history: list[AuditEntry], data: st.DataObject
) -> None:
    other = data.draw(st.lists(entries | st.sampled_from(history), max_size=6))
    last, other_last = (
        chained(history)[-1].digest,
        (chained(other) or [AuditRecord(0, history[0], GENESIS)])[-1].digest,
    )
    assert (last == other_last) == (history == other)


def test_a_digest_depends_on_its_place() -> None:
    entry = AuditEntry(1, "a", "r", "x", "k", "i", "", "", "http", "ok")
    assert follow(GENESIS, 1, entry) != follow(GENESIS, 2, entry)


def test_the_digest_is_the_documented_one() -> None:
    entry = AuditEntry(5, "é", "", "a", "", "", "", "", "", "ok", "", 1)
    text = b"".join(
        len(t).to_bytes(4, "big") + t for t in ("é".encode(), b"", b"a", b"", b"", b"", b"", b"", b"ok", b"")
    )
    expected = b"rapport audit entry 1\0" + bytes(32) + (7).to_bytes(8, "big") + (5).to_bytes(8, "big") + text
    assert follow(bytes(32), 7, entry) == hashlib.sha256(expected + (1).to_bytes(8, "big")).digest()


@given(st.lists(entries, max_size=5), st.data())
def test_the_digest_of_kept_entries_stands_for_all_of_them(
    history: list[AuditEntry], data: st.DataObject
) -> None:
    records = chained(history)
    others = data.draw(st.lists(st.sampled_from(records), max_size=5) if records else st.just([]))
    assert (kept_digest(records) == kept_digest(others)) == (records == others)

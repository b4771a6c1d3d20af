"""Trails made in memory, with keys that are the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.audit_chain import GENESIS, AuditEntry, AuditRecord, follow
from relay.audit_trail import AuditHead
from signaling.audit.seals import key_id

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
KEYS = {key_id(KEY.public_key()): KEY.public_key()}


def entry(number: int, actor: str = "ann") -> AuditEntry:
    """Some entry; another for each number."""
    return AuditEntry(
        number, actor, "therapist", "session.live", "session", f"s{number}", "r", "", "http", "ok"
    )


def chained(entries: Iterable[AuditEntry], head: AuditHead | None = None) -> list[AuditRecord]:
    """Records with the digests that the store would give them."""
    sequence, before = (head.sequence, head.digest) if head else (0, GENESIS)
    records: list[AuditRecord] = []
    for sequence, one in enumerate(entries, start=sequence + 1):  # noqa: B020 - from where the trail stands
        before = follow(before, sequence, one)
        records.append(AuditRecord(sequence, one, before))
    return records


def head_of(record: AuditRecord) -> AuditHead:
    """The head of a trail that ends there."""
    return AuditHead(record.sequence, record.digest)


def reading(records: Sequence[AuditRecord]) -> Callable[[int], Iterable[AuditRecord]]:
    """As a store reads: by sequence, behind one."""
    in_order = sorted(records, key=lambda record: record.sequence)
    return lambda after: (record for record in in_order if record.sequence > after)

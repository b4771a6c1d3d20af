"""What was done to an audit trail: reads it from end to end and names the first fault.

Pure and streaming: entries and checkpoints come one by one, in the order of their sequences, none is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from relay.audit_chain import AuditRecord, KeptDigest, follow
from relay.audit_trail import EMPTY, AuditAnchor, AuditCheckpoint, AuditHead
from signaling.audit.seals import PublicKeys, anchor_is_genuine, checkpoint_is_genuine

FaultKind: TypeAlias = Literal["edited", "deleted", "reordered", "truncated", "rewritten", "forged", "unkept"]

MEANINGS: dict[FaultKind, str] = {
    "edited": "the entry is not the one that was written here",
    "deleted": "the entry is missing",
    "reordered": "another entry stands here, and the one that belongs here stands further on",
    "truncated": "a checkpoint tells of entries up to there, and the trail ends before",
    "rewritten": "the digests fit each other and not this entry's checkpoint: the trail was computed anew",
    "forged": "a checkpoint or anchor of this entry is not signed by a key of this server",
    "unkept": "one of the entries up to here that a hold has kept is missing or is not as it was",
}
"""Each kind of fault for people."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong."""

    kind: FaultKind
    sequence: int
    """The entry at which it shows; for ``truncated`` the first one that is missing."""

    def __str__(self) -> str:
        return f"{self.kind} at entry {self.sequence}: {MEANINGS[self.kind]}"


class _Broken(Exception):
    """Ends the reading."""

    def __init__(self, kind: FaultKind, sequence: int) -> None:
        self.fault = Fault(kind, sequence)


@dataclass(slots=True)
class Report:
    """What was read."""

    entries: int = 0
    checkpoints: int = 0
    head: AuditHead = EMPTY
    signed: AuditCheckpoint | None = None
    """The last checkpoint. Entries behind it are chained, but more of them may have been there."""
    fault: Fault | None = None
    kept: KeptDigest = field(default_factory=KeptDigest)
    """Of the entries that were kept when those around them were pruned."""


Read: TypeAlias = Callable[[int], Iterable[AuditRecord]]
"""The entries behind a sequence, in their order."""


def verify(
    read: Read, checkpoints: Iterable[AuditCheckpoint], anchor: AuditAnchor | None, keys: PublicKeys
) -> Report:
    """Read the whole trail. ``checkpoints`` are in the order of their sequences, from wherever they are kept.

    Entries that were written later than the last of the checkpoints may be among those read, and need not be.
    """
    report = Report()
    try:
        _verify(report, read, _Checkpoints(report, checkpoints, keys), anchor, keys)
    except _Broken as broken:
        report.fault = broken.fault
    return report


def _verify(
    report: Report, read: Read, signed: _Checkpoints, anchor: AuditAnchor | None, keys: PublicKeys
) -> None:
    if anchor is not None:
        if not anchor_is_genuine(anchor, keys):
            raise _Broken("forged", anchor.through)
        _read_kept(report, read(0), anchor)
        report.head = AuditHead(anchor.through, anchor.digest)
    signed.skip_below(report.head.sequence)
    signed.check(report.head)
    for record in read(report.head.sequence):
        report.head = _next(report.head, record, read)
        report.entries += 1
        signed.check(report.head)
    signed.check_none_is_left(report.head)


def _read_kept(report: Report, records: Iterable[AuditRecord], anchor: AuditAnchor) -> None:
    for record in records:
        if record.sequence > anchor.through:
            break
        report.kept.add(record)
        report.entries += 1
    if report.kept.digest() != anchor.kept:
        raise _Broken("unkept", anchor.through)


def _next(before: AuditHead, record: AuditRecord, read: Read) -> AuditHead:
    """The head after one more entry."""
    sequence = before.sequence + 1
    if record.sequence != sequence:
        raise _Broken("deleted", sequence)
    if follow(before.digest, sequence, record.entry) == record.digest:
        return AuditHead(sequence, record.digest)
    # Was the content moved, with its digest or without it? Then what belongs here is to be found further on.
    for other in read(sequence):
        if follow(before.digest, sequence, other.entry) in {record.digest, other.digest}:
            raise _Broken("reordered", sequence)
    raise _Broken("edited", sequence)


class _Checkpoints:
    """The checkpoints, one ahead of the entries."""

    def __init__(self, report: Report, checkpoints: Iterable[AuditCheckpoint], keys: PublicKeys) -> None:
        self._report = report
        self._genuine = _genuine(checkpoints, keys)
        self._ahead = next(self._genuine, None)

    def skip_below(self, sequence: int) -> None:
        """Pass over those of entries that were pruned."""
        while self._ahead is not None and self._ahead.sequence < sequence:
            self._take(self._ahead)

    def check(self, head: AuditHead) -> None:
        """Compare those of this entry with it."""
        while self._ahead is not None and self._ahead.sequence <= head.sequence:
            if self._ahead.digest != head.digest:
                raise _Broken("rewritten", head.sequence)
            self._take(self._ahead)

    def check_none_is_left(self, head: AuditHead) -> None:
        """The trail has ended: so must they."""
        if self._ahead is not None:
            raise _Broken("truncated", head.sequence + 1)

    def _take(self, checkpoint: AuditCheckpoint) -> None:
        self._report.checkpoints += 1
        self._report.signed = checkpoint
        self._ahead = next(self._genuine, None)


def _genuine(checkpoints: Iterable[AuditCheckpoint], keys: PublicKeys) -> Iterator[AuditCheckpoint]:
    last = 0
    for checkpoint in checkpoints:
        if not checkpoint_is_genuine(checkpoint, keys) or checkpoint.sequence < last:
            raise _Broken("forged", checkpoint.sequence)
        last = checkpoint.sequence
        yield checkpoint

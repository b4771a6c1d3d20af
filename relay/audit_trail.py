"""The audit trail as a store keeps it: rows, writes, and the port to read it.

The trail is append-only but for pruning, which leaves a signed anchor. Sequence and digest of an entry are
assigned inside the transaction (`relay.audit_chain`), so an entry is written together with the change it
tells of, or neither is. Signatures are opaque here: they are made and checked by others.
"""

from typing import Final, Protocol

import msgspec

from relay.audit_chain import GENESIS, AuditEntry, AuditRecord


class AuditHead(msgspec.Struct, frozen=True, gc=False):
    """How far the trail reaches: the last entry's sequence and digest."""

    sequence: int
    digest: bytes


EMPTY: Final = AuditHead(0, GENESIS)
"""The head of a trail without entries."""


class AuditCheckpoint(msgspec.Struct, frozen=True, gc=False):
    """A signature over the digest of one entry, and thereby over the trail up to it."""

    sequence: int
    digest: bytes
    at_ms: int  # when it was signed
    key: str  # id of the public key
    signature: bytes


class AuditAnchor(msgspec.Struct, frozen=True, gc=False):
    """What stands for a beginning that was pruned: the trail goes on behind `through` from `digest`."""

    through: int
    digest: bytes  # of the entry `through`
    kept: bytes  # `kept_digest` of the entries up to `through` that are still there
    at_ms: int  # when it was signed
    key: str
    signature: bytes


class AuditHold(msgspec.Struct, frozen=True, gc=False):
    """Entries about this are not pruned: what happened in a `room`, what an `account` did or what was done to
    it, what was done to any other kind of object.
    """

    kind: str
    id: str
    since_ms: int
    account: str = ""  # who has placed it
    reason: str = ""  # why


class Grant(msgspec.Struct, frozen=True, gc=False):
    """An account's access to a scope that its tokens do not have, until an instant."""

    account: str
    scope: str
    until_ms: int


class AuditFilter(msgspec.Struct, frozen=True, gc=False):
    """Which entries are asked for; None takes any. Several conditions hold together."""

    actor: str | None = None
    action: str | None = None  # also everything below it: `session` takes `session.live`
    object_kind: str | None = None  # alone, or with `object_id`; matches as `AuditHold` says
    object_id: str | None = None
    since_ms: int | None = None  # inclusive
    until_ms: int | None = None  # exclusive


class AppendAudit(msgspec.Struct, frozen=True, gc=False):
    """Put an entry at the end of the trail. Outcome: `Applied`."""

    entry: AuditEntry


class PutCheckpoint(msgspec.Struct, frozen=True, gc=False):
    """Keep a checkpoint. `Conflict` if the trail has no such entry with that digest.

    Outcome: `Applied`, unchanged if there is one for that entry.
    """

    checkpoint: AuditCheckpoint


class PruneAudit(msgspec.Struct, frozen=True, gc=False):
    """Drop the entries up to and including `anchor.through` that no hold keeps, and checkpoints before it.

    `Conflict` if the anchor does not tell what stands there afterwards: its digests are others, or it lies
    before the last one or not before the head. Outcome: `Applied`, unchanged if no entry was dropped.
    """

    anchor: AuditAnchor


class HoldAudit(msgspec.Struct, frozen=True, gc=False):
    """Keep the entries about something. Outcome: `Applied`, unchanged if they were kept."""

    hold: AuditHold


class ReleaseAudit(msgspec.Struct, frozen=True, gc=False):
    """Undo a `HoldAudit`. `NotFound` if there was none. Outcome: `Applied`."""

    kind: str
    id: str


class PutGrant(msgspec.Struct, frozen=True, gc=False):
    """Give access, or prolong it; it is never shortened. Outcome: `Applied`."""

    grant: Grant


class EndGrant(msgspec.Struct, frozen=True, gc=False):
    """Remove a grant as it was read. `Conflict` if it is another by now, or gone. Outcome: `Applied`."""

    grant: Grant


AuditWrite = AppendAudit | PutCheckpoint | PruneAudit | HoldAudit | ReleaseAudit | PutGrant | EndGrant


class AuditTrail(Protocol):
    """Reading the trail. Part of the Store port; also answered for a store that a server has open."""

    async def audit_head(self) -> AuditHead:
        """How far the trail reaches."""

    async def audit(
        self, *, after: int, limit: int, matching: AuditFilter | None = None
    ) -> tuple[AuditRecord, ...]:
        """Entries behind a sequence, in their order."""

    async def audit_checkpoints(self, *, after: int, limit: int) -> tuple[AuditCheckpoint, ...]:
        """Checkpoints of entries behind a sequence, in their order."""

    async def audit_anchor(self) -> AuditAnchor | None:
        """What stands for the beginning, if it was pruned."""

    async def audit_kept(self, *, through: int, after: int = 0, limit: int) -> tuple[AuditRecord, ...]:
        """Entries up to `through` that a hold keeps at this moment, behind `after`, in their order."""

    async def audit_holds(self, *, after: tuple[str, str] = ("", ""), limit: int) -> tuple[AuditHold, ...]:
        """Holds by kind, then id, beginning behind `after`."""

    async def grant(self, account: str, scope: str) -> Grant | None:
        """What an account was given, whether or not it has run out."""

    async def grants(self, *, until_ms: int, limit: int) -> tuple[Grant, ...]:
        """Grants that run out before an instant, the earliest first."""


class OpenTrail(AuditTrail, Protocol):
    """The trail of a store that a server may have open at the same time."""

    async def append(self, write: AppendAudit) -> None:
        """Put an entry at the end of the trail; durable when this returns. Raises `StoreError`."""

    async def close(self) -> None:
        """Release the store."""

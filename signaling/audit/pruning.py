"""How far an audit trail may be pruned, and what stands for what is gone. Pure; one run over one page."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.audit_chain import AuditRecord, KeptDigest
from relay.audit_trail import EMPTY, AuditAnchor, AuditHead
from signaling.audit.seals import sign_anchor


class Pruning:
    """Takes entries from the beginning of a trail while they are old enough, then looks which are held.

    Entries go if they are from before ``before_ms`` and stand before the entry ``signed``: behind the last
    signature there is nothing yet by which the rest could be checked.
    """

    def __init__(self, anchor: AuditAnchor | None, before_ms: int, signed: int) -> None:
        self._anchor = anchor
        self._before_ms = before_ms
        self._signed = signed
        self._kept = KeptDigest()
        self.through = AuditHead(anchor.through, anchor.digest) if anchor else EMPTY
        """The last entry that is to go, or that has gone already."""
        self.dropped = 0
        """How many of the entries taken are not held."""

    def takes(self, record: AuditRecord) -> bool:
        """Whether the next entry of the trail goes too."""
        if record.entry.at_ms >= self._before_ms or record.sequence >= self._signed:
            return False
        self.through = AuditHead(record.sequence, record.digest)
        self.dropped += 1
        return True

    def keeps(self, record: AuditRecord) -> None:
        """The next of the entries up to :attr:`through` that are held."""
        self._kept.add(record)
        if record.sequence > self._begun:
            self.dropped -= 1

    @property
    def worthwhile(self) -> bool:
        """Whether anything would change: more is taken, or what was kept so far is held no longer."""
        before = self._anchor.kept if self._anchor else KeptDigest().digest()
        return self.through.sequence > self._begun or self._kept.digest() != before

    def anchor(self, key: Ed25519PrivateKey, at_ms: int) -> AuditAnchor:
        """What stands for the entries that are gone."""
        return sign_anchor(key, self.through, self._kept.digest(), at_ms)

    @property
    def _begun(self) -> int:
        return self._anchor.through if self._anchor else 0

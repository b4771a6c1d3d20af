"""The audit trail's hash chain: what an entry is, and which digest belongs to it at its place.

    digest(n) = SHA-256(domain || digest(n - 1) || n || the entry's bytes)

A digest stands for its entry, its place and everything before it, so that none of these can be changed
alone. Whoever can write the trail could compute all digests anew: what keeps them from it are signatures over
some of the digests, which are not made here. Pure; storage is behind `relay.audit_trail`.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

GENESIS: Final = bytes(32)
"""The digest before the first entry."""

_ENTRY: Final = b"rapport audit entry 1\0"
_KEPT: Final = b"rapport audit kept 1\0"


class AuditEntry(msgspec.Struct, frozen=True, gc=False):
    """Who did what to what, when, from where, and how it went.

    Ids only: no names, no content, no tokens, no addresses.
    """

    at_ms: int
    actor: str  # account, `account@key` for a back end; empty when nobody was proven
    role: str
    action: str  # a stable name, such as `session.live`
    object_kind: str  # such as `session`
    object_id: str
    room: str  # the room it happened in; empty outside of rooms
    subject: str  # the account or device it was done to, if that is another than the actor
    source: str  # id of a connection, or `http`, `websocket`, `clock`, `cli`
    outcome: str  # `ok`, or the stable name of the error
    reason: str = ""  # given for a break-glass access; or kind and version of a consent
    count: int = 1  # how many equal ones this entry stands for; `at_ms` is the first one's


class AuditRecord(msgspec.Struct, frozen=True, gc=False):
    """An entry at its place in the trail. Sequences are 1, 2, 3, ... without a gap."""

    sequence: int
    entry: AuditEntry
    digest: bytes  # 32 bytes


def canonical(entry: AuditEntry) -> bytes:
    """The bytes of an entry: its fields in their order, numbers as 8 bytes, text as UTF-8 after its length in
    4 bytes (big-endian). No two entries have the same.

    `ValueError` for text that is not Unicode, `OverflowError` for a number beyond 64 bits.
    """
    parts: list[bytes] = []
    for value in msgspec.structs.astuple(entry):
        if isinstance(value, int):
            parts.append(_number(value))
        else:
            text = value.encode()
            parts += (len(text).to_bytes(4, "big"), text)
    return b"".join(parts)


def follow(before: bytes, sequence: int, entry: AuditEntry) -> bytes:
    """The digest of an entry that stands at `sequence`, behind an entry whose digest is `before`."""
    return hashlib.sha256(_ENTRY + before + _number(sequence) + canonical(entry)).digest()


class KeptDigest:
    """One digest for entries that are kept while those around them were pruned, in their order."""

    def __init__(self) -> None:
        self._hash: Final = hashlib.sha256(_KEPT)

    def add(self, record: AuditRecord) -> None:
        """The next one."""
        link = hashlib.sha256(record.digest).digest()  # of a stored digest, which may have any length
        self._hash.update(_number(record.sequence) + link + canonical(record.entry))

    def digest(self) -> bytes:
        """The digest of those added."""
        return self._hash.digest()


def kept_digest(records: Iterable[AuditRecord]) -> bytes:
    """The digest of all of them."""
    kept = KeptDigest()
    for record in records:
        kept.add(record)
    return kept.digest()


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)

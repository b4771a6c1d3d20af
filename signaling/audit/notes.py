"""Entries that go with no change of their own: reads, refusals, failed logins. Bounded, whoever floods.

Pure. What is noted waits here for the next commit; equal ones meanwhile are counted.
"""

from __future__ import annotations

import msgspec

from relay.audit_chain import AuditEntry

MAX_WAITING = 256
"""Different entries that wait at the same time; further ones are only counted."""

_Key = tuple[str | int, ...]


class Notes:
    """What waits to be written."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._limit = limit
        self._waiting: dict[_Key, AuditEntry] = {}
        self._counts: dict[_Key, int] = {}
        self.left_out = 0
        """How many were not kept since :meth:`take`."""

    def put(self, entry: AuditEntry) -> None:
        """Note an entry, or count it with an equal one that waits: the time is the first one's."""
        key = msgspec.structs.astuple(msgspec.structs.replace(entry, at_ms=0, count=0))
        if key in self._waiting:
            self._counts[key] += entry.count
        elif len(self._waiting) < self._limit:
            self._waiting[key] = entry
            self._counts[key] = entry.count
        else:
            self.left_out += entry.count

    def take(self) -> tuple[AuditEntry, ...]:
        """What waits, in the order in which it came; nothing waits afterwards."""
        taken = [
            entry
            if entry.count == self._counts[key]
            else msgspec.structs.replace(entry, count=self._counts[key])
            for key, entry in self._waiting.items()
        ]
        self._waiting.clear()
        self._counts.clear()
        self.left_out = 0
        return tuple(taken)

"""Which nodes live, as far as one of them can tell, and which of them does what. Pure.

A node beats, and that is its lease. No clocks are compared: whoever has seen the same beat of another for a
lease's length takes it for dead, and whoever has not beaten for as long does not act. A beat counts from the
moment it was begun, before anybody can have seen it: so a node stops acting before others act for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from relay.cluster import NodeRow, Nodes

BEAT_SECONDS: Final = 0.5
"""How often a node beats and looks at the others."""

LEASE_SECONDS: Final = 3.0
"""How long a node is counted on without another beat."""

BLIND_SECONDS: Final = LEASE_SECONDS / 2
"""Whoever has not seen the others for so long cannot say who was silent: a store that was away, or a machine
that stood still, has silenced all of them.
"""


class _Seen:
    """A node, and since when it stands at its beat."""

    __slots__ = ("row", "since")

    def __init__(self, row: NodeRow, since: float) -> None:
        self.row = row
        self.since = since


class Members:
    """The view of one node. ``now`` is its monotonic clock, in seconds."""

    def __init__(self, name: str, lease_seconds: float) -> None:
        """``lease_seconds`` is infinite for a node that nobody can take for dead."""
        self.name: Final = name
        self._lease_seconds = lease_seconds
        self._seen: dict[str, _Seen] = {}
        self._silent: frozenset[str] = frozenset()
        self._looked: float | None = None
        self._until: float | None = None  # when this node's own lease ends

    def beaten(self, begun: float) -> None:
        """A beat of this node, begun at ``begun``, was written."""
        self._until = begun + self._lease_seconds

    def buried(self) -> None:
        """This node was taken for dead."""
        self._until = None

    def acts(self, now: float) -> bool:
        """Whether the others still count on this node."""
        return self._until is not None and now < self._until

    def look(self, nodes: Nodes, now: float) -> None:
        """The store was asked for the nodes that live, and has answered by ``now``."""
        blind = self._looked is None or now - self._looked > BLIND_SECONDS
        before, self._seen = self._seen, {}
        for row in nodes.living:
            known = before.get(row.name)
            same = known is not None and known.row.beat == row.beat and not blind
            self._seen[row.name] = _Seen(row, known.since if known is not None and same else now)
        self._looked = now
        self._silent = frozenset(
            name for name, seen in self._seen.items() if now - seen.since >= LEASE_SECONDS
        ) - {self.name}

    def alive(self) -> tuple[NodeRow, ...]:
        """The nodes that live, in the order of their names."""
        return tuple(seen.row for name, seen in self._seen.items() if name not in self._silent)

    def dead(self) -> tuple[NodeRow, ...]:
        """Those that are to be buried: silent for as long as a lease lasts."""
        return tuple(self._seen[name].row for name in sorted(self._silent))

    def owner(self, key: str) -> str:
        """The node that everybody with this view takes for the owner of ``key``: of those that live, and take
        something new, or of all that live if none does. Nobody before the first look.
        """
        alive = self.alive()
        names = [row.name for row in alive if not row.draining] or [row.name for row in alive]
        return chosen(names, key) if names else ""

    def owns(self, key: str, now: float) -> bool:
        """Whether this node is to act for ``key``."""
        return self.acts(now) and self.owner(key) == self.name


def chosen(names: Iterable[str], key: str) -> str:
    """One of some names for a key, by rendezvous: when a name goes, only its own keys move."""
    return max(names, key=lambda name: (blake2b(f"{name}\0{key}".encode(), digest_size=8).digest(), name))

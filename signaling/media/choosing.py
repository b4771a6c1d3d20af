"""Which node is to have a session's media. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from hashlib import blake2b

from signaling.cluster.names import node_of
from signaling.media.ports import Neighbour
from signaling.sessions.session import Session

ALIKE = 8
"""Nodes whose participants differ by fewer than this count as equally busy: what is known of them is up to a
second old, and sessions that begin together are not all to go to the same."""


def choose(
    session: str,
    nodes: Collection[Neighbour],
    region: str,
    *,
    avoid: Collection[str] = (),
    planned: Mapping[str, int],
) -> str | None:
    """A node of this region if there is one, of those the least busy; None if no node takes anything.

    ``planned`` are participants by node that will come besides those it has.
    """

    def rank(node: Neighbour) -> tuple[bool, int, bytes]:
        load = node.participants + planned.get(node.name, 0)
        return node.region != region, load // ALIKE, _lot(session, node.name)

    fit = [node for node in nodes if not node.draining and node.name not in avoid]
    return min(fit, key=rank).name if fit else None


def region_of(name: str, nodes: Collection[Neighbour]) -> str:
    """The region of a node; empty if it is not among these."""
    return next((node.region for node in nodes if node.name == name), "")


def home(session: Session, nodes: Collection[Neighbour]) -> str:
    """The region in which most of the connections in a session are; empty if none of their nodes is here."""
    regions = {node.name: node.region for node in nodes}
    at = [node_of(connection) for one in session.participants for connection in one.connections]
    counted = Counter(regions[name] for name in at if name in regions)
    return max(counted, key=lambda region: (counted[region], region), default="")


def _lot(session: str, node: str) -> bytes:
    return blake2b(f"{session}\0{node}".encode(), digest_size=8).digest()

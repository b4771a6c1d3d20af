"""Which node is to have a session's media. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import blake2b

from signaling.media.ports import Neighbour

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


def _lot(session: str, node: str) -> bytes:
    return blake2b(f"{session}\0{node}".encode(), digest_size=8).digest()

"""What an operator sees of the nodes that share a store. Pure.

Whether a node lives shows only by looking twice: it says so twice a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from relay.cluster import NodeRow, Nodes
from signaling.cluster.members import chosen

DUTIES = ("audit", "blobs", "housekeeping", "push", "schedule", "unreceived")
"""What one node of all does. Delivering to an endpoint of webhooks is not shown."""

State: TypeAlias = Literal["up", "draining", "silent", "dead"]


class Seen(Struct, frozen=True):
    """A node."""

    node: str
    state: State
    """``silent``: has not beaten between the two looks. ``dead``: buried, and something is left to do."""
    version: str = ""
    region: str = ""
    url: str = ""
    connections: int = 0
    participants: int = 0
    """Peer connections that its media workers carry."""
    sessions: int = 0
    """Sessions whose media it has."""
    clocks: int = 0
    """Sessions, of those in which somebody can be, whose clock falls to it."""
    duties: tuple[str, ...] = ()


def overview(
    before: Nodes, after: Nodes, hosts: Mapping[str, str], duties: Sequence[str]
) -> tuple[Seen, ...]:
    """The nodes, given two looks that are a while apart, the host of each running session, and all duties."""
    beats = {one.name: one.beat for one in before.living}
    states = {one.name: _state(one, beats.get(one.name)) for one in after.living}
    takers = [name for name, state in states.items() if state == "up"]
    takers = takers or [name for name, state in states.items() if state == "draining"]
    hosted = Counter(hosts.values())
    clocks = Counter(chosen(takers, session) for session in hosts) if takers else Counter()
    owners = {duty: chosen(takers, f"duty:{duty}") for duty in duties} if takers else {}
    living = [
        Seen(
            one.name,
            states[one.name],
            one.version,
            one.region,
            one.url,
            one.connections,
            one.participants,
            hosted[one.name],
            clocks[one.name],
            tuple(duty for duty, owner in owners.items() if owner == one.name),
        )
        for one in after.living
    ]
    return (*living, *(Seen(one.name, "dead", region=one.region) for one in after.buried))


def _state(node: NodeRow, beat_before: int | None) -> State:
    if node.beat == beat_before:
        return "silent"
    return "draining" if node.draining or node.drain else "up"

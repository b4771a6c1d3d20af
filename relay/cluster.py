"""What a store keeps of the nodes that share it: which of them beat, which are buried.

Rows, writes and the reading part of the Store port. The store does not know when a node is dead: others watch
whether it beats, and bury it. A name that was buried never beats again, and nothing that is fenced with it is
written any more.
"""

from typing import Protocol

import msgspec

from relay.audit_chain import AuditEntry
from relay.rows import Session


class NodeRow(msgspec.Struct, frozen=True, gc=False):
    """A node, as it last said of itself. `drain` is what an operator wants of it."""

    name: str
    beat: int  # how often it has said so
    at_ms: int  # when, by its own clock
    version: str
    region: str
    url: str
    participants: int  # that its media workers carry
    connections: int
    draining: bool  # it takes nothing new
    drain: bool = False


class Grave(msgspec.Struct, frozen=True, gc=False):
    """A node that was taken for dead, of which something may be left to do."""

    name: str
    at_ms: int  # when it was last known to be alive, by its own clock
    region: str


class Nodes(msgspec.Struct, frozen=True, gc=False):
    """All nodes, as of one moment, in the order of their names."""

    living: tuple[NodeRow, ...]  # not buried, that is
    buried: tuple[Grave, ...]  # and not settled


class BeatNode(msgspec.Struct, frozen=True, gc=False):
    """A node lives, and says so for the `beat`th time, counted from 1. `drain` is left as it is.

    `NodeBuried` if it was buried, and if it is not known and this is not its first beat. Outcome: `Applied`.
    """

    node: NodeRow


class DrainNode(msgspec.Struct, frozen=True, gc=False):
    """Have a node take nothing new, hand over what it has, and end. `NotFound` unless it lives.

    Outcome: `Applied`, `changed=False` if that is wanted of it already.
    """

    name: str


class BuryNode(msgspec.Struct, frozen=True, gc=False):
    """Take a node for dead, unless it has said since its `beat`th beat that it lives: `Conflict`.

    Outcome: `Applied`, `changed=False` if it does not live anyway.
    """

    name: str
    beat: int


class SettleNode(msgspec.Struct, frozen=True, gc=False):
    """All that follows from the death of a node is done. Outcome: `Applied`, `changed=False` if it was."""

    name: str
    at_ms: int


class ForgetNodes(msgspec.Struct, frozen=True, gc=False):
    """Drop what is known of nodes that were settled before an instant. Outcome: `Applied`."""

    before_ms: int


class Fence(msgspec.Struct, frozen=True, gc=False):
    """Nothing of this commit is written unless the node lives: `NodeBuried`. Outcome: `Applied`."""

    name: str


ClusterWrite = BeatNode | DrainNode | BuryNode | SettleNode | ForgetNodes | Fence


class ClusterRows(Protocol):
    """The part of the Store port that reads nodes."""

    @property
    def shared(self) -> bool:
        """Whether other processes may have it open at the same time.

        If not, whoever has opened it knows that no other node lives.
        """

    async def nodes(self) -> Nodes:
        """All nodes that live, and those buried of which something is left to do."""


class Roll(Protocol):
    """What commands see of the nodes, and ask of them, while servers have the store open.

    Every method raises `StoreError`.
    """

    async def nodes(self) -> Nodes:
        """As in the Store port."""

    async def sessions_in(self, state: str, *, after: str = "", limit: int) -> tuple[Session, ...]:
        """As in the Store port."""

    async def drain(self, node: str, entry: AuditEntry) -> bool:
        """Write a `DrainNode`, and the entry about it if that changes something: whether it does."""

    async def close(self) -> None:
        """Let go of the store."""

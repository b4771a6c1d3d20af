"""What follows from the death of a node, done by one of those that live.

A node is buried first: from then on nothing is written under its name, so whatever is found of it afterwards
is all that there is. Then each step is taken, and only when all have been is the grave settled: whoever dies
in between leaves it to another, who takes all of them again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from relay.cluster import BuryNode, Grave, NodeRow, SettleNode
from relay.errors import Conflict
from relay.store import Store
from signaling.timebase import Timebase

LOOK_SECONDS = 0.1
"""How often it is looked whether there is something to do: calls wait for it."""

Step = Callable[[Grave], Awaitable[None]]
"""Something that follows from the death of a node; may be taken more than once."""

_log = structlog.get_logger("rapport.cluster")


class Mourners(Protocol):
    """Who lives, who is dead, and who sees to it."""

    @property
    def graves(self) -> Sequence[Grave]:
        """The nodes that are buried, and not settled."""

    def dead(self) -> Sequence[NodeRow]:
        """The nodes that are dead, and not buried."""

    def owns(self, key: str) -> bool:
        """Whether this node does what ``key`` names."""


class Undertaker:
    """The undertaker of a node, for those nodes that fall to it."""

    def __init__(self, store: Store, mourners: Mourners, timebase: Timebase, steps: Sequence[Step]) -> None:
        self._store = store
        self._mourners = mourners
        self._timebase = timebase
        self._steps = steps
        self._settled: set[str] = set()

    async def turn(self) -> None:
        """Do all that is to be done now."""
        buried = [
            Grave(node.name, node.at_ms, node.region)
            for node in self._mourners.dead()
            if self._sees_to(node.name) and await self._buried(node)
        ]
        for grave in (*self._mourners.graves, *buried):
            if grave.name not in self._settled and self._sees_to(grave.name):
                await self._settle(grave)

    def _sees_to(self, name: str) -> bool:
        return self._mourners.owns(f"node:{name}")

    async def _buried(self, node: NodeRow) -> bool:
        try:
            await self._store.commit(BuryNode(node.name, node.beat))
        except Conflict:
            return False  # it lives
        _log.warning("node_died", node=node.name)
        return True

    async def _settle(self, grave: Grave) -> None:
        for step in self._steps:
            await step(grave)
        await self._store.commit(SettleNode(grave.name, self._timebase.now_ms()))
        self._settled.add(grave.name)
        _log.info("node_settled", node=grave.name)

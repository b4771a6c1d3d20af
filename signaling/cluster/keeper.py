"""Keeps this node's place among the nodes: beats, looks at the others, and says when its own time is over.

Who lives and who owns what is decided by :class:`signaling.cluster.members.Members`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import structlog

from relay.cluster import BeatNode, BuryNode, Grave, NodeRow, Nodes, SettleNode
from relay.errors import NodeBuried, StoreError, StoreRestored
from relay.store import Store
from relay.writes import Applied
from signaling.cluster.members import BEAT_SECONDS, LEASE_SECONDS, Members
from signaling.observe.logs import failure
from signaling.timebase import Timebase, boot_ns

End: TypeAlias = Literal["drained", "buried", "restored"]
"""Why a node is to end: an operator wants it, the others took it for dead, the store is not what it was."""

_log = structlog.get_logger("rapport.cluster")


def seconds() -> float:
    """A clock that nobody sets, and that goes on while a process or its machine stands still."""
    return boot_ns() / 1e9


class Keeper:
    """This node among the others. Nobody's life depends on a store that is away: see ``Members``."""

    def __init__(
        self,
        store: Store,
        name: str,
        timebase: Timebase,
        introduced: Callable[[int], NodeRow],
        clock: Callable[[], float] = seconds,
    ) -> None:
        """``introduced`` is what this node says of itself, given how often it has beaten."""
        self._store = store
        self._timebase = timebase
        self._introduced = introduced
        self._clock = clock
        self._members = Members(name, LEASE_SECONDS if store.shared else math.inf)
        self._beats = 0
        self._known: frozenset[str] = frozenset()
        self._taking: frozenset[str] = frozenset()
        self.name = name
        self.graves: tuple[Grave, ...] = ()
        """What is left to settle, as of the last look."""
        self.end: End | None = None
        """Why this node is to end, once it is."""
        self.ending = asyncio.Event()
        self.on_changed: Callable[[], None] = _nothing
        """Called when something else may fall to this node than before."""
        self.on_gone: Callable[[str], None] = _nothing
        """Called with the name of each node that lives no more."""

    # --- What others ask ---

    @property
    def acting(self) -> bool:
        """Whether the others still count on this node. If not, it does nothing that one node is to do."""
        return self._members.acts(self._clock())

    def alive(self) -> Sequence[NodeRow]:
        """The nodes that live."""
        return self._members.alive()

    def dead(self) -> Sequence[NodeRow]:
        """The nodes that have been silent for too long, and are not buried."""
        return self._members.dead()

    def owner(self, key: str) -> str:
        """The node that does what ``key`` names."""
        return self._members.owner(key)

    def owns(self, key: str) -> bool:
        """Whether this node does what ``key`` names."""
        return self._members.owns(key, self._clock())

    # --- Running ---

    async def start(self) -> None:
        """Say that this node lives, and see who else does. Raises :exc:`relay.errors.StoreError`."""
        await self._beat()
        nodes = await self._store.nodes()
        if not self._store.shared:
            others = [one for one in nodes.living if one.name != self.name]
            await self._store.commit(*(BuryNode(one.name, one.beat) for one in others))
            nodes = await self._store.nodes()
        self._see(nodes)

    async def run(self) -> None:
        """Wait, and take a turn; to be called again and again."""
        await asyncio.sleep(BEAT_SECONDS)
        await self.turn()

    async def turn(self) -> None:
        """Say how this node stands, and look at the others; a store that fails is asked again next time."""
        try:
            await self._beat()
            self._see(await self._store.nodes())
        except NodeBuried:
            self._members.buried()
            self._end("buried")
        except StoreRestored:
            self._end("restored")
        except StoreError as error:
            _log.warning("beat_failed", error=error.name)

    async def leave(self, *, settled: bool) -> None:
        """Say that this node ends; nothing is to be written under its name any more.

        ``settled`` if nothing is left for others to do about it. If they have buried it, they know better.
        """
        try:
            async with asyncio.timeout(LEASE_SECONDS):  # in which the others notice by themselves
                (buried,) = await self._store.commit(BuryNode(self.name, self._beats))
                if settled and buried == Applied():
                    await self._store.commit(SettleNode(self.name, self._timebase.now_ms()))
        except (StoreError, TimeoutError) as error:
            _log.warning("leave_failed", error=failure(error))

    async def _beat(self) -> None:
        begun = self._clock()
        self._beats += 1
        await self._store.commit(BeatNode(self._introduced(self._beats)))
        acted = self.acting
        self._members.beaten(begun)
        if not acted:
            self.on_changed()

    def _see(self, nodes: Nodes) -> None:
        self._members.look(nodes, self._clock())
        self.graves = nodes.buried
        alive = self.alive()
        known, before = frozenset(one.name for one in alive), self._known
        taking = frozenset(one.name for one in alive if not one.draining)
        for name in known - before - {self.name}:
            _log.info("node_joined", node=name)
        for name in before - known:
            _log.info("node_left", node=name)
            self.on_gone(name)
        if (known, taking) != (before, self._taking):
            self._known, self._taking = known, taking
            self.on_changed()
        if any(one.drain for one in nodes.living if one.name == self.name):
            self._end("drained")

    def _end(self, why: End) -> None:
        if self.end is None:
            self.end = why
            self.ending.set()


def _nothing(*_: object) -> None:
    """Nobody listens yet."""

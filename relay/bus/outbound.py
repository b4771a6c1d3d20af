"""What waits to be sent to other nodes, and how it is put together for each of them. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from relay.bus import Delivery, Notice, bounded_size
from relay.bus.bundle import pack


class Outgoing(NamedTuple):
    """A notice for accounts, or for one node."""

    accounts: tuple[str, ...]
    node: str | None
    notice: Notice


Batch = Sequence[Outgoing]


class Outbound:
    """A queue: at most `max_notices` notices that may be lost with `max_bytes` of bodies, beyond which such
    notices are dropped and counted. Emptied with every batch that is sent, or that cannot be sent.
    """

    def __init__(self, *, max_notices: int, max_bytes: int) -> None:
        self._max_notices = max_notices
        self._max_bytes = max_bytes
        self._waiting: list[Outgoing] = []
        self._bounded = 0
        self._bytes = 0

    def put(self, accounts: Collection[str], notice: Notice, node: str | None = None) -> bool:
        """Queue it; False if it had to be dropped."""
        size = bounded_size(notice)
        if size is not None:
            if self._bounded >= self._max_notices or self._bytes + size > self._max_bytes:
                return False
            self._bounded += 1
            self._bytes += size
        self._waiting.append(Outgoing(tuple(accounts), node, notice))
        return True

    def take(self) -> Batch:
        """All of it."""
        batch, self._waiting = self._waiting, []
        self._bounded = self._bytes = 0
        return batch


def by_node(batch: Batch, nodes: Mapping[str, Collection[str]]) -> dict[str, list[msgspec.Raw]]:
    """The deliveries for each node in their order; `nodes` has those of each account."""
    found: dict[str, list[msgspec.Raw]] = {}
    for accounts, addressed, notice in batch:
        there: dict[str, list[str]] = {addressed: []} if addressed is not None else {}
        for account in accounts:
            for node in nodes.get(account, ()):
                there.setdefault(node, []).append(account)
        for node, reached in there.items():
            found.setdefault(node, []).append(pack(Delivery(tuple(reached), notice)))
    return found

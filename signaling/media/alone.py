"""A node that has its store for itself: the only member."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from signaling.media.ports import Neighbour


@dataclass(frozen=True, slots=True)
class Itself:
    """The node, as it would be seen by others."""

    name: str
    region: str = ""
    participants: int = 0
    draining: bool = False


class Alone:
    """`signaling.media.ports.Members` of a single node."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acting = True

    def alive(self) -> Collection[Neighbour]:
        """This node."""
        return (Itself(self.name),)

"""Values of the wire that the tests of this folder share, as the client unpacks them."""

from __future__ import annotations

from loadtest.wire import Map


def head(offset: int, *, cursor: int = 0, room: str = "r1", epoch: int = 1) -> Map:
    """A room as ``welcome`` announces it."""
    return {"room": room, "epoch": epoch, "head": offset, "cursor": cursor, "read": 0}

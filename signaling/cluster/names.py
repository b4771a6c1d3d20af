"""Names of nodes, and ids of connections, from which the name of their node can be read.

Every start of a server makes a node with a name of its own: a name that is gone never comes back. Pure: the
chance in them is an argument.
"""

from __future__ import annotations

from typing import Final

CHANCE_BYTES: Final = 8
"""How many random bytes a name or an id takes."""

_INSTANT: Final = 15
_NAME: Final = 2 * CHANCE_BYTES


def node_name(chance: bytes) -> str:
    """A name for a node: 16 hexadecimal digits."""
    return chance.hex()


def connection_id(number: int, node: str, chance: bytes) -> str:
    """An id for a connection of a node, not to be guessed by who knows others of it.

    ``number`` is below 2**60; ids are in the order of their numbers.
    """
    return f"{number:0{_INSTANT}x}{node}{chance.hex()}"


def node_of(connection: str) -> str:
    """The name of a connection's node. Of what is no id of a connection, no node's name."""
    return connection[_INSTANT : _INSTANT + _NAME]

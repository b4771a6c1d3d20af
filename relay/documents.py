"""Small values that belong to an account or a room, kept under a kind and an id.

Rows, writes and the reading part of the Store port. The store does not look into them.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec


class Document(msgspec.Struct, frozen=True, gc=False):
    """What stands under a kind and an id. `version` is 1 at first and goes up with every change."""

    version: int
    body: bytes


class PutDocument(msgspec.Struct, frozen=True, gc=False):
    """Write a document if it stands at `expect_version`; None: whatever stands there; 0: if there is none.

    `Conflict` if another version stands there. Outcome: `Applied`.
    """

    kind: str
    id: str
    body: bytes
    expect_version: int | None = None


class Documents(Protocol):
    """The part of the Store port that reads documents."""

    async def documents(self, kind: str, ids: Collection[str]) -> Mapping[str, Document]:
        """The documents of a kind under those ids; ids without one are left out."""

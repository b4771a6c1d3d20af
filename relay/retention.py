"""What of a room's log may be dropped for good, and the writes that do it.

Rows, writes and the reading part of the Store port. How long messages are kept is decided by others: here
times are arguments.
"""

from collections.abc import Collection
from typing import Final, Literal, Protocol

import msgspec

OPENING: Final = -1
"""In the place of :data:`relay.inbox.NOTE`, the kind of an event that opens a sender epoch."""


class Purgeable(msgspec.Struct, frozen=True, gc=False):
    """The beginning of a log that may go."""

    room: str
    through: int  # the last offset of it
    messages: int  # so many of its events are messages; at least one
    last_ms: int  # when the last of its events was stored


class Purge(msgspec.Struct, frozen=True, gc=False):
    """Drop what `Store.purgeable` found, with the same instants; it is counted in the log's `expired`.

    A device whose sender epoch was opened in what is dropped has none open any more. `NotFound` without the
    room, `Conflict` if not all of it may go by now. Outcome: `Applied`.
    """

    found: Purgeable
    before_ms: int
    anyway_ms: int


class DropRoom(msgspec.Struct, frozen=True, gc=False):
    """Delete a room with everything in it. Its blobs expire at once, and its id is not used again.

    `NotFound` without the room, `Conflict` if `Store.obstacle` names something for `before_ms`, or its
    members are others. Outcome: `Applied`.
    """

    room: str
    members: frozenset[str]
    documents: tuple[str, ...]  # the kinds of those that stand under a room's id
    before_ms: int
    at_ms: int


RetentionWrite = Purge | DropRoom

Obstacle = Literal["hold", "messages", "sessions"]
"""Why a room is not deleted."""


class RetentionRows(Protocol):
    """The part of the Store port that finds what may be dropped."""

    async def purgeable(self, room: str, *, before_ms: int, anyway_ms: int) -> Purgeable | None:
        """What may be dropped from the beginning of a log; None if that holds no message, or there is a hold.

        It ends before the first event stored at `before_ms` or later, and before the first that a device of
        a member has not acknowledged, or whose flag stands. Devices are those of the account's list, or all
        that have ever been heard of if it has none; those barred do not count, and a member without any
        device has acknowledged nothing. It does not end between the event that opens a sender epoch and the
        last one sealed in it: who reads the log later would need the first for the second. Whatever was
        stored before `anyway_ms` goes in any case. Nothing goes while there is a hold of the room, of one of
        its sessions or of one of its members.
        """

    async def obstacle(self, room: str, *, before_ms: int) -> Obstacle | None:
        """What is against deleting a room: a hold as above, a message stored at an instant or later, a
        session that ends then or later.
        """


def uncut(through: int, spans: Collection[tuple[int, int]]) -> int:
    """The last offset up to `through` that ends no piece of a log inside one of the spans.

    A span (first, last) belongs together: a piece takes in both or neither.
    """
    for first, last in sorted(spans, reverse=True):
        if first <= through < last:
            through = first - 1
    return through

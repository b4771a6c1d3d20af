"""What a store keeps for an inbox: what an account has not read, what waits for an answer, what is flagged.

Rows, writes and the reading part of the Store port. The store does not look into events to know this: whoever
appends one says of what `kind` it is, and whether it is flagged.
"""

from collections.abc import Collection
from typing import Final, Literal, Protocol

import msgspec

from relay.rows import Member, RoomHead, Session

EventKind = Literal[0, 1, 2, 3]
NOTE: Final = 0  # an entry of the log and nothing else
MESSAGE: Final = 1  # something to read: it counts as unread for everyone but its sender
QUESTION: Final = 2  # a message that waits for an answer
ANSWER: Final = 3  # a message that answers all that waits in its room

COUNTED: Final = 256  # unread messages are counted among so many of the newest events of a room
FLAGS: Final = 16  # as many flagged events of a room are told of at once, the oldest
UPCOMING: Final = 4  # as many sessions of a room


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """The oldest question of a room that nothing has answered."""

    offset: int
    at_ms: int


class Flagged(msgspec.Struct, frozen=True, gc=False):
    """A flagged event that nobody has taken care of."""

    offset: int
    sender: str | None
    at_ms: int


class InboxRoom(msgspec.Struct, frozen=True, gc=False):
    """One room as it stands in the inbox of one of its members."""

    room: str
    role: str
    log: RoomHead
    read: int  # how far the account has read, in the log's epoch; 0 for not at all
    unread: int  # messages of others beyond that, among the newest `COUNTED` events
    unanswered: Waiting | None
    flagged: tuple[Flagged, ...]  # the oldest `FLAGS`, by offset
    members: tuple[Member, ...]
    upcoming: tuple[Session, ...]  # the next `UPCOMING`, by start


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A room in which a question waits, and when the newest one was put."""

    room: str
    at_ms: int


class ClearFlag(msgspec.Struct, frozen=True, gc=False):
    """Somebody has taken care of a flagged event. `NotFound` if the event was never flagged, `Conflict` if it
    is cleared already. Outcome: `Applied`.
    """

    room: str
    offset: int
    account: str
    at_ms: int


class Inboxes(Protocol):
    """The part of the Store port that reads inboxes."""

    async def inbox(
        self,
        account: str,
        *,
        rooms: Collection[str] | None = None,
        starts_after_ms: int,
        over: Collection[str],
        limit: int,
    ) -> tuple[InboxRoom, ...]:
        """The first `limit` of the account's rooms by id, or those of `rooms` among them, in one snapshot.

        Upcoming are sessions that start later than an instant and are in none of the states `over`.
        """

    async def asked(self, *, after: str = "", limit: int) -> tuple[Asked, ...]:
        """Rooms in which something waits for an answer, by id, beginning behind `after`."""

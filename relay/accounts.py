"""What stays behind of accounts that leave: the rooms they were in, and what is left of one that is erased.

Rows, writes and the reading part of the Store port.
"""

from typing import Protocol

import msgspec

from relay.rows import RoomHead


class Departure(msgspec.Struct, frozen=True, gc=False):
    """A room that an account was a member of and is not any more."""

    room: str
    role: str  # the last one it had there
    since_ms: int  # when it came, the last time
    through: int  # the last event of the log when it went
    log: RoomHead


class Remains(msgspec.Struct, frozen=True, gc=False):
    """How much there is of an account that belongs to others as well."""

    rooms: int  # it is or was a member of
    events: int  # its devices have sent, and which are kept
    blobs: int  # it has uploaded, and which are whole
    sessions: int  # of those rooms, and those it is invited to
    records: int  # entries of the audit trail by it or about it


class EraseAccount(msgspec.Struct, frozen=True, gc=False):
    """Take an account out of its rooms and forget what there is of it alone: its keys, documents, doorbells,
    calendar feed, ratings and claims. Its unfinished uploads expire at `at_ms`. The number of its device list
    is kept, as in `ResetKeys`, and so is what bars it, and which rooms it was in.

    `Conflict` if it is a member of other rooms than `rooms`, or `Store.is_held` says so. Outcome: `Applied`.
    """

    account: str
    rooms: frozenset[str]  # all that it is a member of
    documents: tuple[str, ...]  # the kinds of those that stand under an account's id
    at_ms: int


class Accounts(Protocol):
    """The part of the Store port that reads what stays behind of accounts."""

    async def departures_of(self, account: str, *, after: str = "", limit: int) -> tuple[Departure, ...]:
        """The rooms that an account has left, by id, beginning behind `after`; none that were deleted."""

    async def is_held(self, account: str) -> bool:
        """Whether a legal hold keeps what there is of an account: one of its own, or one that keeps a room
        that it is or was a member of, or that it is invited to a session in.
        """

    async def remains(self, account: str) -> Remains:
        """What belongs to others as well. Looks at all messages, whoever has sent them."""

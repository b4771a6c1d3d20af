"""What a store keeps for scheduling: series of sessions, the sessions of an account, calendar feeds.

Rows, writes and the reading part of the Store port. The store does not know when a series recurs: it keeps
when somebody wants to look at it again.
"""

from typing import Protocol

import msgspec

from relay.rows import Session, SessionCursor


class SeriesRow(msgspec.Struct, frozen=True, gc=False):
    """A series of sessions of a room. `version` is for compare-and-set."""

    id: str
    room: str
    due_ms: int | None  # when to look at it again; None: never
    version: int
    body: bytes


class CalendarFeed(msgspec.Struct, frozen=True, gc=False):
    """Whose sessions are read at an address. The address itself is not kept, but its digest."""

    account: str
    digest: bytes
    since_ms: int


class SetGuests(msgspec.Struct, frozen=True, gc=False):
    """Say whose session it is besides the members of its room, in place of what was said before.

    `NotFound` without the session. Outcome: `Applied`.
    """

    session: str
    accounts: tuple[str, ...]


class PutSeries(msgspec.Struct, frozen=True, gc=False):
    """Write a series if it stands at `expect_version`; None: if it does not exist yet. Sets `series.version`.

    `Conflict` if another version stands there (or any, or none), `NotFound` without the room. The room of a
    series cannot change: `Conflict`. Outcome: `Applied`.
    """

    series: SeriesRow
    expect_version: int | None


class PutCalendar(msgspec.Struct, frozen=True, gc=False):
    """Give an account a feed, in place of the one it had. `Conflict` if the digest is taken by another.

    Outcome: `Applied`.
    """

    feed: CalendarFeed


class DropCalendar(msgspec.Struct, frozen=True, gc=False):
    """Take an account's feed away. Outcome: `Applied`, `changed=False` if it had none."""

    account: str


ScheduleWrite = SetGuests | PutSeries | PutCalendar | DropCalendar


class Scheduling(Protocol):
    """The part of the Store port that scheduling reads."""

    async def sessions_of_account(
        self, account: str, *, after: SessionCursor, before_ms: int, limit: int
    ) -> tuple[Session, ...]:
        """The sessions of all rooms that the account is a member of, and those it is a guest of.

        By start, then id, each once; beginning behind `after`, and only those that start before `before_ms`.
        """

    async def series(self, series: str) -> SeriesRow | None:
        """One series."""

    async def series_of(self, room: str, *, after: str = "", limit: int) -> tuple[SeriesRow, ...]:
        """A room's series in the order of their ids, beginning behind `after`."""

    async def series_due(self, *, until_ms: int, limit: int) -> tuple[SeriesRow, ...]:
        """Series to be looked at up to and including an instant, the longest due first; ties by id."""

    async def calendar(self, digest: bytes) -> CalendarFeed | None:
        """The feed at an address."""

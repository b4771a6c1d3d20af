"""What is asked and told around sessions: inbox, office hours, what others may see, urgent messages.

The events that come of it are in :mod:`protocol.events`, the signals in :mod:`protocol.signals`.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from protocol.base import Request
from protocol.fields import (
    AccountId,
    Epoch,
    Milliseconds,
    Modality,
    Offset,
    Role,
    RoomId,
    SessionId,
    SessionState,
)
from protocol.receipts import Receipts, RoomReceipts

INBOX_PAGE = 512
"""As many rooms are told of at once."""

MINUTES_OF_DAY = 1440

StartMinute: TypeAlias = Annotated[int, Meta(ge=0, le=MINUTES_OF_DAY - 1)]
EndMinute: TypeAlias = Annotated[int, Meta(ge=1, le=2 * MINUTES_OF_DAY)]


class Span(Struct, frozen=True):
    """A time of one day, by the clock on the wall: 540 is 09:00."""

    starts: StartMinute
    """Minutes from 00:00 to its begin."""
    ends: EndMinute
    """Minutes from 00:00 to its end; beyond 1440 on the next day. At most a day after the begin."""


class WeeklySpan(Struct, frozen=True):
    """A time of every week."""

    day: Annotated[int, Meta(ge=0, le=6)]
    """0 is Monday."""
    starts: StartMinute
    """Minutes from 00:00 to its begin."""
    ends: EndMinute
    """Minutes from 00:00 to its end; beyond 1440 on the next day. At most a day after the begin."""


class DayException(Struct, frozen=True):
    """A day with office hours of its own."""

    date: Annotated[str, Meta(min_length=10, max_length=10)]
    """`YYYY-MM-DD`."""
    office: Annotated[tuple[Span, ...], Meta(max_length=8)] = ()
    """The office hours that begin on it; none for a day off."""


class Hours(Struct, frozen=True, omit_defaults=True):
    """When a therapist is there, and when they are not to be disturbed."""

    zone: Annotated[str, Meta(min_length=1, max_length=64)]
    """An IANA time zone, like `Europe/Vienna`: clocks are changed as they are there."""
    office: Annotated[tuple[WeeklySpan, ...], Meta(max_length=56)] | None = None
    """Office hours; without them nobody is told that the therapist is away."""
    exceptions: Annotated[tuple[DayException, ...], Meta(max_length=128)] = ()
    """Days on which these apply instead, each once."""
    quiet: Annotated[tuple[WeeklySpan, ...], Meta(max_length=56)] = ()
    """When only what is urgent may make a noise."""


class Unanswered(Struct, frozen=True):
    """The oldest message of a client that no therapist has answered."""

    offset: Offset
    """Its place in the log."""
    at_ms: Milliseconds
    """When it was stored."""


class UrgentMessage(Struct, frozen=True, omit_defaults=True):
    """An urgent message that no therapist has acknowledged."""

    offset: Offset
    """Its place in the log."""
    at_ms: Milliseconds
    """When it was stored."""
    sender: AccountId | None = None
    """Who sent it."""


class NextSession(Struct, frozen=True, omit_defaults=True):
    """The next session of a room that the account is invited to, or the one that is running.

    One that is urgent goes before all others.
    """

    session: SessionId
    """Which session."""
    state: SessionState
    """Its state."""
    modality: Modality
    """Its modality."""
    starts_ms: Milliseconds
    """The start agreed."""
    ends_ms: Milliseconds
    """The end agreed."""
    urgent: bool = False
    """Marked as urgent: it does not end by itself until a therapist clears the mark."""


class InboxEntry(Struct, frozen=True, omit_defaults=True):
    """One room as it stands in the inbox of one of its members."""

    room: RoomId
    """Which room."""
    role: Role
    """The account's role in it."""
    epoch: Epoch
    """The epoch of its log."""
    head: Offset
    """The offset of the last event."""
    read: Offset = 0
    """How far the account has read."""
    unread: int = 0
    """Messages of others beyond that, counted among the newest 256 events."""
    unanswered: Unanswered | None = None
    """What has waited longest for an answer."""
    urgent: tuple[UrgentMessage, ...] = ()
    """Urgent messages that nobody has acknowledged: the oldest 16."""
    session: NextSession | None = None
    """The next session."""
    online: tuple[AccountId, ...] = ()
    """Which of the other members are connected."""


# --- Requests -------------------------------------------------------------------------------------------


class InboxGet(Request, frozen=True, tag="inbox.get"):
    """All rooms at a glance: what is urgent first, then what has waited longest for an answer.

    From here on the connection is sent an ``inbox`` signal whenever a room of it changes. Who comes and goes
    is told by ``presence``.
    """

    after: RoomId | None = None
    """The last room of the page before."""
    limit: Annotated[int, Meta(ge=1, le=INBOX_PAGE)] = INBOX_PAGE
    """At most so many rooms."""


class HoursGet(Request, frozen=True, tag="hours.get"):
    """One's own office and quiet hours. For therapists."""


class HoursSet(Request, frozen=True, tag="hours.set"):
    """Replace one's own office and quiet hours. For therapists."""

    hours: Hours
    """The new ones."""


class PreferencesGet(Request, frozen=True, tag="preferences.get"):
    """What do others see of this account?"""


class PreferencesSet(Request, frozen=True, tag="preferences.set"):
    """Choose what others see of this account. What one sees oneself does not change by it."""

    typing: bool
    """Whether others see that one is writing."""
    receipts: bool
    """Whether others see how far one has read."""
    delivered: bool = False
    """Whether others see what one's devices have received."""


class UrgentAcknowledge(Request, frozen=True, tag="urgent.acknowledge"):
    """Take care of an urgent message. For therapists of the room; the log tells who did it and when.

    Acknowledging again changes nothing.
    """

    room: RoomId
    """Which room."""
    offset: Offset
    """The place of the message in its log."""


class NotesOpen(Request, frozen=True, tag="notes.open"):
    """Where are my private notes about this room? For therapists of the room.

    The answer is a room that only the account itself is in; it is made when it is asked for first, and stays
    when others leave the room it is about, or when the account does. Ask again whenever it is needed.
    """

    room: RoomId
    """The room that they are about."""


AroundRequest: TypeAlias = (
    InboxGet
    | RoomReceipts
    | HoursGet
    | HoursSet
    | PreferencesGet
    | PreferencesSet
    | UrgentAcknowledge
    | NotesOpen
)


# --- Results --------------------------------------------------------------------------------------------


class InboxPage(Struct, frozen=True, tag_field="of", tag="inbox.get", omit_defaults=True):
    """A page of an inbox."""

    rooms: tuple[InboxEntry, ...]
    """In the order in which they want attention."""
    more: bool = False
    """Whether rooms follow after the last one."""
    quiet_until_ms: Milliseconds | None = None
    """The account has quiet hours until then: only what is urgent should make a noise."""


class HoursView(Struct, frozen=True, tag_field="of", tag="hours", omit_defaults=True):
    """Office and quiet hours, and what they say at this moment."""

    hours: Hours | None = None
    """None if none were ever set."""
    away: bool = False
    """Whether it is outside the office hours now."""
    away_changes_ms: Milliseconds | None = None
    """When that changes, as far as it can be told."""
    quiet_until_ms: Milliseconds | None = None
    """The end of the quiet hours that it is in."""


class PreferencesView(Struct, frozen=True, tag_field="of", tag="preferences"):
    """What others see of the account.

    As long as nothing was chosen: nothing of therapists; of others that they write, and what they have read.
    """

    typing: bool
    """Whether others see that one is writing."""
    receipts: bool
    """Whether others see how far one has read."""
    delivered: bool = False
    """Whether others see what one's devices have received."""


class NotesRoom(Struct, frozen=True, tag_field="of", tag="notes.open"):
    """The room of private notes."""

    room: RoomId
    """Its id, which begins with ``notes:`` and is as good as any other for messages and keys."""


AroundResult: TypeAlias = InboxPage | Receipts | HoursView | PreferencesView | NotesRoom

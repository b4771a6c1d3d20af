"""The value of a session: what is stored of it.

Values only: how one follows from another is decided in :mod:`signaling.sessions.core`, what people are shown
of it in :mod:`signaling.sessions.views`.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from protocol.fields import EndReason, Modality, SessionRole, SessionState
from protocol.sessions import Lateness, Proposal, Zones
from relay import rows
from signaling.sessions.segments import Segment
from signaling.sessions.states import FINAL
from signaling.sessions.terms import Terms


class Attendee(Struct, frozen=True):
    """Someone who is invited to one session: they see the session, and nothing of the room's log."""

    account: str
    role: Literal["guest", "interpreter", "observer"]


class Participant(Struct, frozen=True):
    """An account that is in the session: it has come in and has not left."""

    account: str
    role: SessionRole
    """Its role when it came in."""
    connections: tuple[str, ...]
    """The connections it has joined with and that still live; empty while an absence is bridged."""
    absent_ms: int | None = None
    """Since when it has no connection."""


class Waiting(Participant, frozen=True):
    """An account in the waiting room."""

    since_ms: int = 0
    silent: bool = False
    """Nothing rings for it: it has been denied twice."""


class Extension(Struct, frozen=True):
    """The agreed end was moved."""

    key: UUID
    """Made once for this extension by whoever asked for it."""
    span_ms: int
    account: str
    at_ms: int


class GivenCue(Struct, frozen=True):
    """A cue that has been given."""

    until: Literal["agreed_end", "cap"]
    left_ms: int
    due_ms: int


class ConsentRecord(Struct, frozen=True):
    """Somebody gave a consent or withdrew it. The latest of a kind and version holds."""

    account: str
    kind: str
    version: str
    given: bool
    at_ms: int


class Session(Struct, frozen=True):
    """One timed meeting inside a room. All times are milliseconds since 1970, all spans milliseconds."""

    id: str
    room: str
    state: SessionState
    modality: Modality
    """How people talk now."""
    agreed_modality: Modality
    """How they were to talk."""
    starts_ms: int
    length_ms: int
    """The length agreed on."""
    terms: Terms
    invited: tuple[str, ...] = ()
    """The members who may join; empty for all members of the room."""
    attendees: tuple[Attendee, ...] = ()
    """Who may join besides, without being a member, or in another role than the one in the room."""
    zones: Zones | None = None
    """The time zones to show its times in."""
    revision: int = 0
    """How often its start, its agreed end, or whether it is held has changed."""
    revised_ms: int = 0
    """When that was the last time, or when it was scheduled."""
    participants: tuple[Participant, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    """In the order of their coming."""
    roles: dict[str, SessionRole] = {}
    """Everyone who has ever been in it, as what."""
    waited_ms: dict[str, int] = {}
    """Everyone who has ever been in the waiting room, and since when: evidence that they had come."""
    denials: dict[str, int] = {}
    """How often someone was denied."""
    late: dict[str, Lateness] = {}
    """Who has said to be running late."""
    consents: tuple[ConsentRecord, ...] = ()
    """In the order they were given and withdrawn."""
    proposal: Proposal | None = None
    extensions: tuple[Extension, ...] = ()
    urgent: bool = False
    """Does not end by itself."""
    cues: tuple[GivenCue, ...] = ()
    cued_ms: int = 0
    """Cues that were due up to here have been given, or are not given any more."""
    segments: tuple[Segment, ...] = ()
    live_ms: int | None = None
    ended_ms: int | None = None
    reason: EndReason | None = None
    changed_ms: int = 0
    """The instant of the last change. Nothing happens before it, even if a clock was set back meanwhile."""
    generation: int = 0
    """How many lives its media has had: one for each worker that has carried it, on whatever node."""
    host: str = ""
    """The node that has its media in this life; empty before there was any."""

    @property
    def opens_ms(self) -> int:
        """When the join window opens."""
        return max(0, self.starts_ms - self.terms.join_window_ms)

    @property
    def agreed_end_ms(self) -> int:
        """The agreed end, with what it was extended by."""
        return self.starts_ms + self.length_ms + sum(one.span_ms for one in self.extensions)

    @property
    def cap_ms(self) -> int:
        """When it ends for all; equal to the agreed end where no overrun is allowed."""
        return self.agreed_end_ms + self.terms.overrun_ms

    @property
    def over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in FINAL

    @property
    def present(self) -> tuple[str, ...]:
        """The accounts in the session, bridged absences included."""
        return tuple(one.account for one in self.participants)

    @property
    def connections(self) -> frozenset[str]:
        """The connections of all who are in it or in its waiting room."""
        places = (*self.participants, *self.waiting)
        return frozenset(connection for one in places for connection in one.connections)

    @property
    def timing(self) -> tuple[int, int, bool]:
        """What a calendar shows of it: start, agreed end, whether it is cancelled."""
        return self.starts_ms, self.agreed_end_ms, self.state == "cancelled"

    def invites(self, account: str) -> bool:
        """Whether this member of the room may join."""
        return not self.invited or account in self.invited

    def expects(self, account: str) -> bool:
        """Whether this account may join: as a member of the room, or as someone invited to this session."""
        return self.attendee(account) is not None or self.invites(account)

    def attendee(self, account: str) -> Attendee | None:
        """The account's own invitation to this session, if it has one."""
        return next((one for one in self.attendees if one.account == account), None)

    def participant(self, account: str) -> Participant | None:
        """The account's place in the session."""
        return next((one for one in self.participants if one.account == account), None)

    def waiter(self, account: str) -> Waiting | None:
        """The account's place in the waiting room."""
        return next((one for one in self.waiting if one.account == account), None)


def to_row(session: Session, version: int) -> rows.Session:
    """The session as the store keeps it."""
    body = msgspec.msgpack.encode(session)
    return rows.Session(
        id=session.id,
        room=session.room,
        starts_ms=session.starts_ms,
        ends_ms=session.agreed_end_ms,
        state=session.state,
        version=version,
        body=body,
    )


def from_row(row: rows.Session) -> Session:
    """The inverse of :func:`to_row`; :exc:`msgspec.MsgspecError` if the row was not written by it."""
    return msgspec.msgpack.decode(row.body, type=Session)

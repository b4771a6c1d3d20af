"""What can be asked of a session, and what follows: the values that the core takes and gives.

Values only. Spans and instants are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias
from uuid import UUID

from protocol.fields import EndReason, Modality, Place, SessionRole, SessionState
from protocol.sessions import ConsentTerm, Zones
from signaling.sessions import states
from signaling.sessions.session import Attendee, GivenCue, Session
from signaling.sessions.terms import NO_WISHES, Terms, Wishes


@dataclass(frozen=True, slots=True)
class Limits:
    """Within what sessions are scheduled, moved and extended; spans in milliseconds."""

    min_length_ms: int
    max_length_ms: int
    max_ahead_ms: int
    late_start_ms: int
    """How far in the past the start of a new session may lie: clocks differ, and requests travel."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a deployment, or a room of it, says about its sessions."""

    terms: Terms
    limits: Limits


@dataclass(frozen=True, slots=True)
class Agreed:
    """What was agreed on for a new session."""

    session: str
    room: str
    starts_ms: int
    length_ms: int
    modality: Modality
    invited: tuple[str, ...] = ()
    attendees: tuple[Attendee, ...] = ()
    wishes: Wishes = NO_WISHES
    zones: Zones | None = None


# --- Who comes and goes ---


@dataclass(frozen=True, slots=True)
class Join:
    """Someone invited comes with a connection: into the session, or into its waiting room."""

    account: str
    role: SessionRole
    connection: str


@dataclass(frozen=True, slots=True)
class Leave:
    """An account goes out: with one connection, or altogether (``connection`` None)."""

    account: str
    connection: str | None


@dataclass(frozen=True, slots=True)
class Drop:
    """Connections are gone without a word; their accounts keep their places for the grace."""

    connections: frozenset[str]


@dataclass(frozen=True, slots=True)
class Admit:
    """A therapist lets people in from the waiting room: all of them, or none."""

    by: str
    accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    """A therapist turns someone in the waiting room away."""

    by: str
    account: str


@dataclass(frozen=True, slots=True)
class SendBack:
    """A therapist puts someone back into the waiting room."""

    by: str
    account: str


@dataclass(frozen=True, slots=True)
class Consent:
    """Someone invited gives a consent, or withdraws it."""

    account: str
    role: SessionRole
    term: ConsentTerm
    given: bool


# --- When it is and ends ---


@dataclass(frozen=True, slots=True)
class Move:
    """The session is to be at another time."""

    starts_ms: int
    length_ms: int
    limits: Limits
    by: str | None = None
    """None for a back end."""


@dataclass(frozen=True, slots=True)
class Extend:
    """A therapist moves the agreed end; the same key does so once."""

    by: str
    key: UUID
    span_ms: int
    max_length_ms: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The session is marked as urgent, or the mark is cleared."""

    by: str
    role: SessionRole
    urgent: bool


@dataclass(frozen=True, slots=True)
class SayLate:
    """Someone invited is running late by so many minutes; 0: they are not, after all."""

    account: str
    role: SessionRole
    minutes: int


@dataclass(frozen=True, slots=True)
class End:
    """The therapist ends the session."""

    account: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """The session, which has not begun, is cancelled."""

    by: str | None = None
    """The therapist who asks; None for a back end."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A back end cancels the session or ends it."""


# --- How people talk ---


@dataclass(frozen=True, slots=True)
class ChangeModality:
    """Someone inside changes how people talk."""

    by: str
    modality: Modality


@dataclass(frozen=True, slots=True)
class Propose:
    """Someone inside proposes another modality."""

    by: str
    modality: Modality


@dataclass(frozen=True, slots=True)
class Answer:
    """Someone inside accepts what another has proposed, turns it down, or takes their own proposal back."""

    by: str
    modality: Modality
    accepted: bool


@dataclass(frozen=True, slots=True)
class Rehost:
    """The session's media begins a new life, on a worker of ``host``.

    Changes nothing if another one has begun meanwhile.
    """

    host: str
    generation: int
    """The life that this one follows."""


Command: TypeAlias = (
    Join
    | Leave
    | Drop
    | Admit
    | Deny
    | SendBack
    | Consent
    | Move
    | Extend
    | Mark
    | SayLate
    | End
    | Cancel
    | Stop
    | ChangeModality
    | Propose
    | Answer
    | Rehost
)


# --- What follows ---

Unlogged: TypeAlias = Literal[
    "joined",
    "waiting",
    "admitted",
    "denied",
    "sent_back",
    "gave_up",
    "left",
    "consented",
    "consent_withdrawn",
    "proposed",
    "declined",
]
"""What the room's log does not tell: who comes and goes, and what is between two people.

`gave_up` is leaving the waiting room.
"""

Change: TypeAlias = (
    states.Change | Literal["scheduled", "modality", "late", "urgent", "urgent_cleared"] | Unlogged
)
"""What can happen to a session."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that happened to a session, as the session stood right after it."""

    change: Change
    state: SessionState
    modality: Modality
    starts_ms: int
    ends_ms: int
    """The end agreed."""
    by: str | None = None
    """Who did it; None when the clock or a back end did."""
    account: str | None = None
    """To whom it happened, where that is someone else or the clock did it."""
    reason: EndReason | None = None
    due_ms: int | None = None
    """When it was due, if the clock did it."""
    minutes: int | None = None
    term: ConsentTerm | None = None


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell those inside, and those who were inside before, how the session stands."""


@dataclass(frozen=True, slots=True)
class ShowWaiting:
    """Tell the therapists of the room who waits."""


@dataclass(frozen=True, slots=True)
class ShowConsents:
    """Tell the therapists of the room which consents are withdrawn."""


@dataclass(frozen=True, slots=True)
class Tell:
    """An account is at another place now: hold its connections back or let them through, and tell it why."""

    account: str
    place: Place
    connections: tuple[str, ...]
    """Those it has joined with, which this is about."""
    status: Literal["admitted", "denied", "sent_back", "out", "over"] | None = None
    """What to tell the account; None if its own request is answered by it."""


@dataclass(frozen=True, slots=True)
class GiveCue:
    """Tell those whom the terms name how much is left."""

    cue: GivenCue


@dataclass(frozen=True, slots=True)
class TellLate:
    """Tell everyone invited that someone is running late."""

    account: str
    role: SessionRole
    minutes: int


@dataclass(frozen=True, slots=True)
class CutMedia:
    """Cut the media of whoever is not in the session any more, and what its modality excludes."""


Effect: TypeAlias = Announce | ShowWaiting | ShowConsents | Tell | GiveCue | TellLate | CutMedia


@dataclass(frozen=True, slots=True)
class Decision:
    """A session after a change, and what the change asks for."""

    session: Session
    events: tuple[Happened, ...] = ()
    """What happened, in this order. It becomes durable in the same commit as the session."""
    effects: tuple[Effect, ...] = ()
    """To be carried out once that is durable."""

    def then(self, after: Decision) -> Decision:
        """This decision and one that was made on its outcome, as one."""
        return Decision(after.session, self.events + after.events, self.effects + after.effects)

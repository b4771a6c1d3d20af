"""What can be asked of a session, and what follows: the values that the core takes and gives.

Values only. Spans and instants are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from protocol.events import SessionBody
from protocol.fields import Modality, Role
from signaling.sessions.session import Session


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for a session unless it says otherwise; spans in milliseconds."""

    join_window_ms: int
    grace_ms: int
    overrun_ms: int
    capacity: int
    min_length_ms: int
    max_length_ms: int
    max_ahead_ms: int
    late_start_ms: int
    """How far in the past the start of a new session may lie: clocks differ, and requests travel."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What was agreed on for a new session."""

    session: str
    room: str
    starts_ms: int
    length_ms: int
    modality: Modality
    invited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Join:
    """An invited member comes in with a connection."""

    account: str
    role: Role
    connection: str


@dataclass(frozen=True, slots=True)
class Leave:
    """An account goes out: with one connection, or altogether (``connection`` None)."""

    account: str
    connection: str | None


@dataclass(frozen=True, slots=True)
class Drop:
    """Connections are gone without a word; their accounts stay in the session for the grace."""

    connections: frozenset[str]


@dataclass(frozen=True, slots=True)
class End:
    """The therapist ends the session."""

    account: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A back end cancels the session or ends it."""


@dataclass(frozen=True, slots=True)
class Rehost:
    """The session's media goes to another worker."""


Command: TypeAlias = Join | Leave | Drop | End | Stop | Rehost


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell everyone invited where the clock stands."""


@dataclass(frozen=True, slots=True)
class CloseMedia:
    """Cut the media of the whole session."""


@dataclass(frozen=True, slots=True)
class RemoveMedia:
    """Cut the media of one participant."""

    account: str


Effect: TypeAlias = Announce | CloseMedia | RemoveMedia


@dataclass(frozen=True, slots=True)
class Decision:
    """A session after a change, and what the change asks for."""

    session: Session
    events: tuple[SessionBody, ...] = ()
    """For the room's log, in this order, in the same commit as the session."""
    effects: tuple[Effect, ...] = ()
    """To be carried out once that is durable."""

    def then(self, after: Decision) -> Decision:
        """This decision and one that was made on its outcome, as one."""
        return Decision(after.session, self.events + after.events, self.effects + after.effects)

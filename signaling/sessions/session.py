"""The value of a session: what is stored of it, and what its participants are shown.

Values only: how one follows from another is decided in :mod:`signaling.sessions.core`.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from protocol.fields import EndReason, Modality, Role, SessionState
from protocol.frames import SessionView
from protocol.signals import Countdown
from relay import rows
from signaling.sessions.states import FINAL


class Participant(Struct, frozen=True):
    """An account that is in the session: it has joined and has not left."""

    account: str
    role: Role
    """Its role in the room when it joined."""
    connections: tuple[str, ...]
    """The connections it has joined with and that still live; empty while an absence is bridged."""
    absent_ms: int | None = None
    """Since when it has no connection."""


class Session(Struct, frozen=True):
    """One timed meeting inside a room. All times are milliseconds since 1970."""

    id: str
    room: str
    state: SessionState
    modality: Modality
    starts_ms: int
    opens_ms: int
    """When the join window opens."""
    agreed_end_ms: int
    cap_ms: int
    """When it ends for all; equal to the agreed end where no overrun is allowed."""
    grace_ms: int
    """Absence of this length or longer is leaving."""
    capacity: int
    """How many people may be in it."""
    invited: tuple[str, ...] = ()
    """The members who may join; empty for all members of the room."""
    participants: tuple[Participant, ...] = ()
    live_ms: int | None = None
    ended_ms: int | None = None
    reason: EndReason | None = None
    generation: int = 0
    """How many media workers have carried it."""

    @property
    def over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in FINAL

    @property
    def present(self) -> tuple[str, ...]:
        """The accounts in the session, bridged absences included."""
        return tuple(one.account for one in self.participants)

    def invites(self, account: str) -> bool:
        """Whether this member of the room may join."""
        return not self.invited or account in self.invited

    def participant(self, account: str) -> Participant | None:
        """The account's place in the session."""
        return next((one for one in self.participants if one.account == account), None)


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


def view(session: Session, now_ms: int) -> SessionView:
    """The session as its participants see it."""
    return SessionView(
        session=session.id,
        room=session.room,
        state=session.state,
        modality=session.modality,
        starts_ms=session.starts_ms,
        opens_ms=session.opens_ms,
        agreed_end_ms=session.agreed_end_ms,
        cap_ms=session.cap_ms,
        server_now_ms=now_ms,
        present=session.present,
        live_ms=session.live_ms,
        ended_ms=session.ended_ms,
        reason=session.reason,
    )


def countdown(session: Session, now_ms: int) -> Countdown:
    """The signal that apps draw the session's clock from."""
    return Countdown(
        session=session.id,
        state=session.state,
        modality=session.modality,
        server_now_ms=now_ms,
        agreed_end_ms=session.agreed_end_ms,
        cap_ms=session.cap_ms,
        present=session.present,
    )

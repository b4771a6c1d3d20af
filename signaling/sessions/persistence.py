"""A decision about a session as the writes of one commit: the session, its guests, its deadlines, its events.

The one place where what happens to sessions becomes writes: whatever has to be durable together with a change
is added here.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.codec import encode_body
from protocol.events import SessionBody
from relay.scheduling import SetGuests
from relay.writes import Append, ClearDeadline, PutSession, SetDeadline, Write
from signaling.sessions.commands import Decision, Happened
from signaling.sessions.hours import deadlines
from signaling.sessions.session import Session, to_row


def writes_of(
    before: Session | None, decision: Decision, version: int | None, now_ms: int
) -> tuple[Write, ...]:
    """What makes a decision durable, for one commit; nothing if it changes nothing.

    ``version`` is the one ``before`` was read at; both are None for a new session.
    """
    session = decision.session
    if session == before and not decision.events:
        return ()
    after = 1 if version is None else version + 1
    had = deadlines(before) if before else {}
    due = deadlines(session)
    guests = tuple(one.account for one in session.attendees)
    return (
        PutSession(to_row(session, after), version),
        *([SetGuests(session.id, guests)] if before is None and guests else ()),
        *(SetDeadline(session.id, kind, at, after) for kind, at in due.items() if had.get(kind) != at),
        *(ClearDeadline(session.id, kind) for kind in had if kind not in due),
        *_appends(session, decision.events, now_ms),
    )


def _appends(session: Session, events: Sequence[Happened], now_ms: int) -> tuple[Append, ...]:
    bodies = (logged(session.id, event) for event in events)
    return tuple(Append(session.room, None, None, None, encode_body(body), now_ms) for body in bodies if body)


def logged(session: str, event: Happened) -> SessionBody | None:
    """What the room's log tells of it. All members read the log: it does not say who comes and goes."""
    match event.change:
        case "joined" | "waiting" | "admitted" | "denied" | "sent_back" | "gave_up" | "left":
            return None
        case "consented" | "consent_withdrawn" | "proposed" | "declined":
            return None
        case change:
            return SessionBody(
                session=session,
                change=change,
                state=event.state,
                modality=event.modality,
                starts_ms=event.starts_ms,
                ends_ms=event.ends_ms,
                account=event.by,
                reason=event.reason,
                due_ms=event.due_ms,
                minutes=event.minutes,
            )

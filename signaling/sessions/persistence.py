"""A decision about a session as the writes of one commit: the session, its deadlines, the events of it."""

from __future__ import annotations

from protocol.codec import encode_body
from relay.writes import Append, ClearDeadline, PutSession, SetDeadline, Write
from signaling.sessions import core
from signaling.sessions.commands import Decision
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
    had = core.deadlines(before) if before else {}
    due = core.deadlines(session)
    return (
        PutSession(to_row(session, after), version),
        *(SetDeadline(session.id, kind, at, after) for kind, at in due.items() if had.get(kind) != at),
        *(ClearDeadline(session.id, kind) for kind in had if kind not in due),
        *(Append(session.room, None, None, None, encode_body(event), now_ms) for event in decision.events),
    )

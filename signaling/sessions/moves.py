"""What the parts of the sessions' core share: the moves along the table of states, and how they are told."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from protocol import errors
from protocol.errors import ProtocolError
from signaling.sessions import segments
from signaling.sessions.commands import (
    Announce,
    Change,
    CutMedia,
    Decision,
    Effect,
    Happened,
    Tell,
)
from signaling.sessions.session import Participant, Session
from signaling.sessions.states import TRANSITIONS, Trigger


def happened(
    session: Session,
    change: Change,
    *,
    by: str | None = None,
    account: str | None = None,
    due_ms: int | None = None,
    minutes: int | None = None,
) -> Happened:
    """What is told of a change; ``session`` stands as it does after it."""
    return Happened(
        change=change,
        state=session.state,
        modality=session.modality,
        starts_ms=session.starts_ms,
        ends_ms=session.agreed_end_ms,
        by=by,
        account=account,
        reason=session.reason,
        due_ms=due_ms,
        minutes=minutes,
    )


def step(
    session: Session,
    trigger: Trigger,
    at_ms: int,
    *,
    by: str | None = None,
    due_ms: int | None = None,
    minutes: int | None = None,
) -> Decision:
    """One move along the table."""
    to = TRANSITIONS[session.state][trigger]
    moved = msgspec.structs.replace(session, state=to.to)
    effects: tuple[Effect, ...] = (Announce(),)
    if moved.over:
        effects = (CutMedia(), Announce(), *_outside(session))
        moved = msgspec.structs.replace(
            _unbridged(moved, *moved.participants), ended_ms=at_ms, reason=to.reason
        )
        moved = msgspec.structs.replace(moved, participants=(), waiting=(), proposal=None)
    elif to.change == "live":
        # What was due before there was anybody to tell is not told.
        moved = msgspec.structs.replace(moved, live_ms=at_ms, cued_ms=at_ms)
    event = happened(moved, to.change, by=by, due_ms=due_ms, minutes=minutes)
    return Decision(moved, (event,), effects)


def running(session: Session, now_ms: int) -> Session:
    """The session, if it can be joined now; ``session_over`` or ``session_not_open``."""
    if session.over:
        raise ProtocolError(errors.SESSION_OVER)
    if session.state == "scheduled":
        opening = datetime.fromtimestamp(session.opens_ms / 1000, UTC).isoformat(timespec="seconds")
        raise ProtocolError(
            errors.SESSION_NOT_OPEN,
            f"the join window opens at {opening}",
            retry_after_ms=session.opens_ms - now_ms,
        )
    return session


def inside(session: Session, account: str) -> Participant:
    """The account's place in the session; ``not_admitted`` while it waits, or ``not_joined``."""
    known = session.participant(account)
    if known is None:
        raise ProtocolError(errors.NOT_ADMITTED if session.waiter(account) else errors.NOT_JOINED)
    return known


def removed(session: Session, account: str) -> tuple[Session, tuple[Effect, ...]]:
    """The session without a participant, and what to do about it.

    An absence that was not bridged was a going: then the participant has been gone since it began.
    """
    known = inside(session, account)
    session = _unbridged(session, known)
    rest = tuple(one for one in session.participants if one.account != account)
    proposal = session.proposal if session.proposal and session.proposal.account != account else None
    left = msgspec.structs.replace(session, participants=rest, proposal=proposal)
    return left, (CutMedia(), Announce(), Tell(account, "outside", known.connections, "out"))


def _unbridged(session: Session, *gone: Participant) -> Session:
    rest = session.segments
    for one in gone:
        if one.absent_ms is not None:
            rest = segments.without(rest, one.account, one.absent_ms)
    return msgspec.structs.replace(session, segments=rest)


def _outside(session: Session) -> tuple[Effect, ...]:
    """Nobody is in a session that is over, nor before it."""
    everyone = (*session.participants, *session.waiting)
    return tuple(Tell(one.account, "outside", one.connections, "over") for one in everyone)

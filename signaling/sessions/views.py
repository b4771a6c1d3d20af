"""What people are shown of a session: to each no more than is theirs to know."""

from __future__ import annotations

from protocol.fields import Place, SessionRole, SessionState
from protocol.sessions import SessionView, Waiter
from protocol.signals import Consents, Countdown, Cue, WaitingRoom
from signaling.sessions import consents, segments
from signaling.sessions.session import GivenCue, Session


def place_of(session: Session, account: str) -> Place:
    """Where an account is, seen from the session."""
    if session.participant(account):
        return "inside"
    return "waiting" if session.waiter(account) else "outside"


def view(session: Session, account: str, role: SessionRole, now_ms: int) -> SessionView:
    """The session as someone who is invited in this role sees it."""
    place = place_of(session, account)
    therapist = role == "therapist"
    if place == "inside" or therapist or session.over:
        return _whole(session, account, role, now_ms, place, for_therapist=therapist)
    return _agreement(session, account, role, now_ms, place)


def _whole(
    session: Session, account: str, role: SessionRole, now_ms: int, place: Place, *, for_therapist: bool
) -> SessionView:
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
        place=place,
        zones=session.zones,
        present=session.present,
        roles=_roles(session),
        waiting=waiters(session) if for_therapist else (),
        both_ms=segments.both_ms(session.segments, session.roles, now_ms),
        urgent=session.urgent,
        proposal=session.proposal,
        late=tuple(session.late.values()),
        consents=consents.asked(session, account, role),
        consented=consents.agreed(session, account, role),
        withdrawn=consents.withdrawn(session) if for_therapist else (),
        live_ms=session.live_ms,
        ended_ms=session.ended_ms,
        reason=session.reason,
    )


def _agreement(session: Session, account: str, role: SessionRole, now_ms: int, place: Place) -> SessionView:
    """What was agreed on, and nothing of what goes on inside."""
    agreed_end_ms = session.starts_ms + session.length_ms
    return SessionView(
        session=session.id,
        room=session.room,
        state=_seen_from_outside(session.state),
        modality=session.agreed_modality,
        starts_ms=session.starts_ms,
        opens_ms=session.opens_ms,
        agreed_end_ms=agreed_end_ms,
        cap_ms=agreed_end_ms + session.terms.overrun_ms,
        server_now_ms=now_ms,
        place=place,
        zones=session.zones,
        late=tuple(session.late.values()),
        consents=consents.asked(session, account, role),
        consented=consents.agreed(session, account, role),
    )


def _seen_from_outside(state: SessionState) -> SessionState:
    return "open" if state in {"live", "overrun"} else state


def countdown(session: Session, now_ms: int) -> Countdown:
    """The signal that those inside keep their picture of the session with."""
    return Countdown(
        session=session.id,
        state=session.state,
        modality=session.modality,
        server_now_ms=now_ms,
        agreed_end_ms=session.agreed_end_ms,
        cap_ms=session.cap_ms,
        present=session.present,
        roles=_roles(session),
        both_ms=segments.both_ms(session.segments, session.roles, now_ms),
        urgent=session.urgent,
        proposal=session.proposal,
    )


def cue(session: Session, given: GivenCue, now_ms: int) -> Cue:
    """The signal of a cue."""
    return Cue(
        session=session.id,
        until=given.until,
        left_ms=given.left_ms,
        due_ms=given.due_ms,
        server_now_ms=now_ms,
    )


def waiting_room(session: Session) -> WaitingRoom:
    """The signal that therapists see the waiting room by."""
    return WaitingRoom(session=session.id, waiting=waiters(session))


def withdrawals(session: Session) -> Consents:
    """The signal that tells therapists which consents are withdrawn."""
    return Consents(session=session.id, withdrawn=consents.withdrawn(session))


def waiters(session: Session) -> tuple[Waiter, ...]:
    """Who waits, in the order of their coming."""
    return tuple(Waiter(one.account, one.role, one.since_ms, one.silent) for one in session.waiting)


def _roles(session: Session) -> dict[str, SessionRole]:
    return {one.account: one.role for one in session.participants}

"""Who comes into a session and goes out of it: joining, the waiting room, absences, and what they depend on.

    outside -> waiting -> inside      whom the terms ask to wait
    outside -> inside                 all others, therapists always

Part of :mod:`signaling.sessions.core`: pure functions from a session to the next one.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from msgspec.structs import replace

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import SessionRole
from signaling.sessions import consents, segments
from signaling.sessions.commands import (
    Admit,
    Announce,
    Decision,
    Deny,
    Drop,
    Effect,
    Join,
    Leave,
    SendBack,
    ShowWaiting,
    Tell,
)
from signaling.sessions.moves import happened, inside, removed, running, step
from signaling.sessions.session import Participant, Session, Waiting

MAX_WAITING = 64
"""People who wait at the same time; more are refused as if the session were full."""

MAX_SEGMENTS = 1000
"""Once so much is kept of a session nobody new comes in; those inside stay, and reconnect as they like."""

RINGING_DENIALS = 2
"""Whoever was denied so often waits without a sound."""

PlaceT = TypeVar("PlaceT", bound=Participant)


def join(session: Session, join: Join, now_ms: int) -> Decision:
    """Come in, or wait to be admitted; another connection of who is in or waits already is just added."""
    running(session, now_ms)
    if known := session.participant(join.account):
        back = _connected(known, join.connection)
        there = replace(session, participants=_with(session.participants, back))
        return _begun(Decision(there, (), (Announce(), _let_in(back))), now_ms)
    if waiter := session.waiter(join.account):
        still = _connected(waiter, join.connection)
        there = replace(session, waiting=_with(session.waiting, still))
        return Decision(there, (), (Tell(join.account, "waiting", still.connections),))
    _check_entry(session, join.account, join.role)
    if session.terms.waits(join.role):
        return _wait(session, join, now_ms)
    newcomer = Participant(join.account, join.role, (join.connection,))
    return _begun(_come_in(session, newcomer), now_ms)


def admit(session: Session, admit: Admit, now_ms: int) -> Decision:
    """Let people in from the waiting room: all of them, or none. Who is in already stays in."""
    _therapist_inside(running(session, now_ms), admit.by)
    decision = Decision(session)
    for account in dict.fromkeys(admit.accounts):
        if not decision.session.participant(account):
            decision = decision.then(_admit_one(decision.session, account, admit.by))
    return _begun(decision, now_ms)


def deny(session: Session, deny: Deny, now_ms: int) -> Decision:
    """Turn someone in the waiting room away. They may knock again."""
    _therapist_inside(running(session, now_ms), deny.by)
    waiter = _waiter(session, deny.account)
    denials = {**session.denials, deny.account: session.denials.get(deny.account, 0) + 1}
    turned_away = replace(session, waiting=_less(session.waiting, deny.account), denials=denials)
    event = happened(turned_away, "denied", by=deny.by, account=deny.account)
    told = Tell(deny.account, "outside", waiter.connections, "denied")
    return Decision(turned_away, (event,), (told, ShowWaiting()))


def send_back(session: Session, back: SendBack, now_ms: int) -> Decision:
    """Put someone who is in the session into the waiting room. Not for therapists."""
    _therapist_inside(running(session, now_ms), back.by)
    known = session.participant(back.account)
    if known is None:
        raise ProtocolError(errors.NOT_WAITING)
    if known.role == "therapist":
        raise ProtocolError(errors.FORBIDDEN, "a therapist is not sent back")
    left, effects = removed(session, back.account)
    waiting = Waiting(known.account, known.role, known.connections, known.absent_ms, since_ms=now_ms)
    waits = replace(left, waiting=(*left.waiting, waiting), waited_ms=_first(left, back.account, now_ms))
    event = happened(waits, "sent_back", by=back.by, account=back.account)
    told = Tell(back.account, "waiting", known.connections, "sent_back")
    return unobserved(Decision(waits, (event,), (*effects[:-1], told, ShowWaiting())))


def leave(session: Session, leave: Leave) -> Decision:
    """Go out with a connection; with the last one, or altogether, the account is out."""
    known = session.participant(leave.account) or session.waiter(leave.account)
    if known is None or (leave.connection is not None and leave.connection not in known.connections):
        return Decision(session)
    rest = tuple(one for one in known.connections if leave.connection is not None and one != leave.connection)
    if rest:
        assert leave.connection is not None
        fewer = _with_connections(session, known, rest, None)
        # Whoever waits does so with all connections, joined or not.
        waits = isinstance(known, Waiting)
        return Decision(fewer, (), () if waits else (Tell(leave.account, "outside", (leave.connection,)),))
    return gone(session, leave.account)


def drop(session: Session, drop: Drop, now_ms: int) -> Decision:
    """Connections are gone without a word. No event and no effect: the absence may be bridged."""
    for one in (*session.participants, *session.waiting):
        if one.connections and drop.connections.intersection(one.connections):
            rest = tuple(connection for connection in one.connections if connection not in drop.connections)
            session = _with_connections(session, one, rest, None if rest else now_ms)
    return Decision(session)


def expire_absences(session: Session, due_ms: int) -> Decision:
    """Whoever has been absent for the grace is out, and has been since the absence began."""
    decision = Decision(session)
    for one in (*session.participants, *session.waiting):
        if one.absent_ms is not None and one.absent_ms + session.terms.grace_ms <= due_ms:
            decision = decision.then(gone(decision.session, one.account, due_ms))
    return decision


def gone(session: Session, account: str, due_ms: int | None = None) -> Decision:
    """An account is out of the session or its waiting room."""
    if waiter := session.waiter(account):
        left = replace(session, waiting=_less(session.waiting, account))
        told = Tell(account, "outside", waiter.connections, "out")
        return Decision(
            left, (happened(left, "gave_up", account=account, due_ms=due_ms),), (told, ShowWaiting())
        )
    left, effects = removed(session, account)
    event = happened(left, "left", account=account, due_ms=due_ms)
    return Decision(left, (event,), effects)


def _admit_one(session: Session, account: str, by: str) -> Decision:
    waiter = _waiter(session, account)
    _check_entry(session, account, waiter.role)
    there = replace(session, waiting=_less(session.waiting, account))
    newcomer = Participant(account, waiter.role, waiter.connections, waiter.absent_ms)
    return _come_in(there, newcomer, by=by)


def _come_in(session: Session, newcomer: Participant, by: str | None = None) -> Decision:
    account = newcomer.account
    joined = replace(
        session,
        participants=(*session.participants, newcomer),
        roles={**session.roles, account: newcomer.role},
    )
    event = happened(joined, "admitted" if by else "joined", by=by or account, account=account)
    told = _let_in(newcomer, "admitted") if by else _let_in(newcomer)
    effects: tuple[Effect, ...] = (Announce(), told)
    return unobserved(Decision(joined, (event,), (*effects, ShowWaiting()) if by else effects))


def _wait(session: Session, join: Join, now_ms: int) -> Decision:
    if len(session.waiting) >= MAX_WAITING:
        raise ProtocolError(errors.SESSION_FULL)
    silent = session.denials.get(join.account, 0) >= RINGING_DENIALS
    waiting = Waiting(join.account, join.role, (join.connection,), since_ms=now_ms, silent=silent)
    waits = replace(
        session, waiting=(*session.waiting, waiting), waited_ms=_first(session, join.account, now_ms)
    )
    told = Tell(join.account, "waiting", waiting.connections)
    event = happened(waits, "waiting", by=join.account, account=join.account)
    return Decision(waits, (event,), (told,) if silent else (told, ShowWaiting()))


def _check_entry(session: Session, account: str, role: SessionRole) -> None:
    """Whether someone new may come in, or wait to."""
    if missing := consents.missing(session, account, role):
        named = ", ".join(f"{term.kind} {term.version}" for term in missing)
        raise ProtocolError(errors.CONSENT_REQUIRED, f"consents are missing: {named}")
    if role == "observer" and not consents.observable(session):
        raise ProtocolError(errors.NOT_OBSERVABLE)
    if len(session.participants) >= session.terms.capacity:
        raise ProtocolError(errors.SESSION_FULL)
    if len(session.segments) >= MAX_SEGMENTS:
        raise ProtocolError(errors.TOO_MANY_CHANGES)


def unobserved(decision: Decision) -> Decision:
    """Nobody observes who has not consented: then the observers go."""
    for one in decision.session.participants:
        if one.role == "observer" and not consents.observable(decision.session):
            decision = decision.then(gone(decision.session, one.account))
    return decision


def _begun(decision: Decision, now_ms: int) -> Decision:
    """The session is live once a therapist and a client are both there, not only bridged."""
    session = decision.session
    connected = (one.role for one in session.participants if one.connections)
    if session.state == "open" and segments.has_both(connected):
        return decision.then(step(session, "both_present", now_ms))
    return decision


def _therapist_inside(session: Session, account: str) -> None:
    if inside(session, account).role != "therapist":
        raise ProtocolError(errors.FORBIDDEN, "only a therapist lets people in, or not")


def _waiter(session: Session, account: str) -> Waiting:
    waiter = session.waiter(account)
    if waiter is None:
        raise ProtocolError(errors.NOT_WAITING)
    return waiter


def _let_in(one: Participant, status: Literal["admitted"] | None = None) -> Tell:
    return Tell(one.account, "inside", one.connections, status)


def _first(session: Session, account: str, now_ms: int) -> dict[str, int]:
    return {account: now_ms} | session.waited_ms


def _connected(place: PlaceT, connection: str) -> PlaceT:
    if connection in place.connections:
        return place
    return replace(place, connections=(*place.connections, connection), absent_ms=None)


def _with_connections(
    session: Session, place: Participant, connections: tuple[str, ...], absent_ms: int | None
) -> Session:
    changed = replace(place, connections=connections, absent_ms=absent_ms)
    if isinstance(changed, Waiting):
        return replace(session, waiting=_with(session.waiting, changed))
    return replace(session, participants=_with(session.participants, changed))


def _with(places: tuple[PlaceT, ...], changed: PlaceT) -> tuple[PlaceT, ...]:
    return tuple(changed if one.account == changed.account else one for one in places)


def _less(places: tuple[PlaceT, ...], account: str) -> tuple[PlaceT, ...]:
    return tuple(one for one in places if one.account != account)

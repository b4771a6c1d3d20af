"""What a command or the clock does to a session: pure functions from a session to the next one.

    schedule(...)                     a new session
    advance(session, until_ms)        every deadline that is due by then, in order
    decide(session, command, now_ms)  the same, then the command

Each returns a :class:`~signaling.sessions.commands.Decision`: the session after it, what to write into the
room's log, and what the shell has to do once that is committed. Deadlines are not set by hand anywhere:
:func:`deadlines` derives them from the session, so a stored deadline that no longer follows from its session
is known to be stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias, assert_never

import msgspec

from protocol import errors
from protocol.errors import ProtocolError
from protocol.events import SessionBody
from signaling.sessions.commands import (
    Agreed,
    Announce,
    CloseMedia,
    Command,
    Decision,
    Drop,
    Effect,
    End,
    Join,
    Leave,
    Policy,
    Rehost,
    RemoveMedia,
    Stop,
)
from signaling.sessions.session import Participant, Session
from signaling.sessions.states import TRANSITIONS, Change, Trigger

Kind: TypeAlias = Literal["window_opened", "agreed_end", "cap", "absence"]
"""What a deadline is for."""


def schedule(agreed: Agreed, policy: Policy, now_ms: int) -> Decision:
    """A new session. :exc:`ProtocolError` ``session_times`` if its times are not possible."""
    _check_times(agreed, policy, now_ms)
    agreed_end_ms = agreed.starts_ms + agreed.length_ms
    session = Session(
        id=agreed.session,
        room=agreed.room,
        state="scheduled",
        modality=agreed.modality,
        starts_ms=agreed.starts_ms,
        opens_ms=max(0, agreed.starts_ms - policy.join_window_ms),
        agreed_end_ms=agreed_end_ms,
        cap_ms=agreed_end_ms + policy.overrun_ms,
        grace_ms=policy.grace_ms,
        capacity=policy.capacity,
        invited=agreed.invited,
    )
    return Decision(session, (_event(session, "scheduled"),), (Announce(),)).then(advance(session, now_ms))


def deadlines(session: Session) -> Mapping[Kind, int]:
    """What the clock has to do with the session as it stands, and when each is due."""
    match session.state:
        case "scheduled":
            due: dict[Kind, int] = {"window_opened": session.opens_ms}
        case "open":
            due = {"agreed_end": session.agreed_end_ms}
        case "live" if session.agreed_end_ms < session.cap_ms:
            due = {"agreed_end": session.agreed_end_ms}
        case "live" | "overrun":
            due = {"cap": session.cap_ms}
        case "ended" | "cancelled" | "no_show":
            return {}
        case _:
            assert_never(session.state)
    absences = [one.absent_ms + session.grace_ms for one in session.participants if one.absent_ms is not None]
    return due | {"absence": min(absences)} if absences else due


def advance(session: Session, until_ms: int) -> Decision:
    """Everything the clock has to do up to and including ``until_ms``, each at the time it was due."""
    decision = Decision(session)
    while due := deadlines(decision.session):
        kind, due_ms = min(due.items(), key=lambda item: (item[1], item[0]))
        if due_ms > until_ms:
            break
        decision = decision.then(_elapsed(decision.session, kind, due_ms))
    return decision


def decide(session: Session, command: Command, now_ms: int) -> Decision:
    """What a command does, after everything that was due before it.

    Raises :exc:`ProtocolError` when the command is not allowed as the session stands. A command that
    changes nothing gives back the session it was given.
    """
    before = advance(session, now_ms)
    current = before.session
    match command:
        case Join():
            after = _join(current, command, now_ms)
        case Leave():
            after = _leave(current, command)
        case Drop():
            after = _drop(current, command, now_ms)
        case End():
            after = _step(_running(current, now_ms), "ended_by_therapist", now_ms, account=command.account)
        case Stop():
            after = Decision(current) if current.over else _step(current, "stopped_by_operator", now_ms)
        case Rehost():
            running = _running(current, now_ms)
            after = Decision(msgspec.structs.replace(running, generation=running.generation + 1))
        case _:
            assert_never(command)
    return before.then(after)


def _check_times(agreed: Agreed, policy: Policy, now_ms: int) -> None:
    shortest, longest = policy.min_length_ms, policy.max_length_ms
    if not shortest <= agreed.length_ms <= longest:
        problem = f"a session is {shortest / 60_000:g} to {longest / 60_000:g} minutes long"
    elif agreed.starts_ms < now_ms - policy.late_start_ms:
        problem = "the start lies in the past"
    elif agreed.starts_ms > now_ms + policy.max_ahead_ms:
        problem = f"the start lies more than {policy.max_ahead_ms // 86_400_000} days ahead"
    else:
        return
    raise ProtocolError(errors.SESSION_TIMES, problem)


def _elapsed(session: Session, kind: Kind, due_ms: int) -> Decision:
    if kind == "absence":
        return _expire_absences(session, due_ms)
    return _step(session, kind, due_ms, due_ms=due_ms)


def _step(
    session: Session, trigger: Trigger, at_ms: int, *, account: str | None = None, due_ms: int | None = None
) -> Decision:
    """One move along the table."""
    step = TRANSITIONS[session.state][trigger]
    moved = msgspec.structs.replace(session, state=step.to)
    effects: tuple[Effect, ...] = (Announce(),)
    if moved.over:
        moved = msgspec.structs.replace(moved, ended_ms=at_ms, reason=step.reason, participants=())
        effects = (CloseMedia(), Announce())
    elif step.to == "live":
        moved = msgspec.structs.replace(moved, live_ms=at_ms)
    return Decision(moved, (_event(moved, step.change, account=account, due_ms=due_ms),), effects)


def _join(session: Session, join: Join, now_ms: int) -> Decision:
    _running(session, now_ms)
    known = session.participant(join.account)
    if known is not None and join.connection in known.connections:
        return Decision(session, effects=(Announce(),))
    if known is None and len(session.participants) >= session.capacity:
        raise ProtocolError(errors.SESSION_FULL)
    held = known.connections if known else ()
    joined = _put(session, Participant(join.account, join.role, (*held, join.connection)))
    events = () if known else (_event(joined, "joined", account=join.account),)
    decision = Decision(joined, events, (Announce(),))
    if joined.state == "open" and _both_connected(joined):
        return decision.then(_step(joined, "both_present", now_ms))
    return decision


def _leave(session: Session, leave: Leave) -> Decision:
    known = session.participant(leave.account)
    if known is None or (leave.connection is not None and leave.connection not in known.connections):
        return Decision(session)
    rest = tuple(one for one in known.connections if leave.connection is not None and one != leave.connection)
    if rest:
        return Decision(_put(session, msgspec.structs.replace(known, connections=rest)))
    return _gone(session, leave.account)


def _drop(session: Session, drop: Drop, now_ms: int) -> Decision:
    for one in session.participants:
        if one.connections and drop.connections.intersection(one.connections):
            rest = tuple(connection for connection in one.connections if connection not in drop.connections)
            absent_ms = None if rest else now_ms
            session = _put(session, msgspec.structs.replace(one, connections=rest, absent_ms=absent_ms))
    return Decision(session)


def _expire_absences(session: Session, due_ms: int) -> Decision:
    decision = Decision(session)
    for one in session.participants:
        if one.absent_ms is not None and one.absent_ms + session.grace_ms <= due_ms:
            decision = decision.then(_gone(decision.session, one.account, due_ms))
    return decision


def _gone(session: Session, account: str, due_ms: int | None = None) -> Decision:
    rest = tuple(one for one in session.participants if one.account != account)
    left = msgspec.structs.replace(session, participants=rest)
    event = _event(left, "left", account=account, due_ms=due_ms)
    return Decision(left, (event,), (RemoveMedia(account), Announce()))


def _running(session: Session, now_ms: int) -> Session:
    """The session, if it can be joined now."""
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


def _put(session: Session, participant: Participant) -> Session:
    """The session with this participant in the place the account had, or else at the end."""
    accounts = session.present
    if participant.account in accounts:
        changed = tuple(
            participant if one.account == participant.account else one for one in session.participants
        )
    else:
        changed = (*session.participants, participant)
    return msgspec.structs.replace(session, participants=changed)


def _both_connected(session: Session) -> bool:
    roles = {one.role for one in session.participants if one.connections}
    return {"therapist", "client"} <= roles


def _event(
    session: Session,
    change: Change | Literal["scheduled", "joined", "left"],
    *,
    account: str | None = None,
    due_ms: int | None = None,
) -> SessionBody:
    return SessionBody(
        session=session.id,
        change=change,
        state=session.state,
        modality=session.modality,
        starts_ms=session.starts_ms,
        ends_ms=session.agreed_end_ms,
        account=account,
        reason=session.reason,
        due_ms=due_ms,
    )

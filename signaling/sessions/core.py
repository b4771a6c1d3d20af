"""What a command or the clock does to a session: pure functions from a session to the next one.

    schedule(...)                     a new session
    advance(session, until_ms)        every deadline that is due by then, in order
    decide(session, command, now_ms)  the same, then the command, then what it made due

Each returns a :class:`~signaling.sessions.commands.Decision`: the session after it, what happened, and what
the shell has to do once that is committed. The rules are in :mod:`~signaling.sessions.entrance` (who comes
and goes), :mod:`~signaling.sessions.hours` (when it is and ends) and :mod:`~signaling.sessions.talk` (how
people talk); here is what holds for all of them: time goes on, and segments follow from who is present.
"""

from __future__ import annotations

from dataclasses import replace as amended
from typing import assert_never

from msgspec.structs import replace

from signaling.sessions import entrance, hours, segments, talk
from signaling.sessions.commands import (
    Admit,
    Agreed,
    Announce,
    Answer,
    Cancel,
    ChangeModality,
    Command,
    Consent,
    Decision,
    Deny,
    Drop,
    End,
    Extend,
    Join,
    Leave,
    Mark,
    Move,
    Policy,
    Propose,
    Rehost,
    SayLate,
    SendBack,
    Stop,
)
from signaling.sessions.hours import ORDER, deadlines
from signaling.sessions.moves import happened, running, step
from signaling.sessions.session import Session


def schedule(agreed: Agreed, policy: Policy, now_ms: int) -> Decision:
    """A new session. :exc:`ProtocolError` ``session_times`` if its times are not possible."""
    hours.check_times(agreed.starts_ms, agreed.length_ms, policy.limits, now_ms)
    session = Session(
        id=agreed.session,
        room=agreed.room,
        state="scheduled",
        modality=agreed.modality,
        agreed_modality=agreed.modality,
        starts_ms=agreed.starts_ms,
        length_ms=agreed.length_ms,
        terms=policy.terms.with_wishes(agreed.wishes),
        invited=agreed.invited,
        attendees=agreed.attendees,
        zones=agreed.zones,
        revised_ms=now_ms,
        changed_ms=now_ms,
    )
    return Decision(session, (happened(session, "scheduled"),), (Announce(),)).then(advance(session, now_ms))


def advance(session: Session, until_ms: int) -> Decision:
    """Everything the clock has to do up to and including ``until_ms``, each at the time it was due."""
    decision = Decision(session)
    while due := deadlines(decision.session):
        kind = min(due, key=lambda kind: (due[kind], ORDER.index(kind)))
        if due[kind] > until_ms:
            break
        before = decision.session
        at_ms = max(due[kind], before.changed_ms)
        after = hours.elapsed(before, kind, due[kind], at_ms)
        decision = decision.then(_completed(before, after, at_ms, due[kind]))
    return decision


def decide(session: Session, command: Command, now_ms: int) -> Decision:
    """What a command does, after everything that was due before it.

    Raises :exc:`ProtocolError` when the command is not allowed as the session stands. A command that
    changes nothing gives back the session it was given.
    """
    now_ms = max(now_ms, session.changed_ms)
    before = advance(session, now_ms)
    after = _completed(before.session, _decided(before.session, command, now_ms), now_ms)
    return before.then(after).then(advance(after.session, now_ms))


def lost(session: Session, connections: frozenset[str], since_ms: int) -> Decision:
    """These connections have been cut off since ``since_ms``, which is only known now: their node died.

    Unlike a :class:`Drop`, which is known when it happens, it comes before what has fallen due since then.
    What was due by then comes first, at its own time, even if the server did not live to carry it out.
    """
    at_ms = max(since_ms, session.changed_ms)
    before = advance(session, at_ms)
    dropped = entrance.drop(before.session, Drop(connections), at_ms)
    return before.then(_completed(before.session, dropped, at_ms))


def _decided(session: Session, command: Command, now_ms: int) -> Decision:  # noqa: C901 - one row for each
    match command:
        case Join():
            return entrance.join(session, command, now_ms)
        case Leave():
            return entrance.leave(session, command)
        case Drop():
            return entrance.drop(session, command, now_ms)
        case Admit():
            return entrance.admit(session, command, now_ms)
        case Deny():
            return entrance.deny(session, command, now_ms)
        case SendBack():
            return entrance.send_back(session, command, now_ms)
        case Consent():
            return talk.consent(session, command, now_ms)
        case Move():
            return hours.move(session, command, now_ms)
        case Extend():
            return hours.extend(session, command, now_ms)
        case Mark():
            return hours.mark(session, command, now_ms)
        case SayLate():
            return hours.say_late(session, command, now_ms)
        case End(account):
            return step(running(session, now_ms), "ended_by_therapist", now_ms, by=account)
        case Cancel():
            return hours.cancel(session, command, now_ms)
        case Stop():
            return Decision(session) if session.over else step(session, "stopped_by_operator", now_ms)
        case ChangeModality():
            return talk.change_modality(session, command, now_ms)
        case Propose():
            return talk.propose(session, command, now_ms)
        case Answer():
            return talk.answer(session, command, now_ms)
        case Rehost(host, generation):
            carried = running(session, now_ms)
            if carried.generation != generation:
                return Decision(carried)
            return Decision(replace(carried, host=host, generation=generation + 1))
        case _:
            assert_never(command)


def _completed(before: Session, decision: Decision, at_ms: int, due_ms: int | None = None) -> Decision:
    """A decision with what follows from every change: an end to empty overruns, segments, the time of it.

    The revision goes up once for each change of what calendars show.
    """
    decision = decision.then(hours.emptied(decision.session, at_ms, due_ms))
    session = decision.session
    if session == before:
        return decision
    recorded = segments.record(session.segments, session.present, session.modality, at_ms)
    session = replace(session, segments=recorded, changed_ms=at_ms)
    if session.timing != before.timing:
        session = replace(session, revision=session.revision + 1, revised_ms=at_ms)
    return amended(decision, session=session)

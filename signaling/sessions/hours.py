"""When a session is, how much of it is left, and what moves its end: deadlines, cues, extension, urgent hold.

Part of :mod:`signaling.sessions.core`: pure functions from a session to the next one. Deadlines are not set
by hand anywhere: :func:`deadlines` derives them from the session, so a stored deadline that no longer follows
from its session is known to be stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias, assert_never

from msgspec.structs import replace

from protocol import errors
from protocol.errors import ProtocolError
from protocol.sessions import Lateness
from signaling.sessions import entrance
from signaling.sessions.commands import (
    Announce,
    Cancel,
    Decision,
    Extend,
    GiveCue,
    Limits,
    Mark,
    Move,
    SayLate,
    TellLate,
)
from signaling.sessions.moves import happened, inside, running, step
from signaling.sessions.session import Extension, GivenCue, Session

Kind: TypeAlias = Literal["window_opened", "cue", "agreed_end", "cap", "absence"]
"""What a deadline is for."""

ORDER: Final[tuple[Kind, ...]] = ("window_opened", "cue", "absence", "agreed_end", "cap")
"""What comes first of what is due at the same instant: a cue is given before the end it announces."""

LATE_NOTICE_MS = 3_600_000
"""How long before the join window somebody can say to be running late."""


def check_times(starts_ms: int, length_ms: int, limits: Limits, now_ms: int) -> None:
    """:exc:`ProtocolError` ``session_times`` if a session cannot be then, or so long."""
    shortest, longest = limits.min_length_ms, limits.max_length_ms
    if not shortest <= length_ms <= longest:
        problem = f"a session is {shortest / 60_000:g} to {longest / 60_000:g} minutes long"
    elif starts_ms < now_ms - limits.late_start_ms:
        problem = "the start lies in the past"
    elif starts_ms > now_ms + limits.max_ahead_ms:
        problem = f"the start lies more than {limits.max_ahead_ms // 86_400_000} days ahead"
    else:
        return
    raise ProtocolError(errors.SESSION_TIMES, problem)


# --- The clock ---


def deadlines(session: Session) -> Mapping[Kind, int]:
    """What the clock has to do with the session as it stands, and when each is due."""
    due = _absence(session) | _next_cue(session)
    match session.state:
        case "scheduled":
            due["window_opened"] = session.opens_ms
        case "open" if not session.urgent:
            due["agreed_end"] = session.agreed_end_ms
        case "live" if session.terms.overrun_ms:
            due["agreed_end"] = session.agreed_end_ms
        case "live" | "overrun" if not session.urgent:
            due["cap"] = session.cap_ms
        case "ended" | "cancelled" | "no_show":
            return {}
        case "open" | "live" | "overrun":
            pass  # urgent: it does not end by itself
        case _:
            assert_never(session.state)
    return due


def elapsed(session: Session, kind: Kind, due_ms: int, at_ms: int) -> Decision:
    """Carry out a deadline that was due at ``due_ms``; what follows from it takes effect at ``at_ms``."""
    match kind:
        case "absence":
            return entrance.expire_absences(session, due_ms)
        case "cue":
            return _give_cue(session)
        case "agreed_end" | "cap" if session.state == "live" and not (session.participants or session.urgent):
            return step(session, "agreed_end_empty", at_ms, due_ms=due_ms)
        case _:
            return step(session, kind, at_ms, due_ms=due_ms)


def emptied(session: Session, at_ms: int, due_ms: int | None) -> Decision:
    """An overrun in which nobody is any more has no reason to go on; a cap that has passed comes first."""
    left_alone = session.state == "overrun" and not session.participants and not session.urgent
    if left_alone and at_ms < session.cap_ms:
        return step(session, "emptied", at_ms, due_ms=due_ms)
    return Decision(session)


def _absence(session: Session) -> dict[Kind, int]:
    places = (*session.participants, *session.waiting)
    ends = [one.absent_ms + session.terms.grace_ms for one in places if one.absent_ms is not None]
    return {"absence": min(ends)} if ends else {}


def _next_cue(session: Session) -> dict[Kind, int]:
    cue = min(_cues(session), key=lambda cue: cue.due_ms, default=None)
    return {"cue": cue.due_ms} if cue else {}


def _cues(session: Session) -> Iterator[GivenCue]:
    """The cues that are still to come, as the session stands."""
    if session.state not in {"live", "overrun"} or session.terms.cues_to == "nobody":
        return
    for left_ms in session.terms.cues_ms:
        if (due_ms := session.agreed_end_ms - left_ms) > session.cued_ms:
            yield GivenCue("agreed_end", left_ms, due_ms)
    for left_ms in session.terms.cap_cues_ms if not session.urgent else ():
        due_ms = session.cap_ms - left_ms
        if due_ms > max(session.cued_ms, session.agreed_end_ms):
            yield GivenCue("cap", left_ms, due_ms)


def _give_cue(session: Session) -> Decision:
    cue = min(_cues(session), key=lambda cue: cue.due_ms)
    given = replace(session, cues=(*session.cues, cue), cued_ms=cue.due_ms)
    return Decision(given, (), (GiveCue(cue),))


# --- What people do about it ---


def extend(session: Session, extend: Extend, now_ms: int) -> Decision:
    """Move the agreed end. The same key once more changes nothing; for another span it is ``mid_differs``."""
    for known in session.extensions:
        if known.key == extend.key:
            if (known.span_ms, known.account) != (extend.span_ms, extend.by):
                raise ProtocolError(errors.MID_DIFFERS)
            return Decision(session)
    running(session, now_ms)
    length_ms = session.agreed_end_ms - session.starts_ms + extend.span_ms
    if length_ms > extend.max_length_ms:
        longest = extend.max_length_ms / 60_000
        raise ProtocolError(errors.SESSION_TIMES, f"a session is at most {longest:g} minutes long")
    extension = Extension(extend.key, extend.span_ms, extend.by, now_ms)
    # What would have been due by now for the new end was not missed: the end was another one then.
    extensions = (*session.extensions, extension)
    longer = replace(session, extensions=extensions, cued_ms=max(session.cued_ms, now_ms))
    return step(longer, "extended", now_ms, by=extend.by, minutes=extend.span_ms // 60_000)


def mark(session: Session, mark: Mark, now_ms: int) -> Decision:
    """Mark the session as urgent, or clear the mark: then what it held up is due at once."""
    running(session, now_ms)
    if mark.role != "therapist":
        inside(session, mark.by)
        if not mark.urgent:
            raise ProtocolError(errors.FORBIDDEN, "only a therapist clears the mark")
    if session.urgent == mark.urgent:
        return Decision(session)
    marked = replace(session, urgent=mark.urgent, cued_ms=max(session.cued_ms, now_ms))
    event = happened(marked, "urgent" if mark.urgent else "urgent_cleared", by=mark.by)
    return Decision(marked, (event,), (Announce(),))


def say_late(session: Session, late: SayLate, now_ms: int) -> Decision:
    """Someone is running late. Saying the same again changes nothing."""
    if session.over:
        raise ProtocolError(errors.SESSION_OVER)
    if now_ms < session.opens_ms - LATE_NOTICE_MS:
        running(session, now_ms)
    known = session.late.get(late.account)
    if late.minutes == (known.minutes if known else 0):
        return Decision(session)
    said = {**session.late, late.account: Lateness(late.role, late.minutes, now_ms)}
    noted = replace(session, late=said)
    event = happened(noted, "late", by=late.account, minutes=late.minutes)
    return Decision(noted, (event,), (TellLate(late.account, late.role, late.minutes),))


def move(session: Session, move: Move, now_ms: int) -> Decision:
    """Hold the session at another time. Whoever has come for the old one is out, and comes again."""
    if session.over:
        raise ProtocolError(errors.SESSION_OVER)
    if session.state not in {"scheduled", "open"}:
        raise ProtocolError(errors.SESSION_BEGUN)
    if (move.starts_ms, move.length_ms) == (session.starts_ms, session.length_ms) and not session.extensions:
        return Decision(session)
    check_times(move.starts_ms, move.length_ms, move.limits, now_ms)
    decision = Decision(session)
    for account in (*session.present, *(one.account for one in session.waiting)):
        decision = decision.then(entrance.gone(decision.session, account))
    elsewhen = replace(
        decision.session,
        starts_ms=move.starts_ms,
        length_ms=move.length_ms,
        extensions=(),
        urgent=False,
        late={},
    )
    return decision.then(step(elsewhen, "moved", now_ms, by=move.by))


def cancel(session: Session, cancel: Cancel, now_ms: int) -> Decision:
    """Cancel the session. One that is cancelled stays so; one that has begun is ended instead."""
    if session.state == "cancelled":
        return Decision(session)
    if session.over:
        raise ProtocolError(errors.SESSION_OVER)
    if session.state not in {"scheduled", "open"}:
        raise ProtocolError(errors.SESSION_BEGUN)
    return step(session, "stopped_by_operator", now_ms, by=cancel.by)

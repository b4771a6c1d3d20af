"""What a session is for billing: everything there is to say about it, as one value."""

from __future__ import annotations

from msgspec import Struct

from protocol.fields import EndReason, Modality, SessionRole, SessionState
from signaling.sessions.segments import Segment
from signaling.sessions.session import ConsentRecord, Session
from signaling.usage.absence import Verdict, verdict
from signaling.usage.codes import Suggestion, suggested
from signaling.usage.minutes import Attendance, attendances, role_ms, together_ms, whole_minutes


class Absence(Struct, frozen=True):
    """A session that has not become live: is that evidence of a client who did not come?"""

    verdict: Verdict
    waited_ms: dict[str, int]
    """Who was in the waiting room, and since when."""


class UsageRecord(Struct, frozen=True):
    """The usage of one session. Instants and spans are milliseconds."""

    session: str
    room: str
    final: bool
    """False while the session may still change: then all is as of now, and nothing is suggested."""
    state: SessionState
    reason: EndReason | None
    starts_ms: int
    length_ms: int
    extended_ms: int
    agreed_modality: Modality
    live_ms: int | None
    ended_ms: int | None
    together_ms: dict[Modality, int]
    """For how long a therapist and a client were present together, by modality."""
    both_ms: int
    """The same for all modalities."""
    minutes: int
    """Whole minutes of it."""
    therapist_ms: int
    """For how long a therapist was present, with or without anybody else."""
    client_ms: int
    segments: tuple[Segment, ...]
    attendances: tuple[Attendance, ...]
    suggestion: Suggestion | None
    absence: Absence | None
    consents: tuple[ConsentRecord, ...]

    def accounts(self, role: SessionRole) -> tuple[str, ...]:
        """Who was in the session in this role, in the order of their coming."""
        return tuple(one.account for one in self.attendances if one.role == role)


def usage_of(session: Session, now_ms: int) -> UsageRecord:
    """The usage of a session as it stands at ``now_ms``."""
    until_ms = max(now_ms, session.changed_ms) if session.ended_ms is None else session.ended_ms
    roles = session.roles
    spans_ms = together_ms(session.segments, roles, until_ms)
    clients = sum(role == "client" for role in roles.values())
    both_ms = sum(spans_ms.values())
    return UsageRecord(
        session=session.id,
        room=session.room,
        final=session.over,
        state=session.state,
        reason=session.reason,
        starts_ms=session.starts_ms,
        length_ms=session.length_ms,
        extended_ms=session.agreed_end_ms - session.starts_ms - session.length_ms,
        agreed_modality=session.agreed_modality,
        live_ms=session.live_ms,
        ended_ms=session.ended_ms,
        together_ms=spans_ms,
        both_ms=both_ms,
        minutes=whole_minutes(both_ms),
        therapist_ms=role_ms(session.segments, roles, "therapist", until_ms),
        client_ms=role_ms(session.segments, roles, "client", until_ms),
        segments=session.segments,
        attendances=attendances(session.segments, roles, until_ms),
        suggestion=suggested(spans_ms, clients=clients) if session.over else None,
        absence=_absence(session, until_ms) if session.live_ms is None else None,
        consents=session.consents,
    )


def concerns(session: Session, account: str, rooms: frozenset[str]) -> bool:
    """Whether a session is one of this account's, which is a member of ``rooms``.

    It is if the account was in it or in its waiting room, or was to come: by name, or with all members.
    """
    if account in session.roles or account in session.waited_ms or session.attendee(account):
        return True
    return account in session.invited if session.invited else session.room in rooms


def _absence(session: Session, until_ms: int) -> Absence:
    # Nobody says as what someone waited. Who was invited to this session alone is not its client; anybody
    # else may have been: in doubt there is no evidence against them.
    others = {one.account for one in session.attendees}
    waited = bool(session.waited_ms.keys() - others - session.roles.keys())
    judged = verdict(
        session.segments, session.roles, waited, session.starts_ms, session.terms.grace_ms, until_ms
    )
    return Absence(judged, session.waited_ms)

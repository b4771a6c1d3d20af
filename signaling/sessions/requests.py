"""What people's requests about a session mean to it: requests to commands. Pure.

Coming and going is not here: it is bound to a connection, which the service looks after.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import SessionRole
from protocol.sessions import (
    ConsentTerm,
    SessionAccept,
    SessionAdmit,
    SessionConsent,
    SessionDecline,
    SessionDeny,
    SessionEnd,
    SessionExtend,
    SessionLate,
    SessionModality,
    SessionPropose,
    SessionSendBack,
    SessionUrgent,
)
from signaling.sessions.commands import (
    Admit,
    Answer,
    ChangeModality,
    Command,
    Consent,
    Deny,
    End,
    Extend,
    Limits,
    Mark,
    Propose,
    SayLate,
    SendBack,
)

TherapistRequest: TypeAlias = SessionAdmit | SessionDeny | SessionSendBack | SessionExtend | SessionEnd
"""What only therapists of the room may ask."""

AnyonesRequest: TypeAlias = (
    SessionUrgent
    | SessionLate
    | SessionModality
    | SessionPropose
    | SessionAccept
    | SessionDecline
    | SessionConsent
)

MINUTE_MS: Final = 60_000


def command_of(
    request: TherapistRequest | AnyonesRequest, account: str, role: SessionRole, limits: Limits
) -> Command:
    """What someone asks for who is invited in this role; ``forbidden`` if it is not for them to ask."""
    match request:
        case SessionAdmit() | SessionDeny() | SessionSendBack() | SessionExtend() | SessionEnd():
            if role != "therapist":
                raise ProtocolError(errors.FORBIDDEN, "only a therapist of the room does that")
            return _therapists(request, account, limits)
        case SessionUrgent(active=active):
            return Mark(account, role, active)
        case SessionLate(minutes=minutes):
            return SayLate(account, role, minutes)
        case SessionModality(modality=modality):
            return ChangeModality(account, modality)
        case SessionPropose(modality=modality):
            return Propose(account, modality)
        case SessionAccept(modality=modality):
            return Answer(account, modality, accepted=True)
        case SessionDecline(modality=modality):
            return Answer(account, modality, accepted=False)
        case SessionConsent(kind=kind, version=version, given=given):
            return Consent(account, role, ConsentTerm(kind, version), given)


def _therapists(request: TherapistRequest, account: str, limits: Limits) -> Command:
    match request:
        case SessionAdmit(accounts=accounts):
            return Admit(account, accounts)
        case SessionDeny(account=denied):
            return Deny(account, denied)
        case SessionSendBack(account=sent):
            return SendBack(account, sent)
        case SessionExtend(minutes=minutes, mid=mid):
            return Extend(account, mid, minutes * MINUTE_MS, limits.max_length_ms)
        case SessionEnd():
            return End(account)

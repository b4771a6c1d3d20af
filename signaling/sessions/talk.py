"""How people talk in a session: its modality, proposals of another one, consents.

Part of :mod:`signaling.sessions.core`: pure functions from a session to the next one.
"""

from __future__ import annotations

from dataclasses import replace as amended

from msgspec.structs import replace

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import Modality
from protocol.sessions import Proposal
from signaling.sessions import consents
from signaling.sessions.commands import (
    Announce,
    Answer,
    ChangeModality,
    Consent,
    CutMedia,
    Decision,
    Propose,
    ShowConsents,
)
from signaling.sessions.entrance import MAX_SEGMENTS, unobserved
from signaling.sessions.moves import happened, inside, running
from signaling.sessions.session import ConsentRecord, Session


def change_modality(session: Session, change: ChangeModality, now_ms: int) -> Decision:
    """Talk in another way from now on, if one of the two sides says so."""
    _side(running(session, now_ms), change.by)
    return _switched(session, change.by, change.modality)


def propose(session: Session, propose: Propose, now_ms: int) -> Decision:
    """Propose another way; an earlier proposal is forgotten."""
    _side(running(session, now_ms), propose.by)
    proposal = Proposal(propose.modality, propose.by)
    if session.proposal == proposal or session.modality == propose.modality:
        return Decision(session)
    proposed = replace(session, proposal=proposal)
    return Decision(proposed, (happened(proposed, "proposed", by=propose.by),), (Announce(),))


def answer(session: Session, answer: Answer, now_ms: int) -> Decision:
    """Accept what someone else has proposed, turn it down, or take one's own proposal back."""
    _side(running(session, now_ms), answer.by)
    proposal = session.proposal
    own = proposal is not None and proposal.account == answer.by
    if proposal is None or proposal.modality != answer.modality or (own and answer.accepted):
        raise ProtocolError(errors.NO_SUCH_PROPOSAL)
    if answer.accepted:
        return _switched(session, answer.by, answer.modality)
    declined = replace(session, proposal=None)
    return Decision(declined, (happened(declined, "declined", by=answer.by),), (Announce(),))


def consent(session: Session, consent: Consent, now_ms: int) -> Decision:
    """Note that a consent was given or withdrawn. Saying the same again is no new record."""
    if session.over:
        raise ProtocolError(errors.SESSION_OVER)
    if consent.term not in consents.terms_for(session, consent.role):
        raise ProtocolError(errors.NO_SUCH_CONSENT)
    if consents.given(session.consents, consent.account, consent.term) == consent.given:
        return Decision(session)
    if sum(one.account == consent.account for one in session.consents) >= consents.MAX_RECORDS_OF_ACCOUNT:
        raise ProtocolError(errors.TOO_MANY_CHANGES)
    kind, version = consent.term.kind, consent.term.version
    record = ConsentRecord(consent.account, kind, version, consent.given, now_ms)
    noted = replace(session, consents=(*session.consents, record))
    event = happened(noted, "consented" if consent.given else "consent_withdrawn", by=consent.account)
    changed = consents.withdrawn(noted) != consents.withdrawn(session)
    shown = (ShowConsents(),) if changed else ()
    return unobserved(Decision(noted, (amended(event, term=consent.term),), shown))


def _switched(session: Session, by: str, modality: Modality) -> Decision:
    if session.modality == modality:
        return Decision(session)
    if len(session.segments) >= MAX_SEGMENTS:
        raise ProtocolError(errors.TOO_MANY_CHANGES)
    switched = replace(session, modality=modality, proposal=None)
    event = happened(switched, "modality", by=by)
    return Decision(switched, (event,), (CutMedia(), Announce()))


def _side(session: Session, account: str) -> None:
    """Only the two sides decide how they talk: who comes with them, or watches, does not."""
    if inside(session, account).role not in {"therapist", "client"}:
        raise ProtocolError(errors.FORBIDDEN, "the therapist and the client decide how they talk")

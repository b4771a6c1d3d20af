"""Consents that a session asks for: which are missing, and whether somebody may observe."""

from __future__ import annotations

from typing import Final

from protocol.fields import SessionRole
from protocol.sessions import ConsentTerm, Withdrawal
from signaling.sessions.session import ConsentRecord, Session

OBSERVER: Final = "observer"
"""The kind of consent without which nobody may observe. It is no condition for coming in oneself."""

OBSERVED: Final = ConsentTerm(OBSERVER, "1")
"""What is asked where somebody is to observe and the terms do not say which text."""

ASKED: Final[frozenset[SessionRole]] = frozenset({"client", "guest", "interpreter"})
"""The roles that are asked: those whom the session is about, and those who come with them."""

MAX_RECORDS_OF_ACCOUNT = 32
"""As often as someone may give and withdraw in one session."""


def asked(session: Session, account: str, role: SessionRole) -> tuple[ConsentTerm, ...]:
    """What the account is asked to consent to and has not, as the session stands."""
    return tuple(term for term in terms_for(session, role) if not given(session.consents, account, term))


def agreed(session: Session, account: str, role: SessionRole) -> tuple[ConsentTerm, ...]:
    """What the account is asked to consent to and has, as the session stands."""
    return tuple(term for term in terms_for(session, role) if given(session.consents, account, term))


def missing(session: Session, account: str, role: SessionRole) -> tuple[ConsentTerm, ...]:
    """What the account has to consent to before it comes in."""
    return tuple(term for term in asked(session, account, role) if term.kind != OBSERVER)


def terms_for(session: Session, role: SessionRole) -> tuple[ConsentTerm, ...]:
    """Everything that someone in this role is asked."""
    if role not in ASKED:
        return ()
    terms = session.terms.consents
    to_be_observed = any(one.role == "observer" for one in session.attendees)
    if to_be_observed and all(term.kind != OBSERVER for term in terms):
        return (*terms, OBSERVED)
    return terms


def given(records: tuple[ConsentRecord, ...], account: str, term: ConsentTerm) -> bool:
    """Whether the account's last word on this is a yes."""
    said = (
        record.given
        for record in reversed(records)
        if (record.account, record.kind, record.version) == (account, term.kind, term.version)
    )
    return next(said, False)


def withdrawn(session: Session) -> tuple[Withdrawal, ...]:
    """What somebody has consented to and withdrawn, by account."""
    last = {(one.account, one.kind, one.version): one.given for one in session.consents}
    return tuple(Withdrawal(*key) for key, stands in sorted(last.items()) if not stands)


def observable(session: Session) -> bool:
    """Whether everyone inside who is asked has consented to being observed."""
    return all(
        given(session.consents, one.account, term)
        for one in session.participants
        for term in terms_for(session, one.role)
        if term.kind == OBSERVER
    )

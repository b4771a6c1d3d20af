"""What a rating is, who may give one, and how it is stored."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import SessionRole
from relay import ratings as stored
from signaling.sessions.session import Session

Kind: TypeAlias = Literal["clinical", "technical"]
"""How the session was, or that something technical was wrong with it: never listed together."""

CLINICAL: Final = "clinical"
TECHNICAL: Final = "technical"


class Rating(Struct, frozen=True):
    """What a participant says of a session."""

    session: str
    room: str
    account: str
    role: SessionRole
    """As what the account took part."""
    score: int
    """1 to 5; 1 is the worst."""
    technical: bool
    """It is about a technical problem."""
    at_ms: int

    @property
    def kind(self) -> Kind:
        """Which of the two lists it stands in."""
        return TECHNICAL if self.technical else CLINICAL


class _Stored(Struct, frozen=True):
    """The part of a rating that the store does not look into."""

    room: str
    role: SessionRole
    score: int


def rating_of(session: Session, account: str, score: int, technical: bool, now_ms: int) -> Rating:
    """The account's rating of a session. ``session_not_over``, ``not_a_participant``."""
    if not session.over:
        raise ProtocolError(errors.SESSION_NOT_OVER)
    role = session.roles.get(account)
    if role is None:
        raise ProtocolError(errors.NOT_A_PARTICIPANT)
    return Rating(session.id, session.room, account, role, score, technical, now_ms)


def to_row(rating: Rating) -> stored.Rating:
    """The rating as the store keeps it."""
    body = msgspec.msgpack.encode(_Stored(rating.room, rating.role, rating.score))
    return stored.Rating(rating.session, rating.account, rating.kind, body, rating.at_ms)


def from_row(row: stored.Rating) -> Rating:
    """The inverse of :func:`to_row`; :exc:`msgspec.MsgspecError` if the row was not written by it."""
    body = msgspec.msgpack.decode(row.body, type=_Stored)
    technical = row.kind == TECHNICAL
    return Rating(row.session, body.room, row.account, body.role, body.score, technical, row.at_ms)

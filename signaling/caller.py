"""Who is asking: made from a connection's ``hello`` or from the token of an HTTP request.

Leaves the checking of tokens to :mod:`signaling.access`.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import Role
from protocol.tokens import Claims


@dataclass(frozen=True, slots=True)
class Caller:
    """An account in a role, with what its token allows.

    ``device`` and ``connection`` are None for a caller over HTTP.
    """

    account: str
    role: Role
    issuer: str
    claims: Claims
    device: str | None = None
    connection: str | None = None

    @classmethod
    def of(cls, claims: Claims, *, device: str | None = None, connection: str | None = None) -> Caller:
        """The caller that proven ``claims`` stand for."""
        return cls(claims.sub, claims.role, claims.iss, claims, device, connection)

    def check_room(self, room: str) -> None:
        """:exc:`ProtocolError` ``token_scope`` when the token is for another room."""
        if self.claims.room is not None and self.claims.room != room:
            raise ProtocolError(errors.TOKEN_SCOPE, "the token is for another room")

    def check_unbound(self) -> None:
        """:exc:`ProtocolError` ``token_scope`` when the token is for one room or one session."""
        if self.claims.room is not None or self.claims.session is not None:
            raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one room or session")

    def check_session(self, session: str) -> None:
        """:exc:`ProtocolError` ``token_scope`` when the token is for another session."""
        if self.claims.session is not None and self.claims.session != session:
            raise ProtocolError(errors.TOKEN_SCOPE, "the token is for another session")

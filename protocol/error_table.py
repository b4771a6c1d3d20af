"""What a row of the tables of errors and of close codes is; the rows stand in :mod:`protocol.errors`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of error.

    ``status`` is the HTTP status of the same refusal; ``temporary`` says that the same request may
    succeed later without being changed.
    """

    code: int
    name: str
    status: int
    temporary: bool
    meaning: str
    hint: str


@dataclass(frozen=True, slots=True)
class CloseCode:
    """Why the server closed a WebSocket. Codes below 4500 ask the client to come back."""

    code: int
    name: str
    meaning: str

    @property
    def reconnect(self) -> bool:
        """Whether the client should connect again by itself."""
        return self.code < 4500


KINDS: dict[str, ErrorKind] = {}
CLOSES: dict[int, CloseCode] = {}


def kind(code: int, name: str, status: int, meaning: str, hint: str, *, temporary: bool = False) -> ErrorKind:
    """A new row of the table of errors."""
    row = KINDS[name] = ErrorKind(code, name, status, temporary, meaning, hint)
    return row


def close(code: int, name: str, meaning: str) -> CloseCode:
    """A new row of the table of close codes."""
    row = CLOSES[code] = CloseCode(code, name, meaning)
    return row

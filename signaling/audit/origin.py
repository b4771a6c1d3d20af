"""On whose behalf the server is acting at this moment: who an audit entry names as its actor.

Set once where something comes in, a request or a connection's end, and read where its effect is written. What
nobody has set it for is done by the server itself, because its clock says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from signaling.caller import Caller


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts, as what, from where."""

    actor: str
    """An account; ``account@key`` for a back end; empty for the server itself and for who is not proven."""
    role: str
    source: str
    """The id of a connection, or ``http``, ``websocket``, ``clock``, ``cli``."""


CLOCK = Origin("", "server", "clock")
"""The server itself."""

_current: ContextVar[Origin] = ContextVar("audit_origin", default=CLOCK)


def current() -> Origin:
    """On whose behalf the running task acts."""
    return _current.get()


@contextmanager
def acting(origin: Origin) -> Iterator[None]:
    """Everything inside is done on behalf of ``origin``."""
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)


def origin_of(caller: Caller) -> Origin:
    """The origin that a caller is."""
    return Origin(actor_of(caller), caller.role, caller.connection or "http")


def actor_of(caller: Caller) -> str:
    """What entries call a caller. A key speaks for whatever account it likes, so theirs is part of it."""
    return f"{caller.account}@{caller.issuer}" if caller.role == "operator" else caller.account

"""What can go wrong for a client of the server.

LoadTestError              base; ``name`` is stable and is what reports count by
  Refused                  the server answered a request with an error
  Closed                   the server closed the connection and does not want it back
  Unreachable              no connection came about
  Disconnected             the connection was lost before the reply to a request that is not repeated
  TimedOut                 no answer came in time
  ServerFault              the server broke the protocol
  NotHeld                  a session did not go as a session should
"""

from __future__ import annotations

from typing import Any


class LoadTestError(Exception):
    """Base of all errors here."""

    name = "load_test_error"


class Refused(LoadTestError):
    """The server answered with an error, whose ``name`` and ``code`` stand in its table of errors."""

    def __init__(
        self,
        code: int,
        name: str,
        *,
        temporary: bool = False,
        retry_after_ms: int | None = None,
        mismatch: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"refused: {name} ({code})")
        self.code = code
        self.name = name
        self.temporary = temporary
        self.retry_after_ms = retry_after_ms
        self.mismatch = mismatch


class Closed(LoadTestError):
    """The conversation is over: closed by the server with a ``code`` from 4500 on, or by this side (1000)."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.name = f"closed_{code}"


class Unreachable(LoadTestError):
    """No WebSocket or HTTP exchange came about; ``retry`` tells whether a later attempt may do better."""

    name = "unreachable"

    def __init__(self, reason: str, *, retry: bool = True) -> None:
        super().__init__(f"unreachable: {reason}")
        self.retry = retry


class Disconnected(LoadTestError):
    """The connection was lost before the reply came; whether the request was carried out is not known."""

    name = "disconnected"


class TimedOut(LoadTestError):
    """Something awaited did not come in time."""

    def __init__(self, awaited: str) -> None:
        super().__init__(f"no {awaited} in time")
        self.name = f"timed_out_{awaited}"


class ServerFault(LoadTestError):
    """The server sent what the protocol does not allow."""

    name = "server_fault"


class NotHeld(LoadTestError):
    """All was answered, and still the session was not what it should be: ``name`` says what was missing."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.name = name

"""Which sessions a connection is in, and which rooms stand still for it while its account waits outside.

While an account waits before a session, nothing of the session's room reaches any of its connections but the
signals that are made for it: the log waits where it is and goes on without a gap when the waiting is over.
"""

from __future__ import annotations

from protocol.fields import Place


class Attendance:
    """The places of one account, as one of its connections has to know them.

    Holds the sessions that the connection has joined and those before which the account waits, no others.
    """

    __slots__ = ("_inside", "_waiting")

    def __init__(self) -> None:
        self._inside: dict[str, str] = {}  # the room of each session that this connection is in
        self._waiting: dict[str, str] = {}  # the room of each session before which the account waits

    def put(self, session: str, room: str, place: Place, *, joined: bool) -> None:
        """The account is at a place; ``joined`` if this connection is one of those it is there with."""
        self._waiting.pop(session, None)
        if joined:
            self._inside.pop(session, None)
        match place:
            case "inside" if joined:
                self._inside[session] = room
            case "waiting":
                self._inside.pop(session, None)
                self._waiting[session] = room
            case _:
                return

    def room_of(self, session: str) -> str | None:
        """The room of a session that this connection is in."""
        return self._inside.get(session)

    @property
    def waiting(self) -> bool:
        """Whether the account waits before any session."""
        return bool(self._waiting)

    def waits(self, session: str) -> bool:
        """Whether the account waits before a session."""
        return session in self._waiting

    def holds(self, room: str) -> bool:
        """Whether a room stands still."""
        return bool(self._waiting) and room in self._waiting.values()

    def reaches(self, room: str) -> bool:
        """Whether a session of this room concerns the connection, member or not."""
        return room in self._inside.values() or room in self._waiting.values()

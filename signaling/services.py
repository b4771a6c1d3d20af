"""What the door asks of the other parts of this package: the borders, by name and signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from protocol.frames import Answer, Relays
from protocol.schedule import ScheduleRequest, ScheduleResult
from protocol.sessions import SessionExtended, SessionRequest, SessionView
from signaling.audit.origin import Origin
from signaling.caller import Caller


class SessionService(Protocol):
    """Sessions, for those who are invited. Refusals are ``ProtocolError``."""

    async def perform(self, caller: Caller, request: SessionRequest) -> SessionView | SessionExtended:
        """Carry out a request about a session."""

    async def waiting(self, account: str, rooms: Sequence[str]) -> Mapping[str, str]:
        """The sessions of these rooms before which an account waits, and the room of each."""

    async def connection_closed(self, caller: Caller, *, for_good: bool = False) -> None:
        """The caller's connection is gone; ``for_good`` if its device may not come back."""


class RatingService(Protocol):
    """Ratings of sessions. Refusals are ``ProtocolError``."""

    async def rate(self, caller: Caller, session_id: str, score: int, *, technical: bool) -> None:
        """Keep what the caller says of a session that is over."""


class AppointmentService(Protocol):
    """When sessions are held. Refusals are ``ProtocolError``."""

    async def perform(self, caller: Caller, request: ScheduleRequest) -> ScheduleResult | SessionView:
        """Carry out a request about when sessions are held."""


class MediaService(Protocol):
    """The media of sessions. Refusals are ``ProtocolError``."""

    async def offer(self, caller: Caller, session_id: str, sdp: str) -> Answer:
        """The answer to a participant's offer."""

    async def relays(self, caller: Caller, session_id: str) -> Relays:
        """The TURN servers for a participant."""

    async def leave(self, caller: Caller, session_id: str) -> None:
        """Close a participant's peer connection."""


class Recorder(Protocol):
    """The audit trail, for what changes nothing: reads and refusals."""

    def note(
        self, by: Origin, action: str, kind: str, name: str, outcome: str, *, room: str = "", reason: str = ""
    ) -> None:
        """Record what was done to the object ``kind``, ``name``; at once, and never in anybody's way."""

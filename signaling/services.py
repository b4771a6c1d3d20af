"""What the door asks of the other parts of this package: the borders, by name and signature."""

from __future__ import annotations

from typing import Protocol

from protocol.frames import Answer, SessionView
from signaling.audit.origin import Origin
from signaling.caller import Caller


class SessionService(Protocol):
    """Sessions, for the members who are invited. Refusals are ``ProtocolError``."""

    async def get(self, caller: Caller, session_id: str) -> SessionView:
        """How it stands."""

    async def join(self, caller: Caller, session_id: str) -> SessionView:
        """Come in with the caller's connection."""

    async def leave(self, caller: Caller, session_id: str) -> SessionView:
        """Go out with the caller's connection."""

    async def end(self, caller: Caller, session_id: str) -> SessionView:
        """End it for everyone."""

    async def connection_closed(self, caller: Caller, *, for_good: bool = False) -> None:
        """The caller's connection is gone; ``for_good`` if its device may not come back."""


class MediaService(Protocol):
    """The media of sessions. Refusals are ``ProtocolError``."""

    async def offer(self, caller: Caller, session_id: str, sdp: str) -> Answer:
        """The answer to a participant's offer."""

    async def leave(self, caller: Caller, session_id: str) -> None:
        """Close a participant's peer connection."""


class Recorder(Protocol):
    """The audit trail, for what changes nothing: reads and refusals."""

    def note(
        self, by: Origin, action: str, kind: str, name: str, outcome: str, *, room: str = "", reason: str = ""
    ) -> None:
        """Record what was done to the object ``kind``, ``name``; at once, and never in anybody's way."""

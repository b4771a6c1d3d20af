"""Who is told to offer again: one participant of a session, or all of them, on whatever node they are."""

from __future__ import annotations

from typing import Literal, TypeAlias

import structlog

from protocol.errors import ProtocolError
from protocol.signals import Reoffer
from relay.errors import StoreError
from signaling.media.ports import ConnectionSignals, JoinedSessions
from signaling.observe.logs import failure
from signaling.sessions.session import Session

Reason: TypeAlias = Literal["roster", "worker", "modality", "disconnected"]

_log = structlog.get_logger("rapport.media")


class Reoffers:
    """Tells participants that the session's media changed."""

    def __init__(self, sessions: JoinedSessions, signals: ConnectionSignals) -> None:
        self._sessions = sessions
        self._signals = signals

    async def one(self, session_id: str, account: str, connection: str, body: Reoffer) -> None:
        """Tell the connection that offered, or, if its device has connected anew, those that came after it.

        Who is between two connections hears nothing, and offers again after it has joined again.
        """
        try:
            session = await self._sessions.find(session_id)
        except (ProtocolError, StoreError) as error:
            _log.warning("reoffer_not_told", error=failure(error))
            return
        participant = session.participant(account)
        there = participant.connections if participant else ()
        for told in (connection,) if connection in there else there:
            self._signals.signal_connection(told, session.room, body)

    def everyone(self, session: Session) -> None:
        """Tell all connections in a session that its media has begun a new life."""
        body = Reoffer(session.id, session.generation, "worker")
        for participant in session.participants:
            for connection in participant.connections:
                self._signals.signal_connection(connection, session.room, body)

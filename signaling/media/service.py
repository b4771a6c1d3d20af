"""Offers of participants on this node: who may make one, and which host answers it.

A session gets a host with its first offer, and another one when that is gone. Whoever asks a host names the
life of the session's media that it means; a host that has another one says so, and the store tells which.
"""

from __future__ import annotations

import itertools
import secrets

from config.settings import TurnSettings
from protocol import errors
from protocol.errors import ProtocolError
from protocol.frames import Answer, Relays
from signaling.caller import Caller
from signaling.media import turn
from signaling.media.hosts import Hosts
from signaling.media.messages import Answered, Done, Leave, Offer, Refused, Unable, error_of, unavailable
from signaling.media.moving import Moving
from signaling.media.ports import JoinedSessions
from signaling.timebase import Timebase

ATTEMPTS = 4
"""How often an offer is made to a host, if one after the other says that the session is elsewhere."""


class Media:
    """The media of sessions, for the connections of this node."""

    def __init__(
        self,
        sessions: JoinedSessions,
        hosts: Hosts,
        moving: Moving,
        turn_settings: TurnSettings,
        timebase: Timebase,
    ) -> None:
        self._turn = turn_settings
        self._timebase = timebase
        self._sessions = sessions
        self._hosts = hosts
        self._moving = moving
        self._numbers = itertools.count(1)

    async def offer(self, caller: Caller, session_id: str, sdp: str) -> Answer:
        """The answer to a participant's offer.

        ``not_joined``, ``session_over``, ``modality_excludes``, an ``sdp_*`` kind, ``media_unavailable``.
        """
        number, avoid = next(self._numbers), frozenset[str]()
        for _ in range(ATTEMPTS):
            session = await self._sessions.joined(caller, session_id)
            if session.modality == "chat":
                raise ProtocolError(errors.MODALITY_EXCLUDES)
            session = await self._moving.hosted(session, avoid)
            offer = Offer(session_id, session.generation, caller.account, _connection(caller), number, sdp)
            match await self._hosts.ask(session.host, offer):
                case Answered(generation, answer):
                    return Answer(answer, generation)
                case Refused() as refusal:
                    raise error_of(refusal)
                case Unable():
                    avoid |= {session.host}
                case _:  # it knows better who has the session, or speaks another version
                    continue
        raise unavailable()

    async def relays(self, caller: Caller, session_id: str) -> Relays:
        """The TURN servers for a participant. ``not_joined``, ``session_over``."""
        await self._sessions.joined(caller, session_id)
        return turn.relays(self._turn, self._timebase.now_ms(), secrets.token_hex(8))

    async def leave(self, caller: Caller, session_id: str) -> None:
        """Close a participant's peer connection; the participant stays in the session.

        ``not_joined``, ``media_unavailable``.
        """
        number = next(self._numbers)
        session = await self._sessions.joined(caller, session_id)
        if session.host:
            leave = Leave(session_id, caller.account, _connection(caller), number)
            if not isinstance(await self._hosts.ask(session.host, leave), Done):
                raise unavailable()


def _connection(caller: Caller) -> str:
    assert caller.connection is not None  # only a connection can have joined
    return caller.connection

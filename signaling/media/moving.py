"""Giving sessions another host: those of a node that is dead, or of this one before it stops.

Every step is a compare-and-set on the life of a session's media, so that it does no harm to begin again, nor
that two nodes do it at once. Sessions that nobody is in are left to the next offer.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog

from protocol.errors import ProtocolError
from relay.errors import StoreError
from signaling.media.choosing import choose, home, region_of
from signaling.media.hosting import Hosting
from signaling.media.messages import unavailable
from signaling.media.ports import JoinedSessions, Members
from signaling.media.reoffers import Reoffers
from signaling.observe.logs import failure
from signaling.sessions.session import Session

_log = structlog.get_logger("rapport.media")


class Moving:
    """Moves the media of sessions from node to node."""

    def __init__(self, sessions: JoinedSessions, members: Members, hosting: Hosting, told: Reoffers) -> None:
        self._sessions = sessions
        self._members = members
        self._hosting = hosting
        self._told = told

    async def hosted(self, session: Session, avoid: frozenset[str]) -> Session:
        """The session with a host that lives and is none of ``avoid``.

        ``media_unavailable`` if there is none, ``session_over``. If it has to move, everyone in it is told to
        offer again.
        """
        alive = self._members.alive()
        if session.host in {node.name for node in alive} - avoid:
            return session
        region = region_of(self._members.name, alive)
        moved = await self._moved(session, region, avoid=avoid)
        if moved is None:
            raise unavailable()
        return moved

    async def take_over(self, dead: str, region: str) -> None:
        """Give every session of a dead node a host that lives, near its people or in the region of that node.

        Raises :exc:`ProtocolError` or :exc:`relay.errors.StoreError` if it is to be repeated.
        """
        planned: Counter[str] = Counter()
        async for page in self._sessions.running():
            left = [session for session in page if session.host == dead and _used(session)]
            saved = (self._saved(session, region, planned) for session in left)
            for error in await asyncio.gather(*saved, return_exceptions=True):
                if isinstance(error, BaseException):
                    raise error

    async def hand_over(self) -> None:
        """Give every session that is here to another node, one after the other, if there is one."""
        planned: Counter[str] = Counter()
        here = self._members.name
        for session_id in self._hosting.carried:
            try:
                session = await self._sessions.find(session_id)
                if session.host == here and _used(session):
                    region = home(session, self._members.alive())
                    await self._moved(session, region, avoid=frozenset({here}), planned=planned)
                await self._hosting.look(session_id)
            except (ProtocolError, StoreError) as error:  # it ends with this node, and moves then
                _log.warning("session_not_handed_over", error=failure(error))

    async def _saved(self, session: Session, region: str, planned: Counter[str]) -> None:
        try:
            await self._moved(session, home(session, self._members.alive()) or region, planned=planned)
        except ProtocolError as error:
            if error.kind.temporary:
                raise  # else it is over

    async def _moved(
        self,
        session: Session,
        region: str,
        *,
        avoid: frozenset[str] = frozenset(),
        planned: Counter[str] | None = None,
    ) -> Session | None:
        host = choose(session.id, self._members.alive(), region, avoid=avoid, planned=planned or {})
        if host is None:
            return None
        if planned is not None:
            planned[host] += len(session.participants)
        moved = await self._sessions.rehost(session.id, host, session.generation)
        if session.generation and moved.generation == session.generation + 1 and moved.host == host:
            self._told.everyone(moved)
        return moved


def _used(session: Session) -> bool:
    return bool(session.participants) and session.modality != "chat"

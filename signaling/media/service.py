"""Offers of participants, and what has to be offered again.

A session goes onto a worker with its first offer, and each time it does its generation is counted up in the
store, so that clients, workers and nodes agree on which life of its media they mean. Only who is still in the
session after the answer was made keeps it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any, Literal, Protocol, TypeAlias, assert_never

import structlog

from config.settings import TurnSettings
from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from protocol.frames import Answer, Relays
from protocol.signals import Reoffer, SignalBody
from relay.errors import StoreError
from rtc.control import Connected, Disconnected, EventMessage, Ready, Reason, RosterChanged
from rtc.errors import RtcError
from signaling.caller import Caller
from signaling.media import turn
from signaling.media.cut import Cut
from signaling.media.placement import Place, Placement, Seat
from signaling.media.pool import Pool
from signaling.observe.logs import failure
from signaling.sessions.session import Session
from signaling.timebase import Timebase

RETRY_AFTER_MS = 1000
MOVE_PAUSE_SECONDS = 0.5
"""How long to wait before a session that found no worker looks for one again."""

ReofferReason: TypeAlias = Literal["roster", "worker", "modality", "disconnected"]

_KINDS: dict[str, ErrorKind] = {
    "sdp_malformed": errors.SDP_MALFORMED,
    "sdp_too_large": errors.SDP_TOO_LARGE,
    "sdp_without_ice": errors.SDP_WITHOUT_ICE,
    "sdp_without_fingerprint": errors.SDP_WITHOUT_FINGERPRINT,
    "session_full": errors.SESSION_FULL,
}
"""Refusals by name; other ``sdp_`` names are ``sdp_unsupported``, all others ``media_unavailable``."""

_log = structlog.get_logger("rapport.media")


class JoinedSessions(Protocol):
    """The sessions, as far as media needs them."""

    async def joined(self, caller: Caller, session_id: str) -> Session:
        """The session, if the caller's connection is in it."""

    async def find(self, session_id: str) -> Session:
        """A session."""

    async def rehost(self, session_id: str) -> Session:
        """Count up the generation of a session's media."""


class ConnectionSignals(Protocol):
    """Who tells a single connection something short-lived."""

    def signal_connection(self, connection: str, room: str, body: SignalBody) -> None:
        """Tell one connection of this node."""


class Media:
    """The media of sessions on this node."""

    def __init__(
        self,
        sessions: JoinedSessions,
        signals: ConnectionSignals,
        pool: Pool,
        placement: Placement,
        cut: Cut,
        turn_settings: TurnSettings,
        timebase: Timebase,
    ) -> None:
        self._sessions = sessions
        self._signals = signals
        self._pool = pool
        self._placement = placement
        self._cut = cut
        self._turn = turn_settings
        self._timebase = timebase
        self._placing: dict[str, asyncio.Task[Seat]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        pool.on_up = placement.up
        pool.on_down = self._worker_died
        pool.on_event = self._worker_told

    async def offer(self, caller: Caller, session_id: str, sdp: str) -> Answer:
        """The answer to a participant's offer.

        ``not_joined``, ``session_over``, ``modality_excludes``, an ``sdp_*`` kind, ``media_unavailable``.
        """
        session = await self._sessions.joined(caller, session_id)
        if session.modality == "chat":
            raise ProtocolError(errors.MODALITY_EXCLUDES)
        seat = self._placement.seat(session_id) or await self._placed(session_id)
        answer = await self._answer(caller, session, seat, sdp)
        try:
            await self._sessions.joined(caller, session_id)
        except ProtocolError:  # it ended, or the caller left it, while the answer was made
            self._cut.remove(session_id, caller.account)
            raise
        return Answer(answer, seat.generation)

    async def relays(self, caller: Caller, session_id: str) -> Relays:
        """The TURN servers for a participant. ``not_joined``, ``session_over``."""
        await self._sessions.joined(caller, session_id)
        return turn.relays(self._turn, self._timebase.now_ms(), secrets.token_hex(8))

    async def leave(self, caller: Caller, session_id: str) -> None:
        """Close a participant's peer connection; the participant stays in the session. ``not_joined``."""
        await self._sessions.joined(caller, session_id)
        self._cut.remove(session_id, caller.account)

    async def stop(self) -> None:
        """Move nothing any more."""
        tasks = [*self._tasks, *self._placing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, caller: Caller, session: Session, seat: Seat, sdp: str) -> str:
        worker = self._pool.worker(seat.slot)
        if worker is None or self._placement.seat(session.id) != seat:
            raise ProtocolError(errors.MEDIA_UNAVAILABLE, retry_after_ms=RETRY_AFTER_MS)
        assert caller.connection is not None
        known = self._placement.place(session.id, caller.account)
        self._placement.enter(session.id, caller.account, Place(caller.connection, session.room))
        try:
            return await worker.offer(session.id, seat.generation, caller.account, sdp)
        except RtcError as error:
            if known is None:
                self._placement.leave(session.id, caller.account)
            raise _refusal(error) from error

    async def _placed(self, session_id: str) -> Seat:
        """A seat for a session that has none; those who ask at the same time get the same."""
        task = self._placing.get(session_id)
        if task is None:
            task = self._placing[session_id] = asyncio.create_task(self._take_seat(session_id))
            task.add_done_callback(lambda _: self._placing.pop(session_id))
        return await asyncio.shield(task)

    async def _take_seat(self, session_id: str) -> Seat:
        session = await self._sessions.rehost(session_id)
        slot = self._placement.choose()
        worker = None if slot is None else self._pool.worker(slot)
        if slot is None or worker is None:
            raise ProtocolError(errors.MEDIA_UNAVAILABLE, retry_after_ms=RETRY_AFTER_MS)
        seat = Seat(slot, session.generation)
        self._placement.take(session_id, seat)
        try:
            await worker.set_modality(session_id, seat.generation, session.modality)
        except RtcError as error:
            self._placement.release(session_id)
            raise _refusal(error) from error
        return seat

    def _worker_died(self, slot: int) -> None:
        for session_id, places in self._placement.down(slot).items():
            self._start(self._move(session_id, places))

    async def _move(self, session_id: str, places: dict[str, Place]) -> None:
        """Give a session that lost its worker a new one, and ask its participants to offer again."""
        seat = None
        while seat is None:
            await self._pool.wait_up()
            try:
                seat = self._placement.seat(session_id) or await self._placed(session_id)
            except (ProtocolError, StoreError) as error:
                if isinstance(error, ProtocolError) and not error.kind.temporary:
                    return  # it is over
                _log.warning("session_not_moved", error=failure(error))
                await asyncio.sleep(MOVE_PAUSE_SECONDS)
        for account, place in places.items():
            await self._reoffer(session_id, account, place, Reoffer(session_id, seat.generation, "worker"))

    def _worker_told(self, slot: int, event: EventMessage) -> None:
        match event:
            case RosterChanged(session, generation, participant):
                self._ask_again(session, generation, participant, "roster")
            case Disconnected(session, generation, participant, Reason.CONSENT_LOST | Reason.DTLS_FAILED):
                self._ask_again(session, generation, participant, "disconnected")
            case Disconnected() | Connected() | Ready():
                return  # the client closed it itself, or all is well
            case _:
                assert_never(event)

    def _ask_again(self, session_id: str, generation: int, account: str, reason: ReofferReason) -> None:
        seat, place = self._placement.seat(session_id), self._placement.place(session_id, account)
        if seat is not None and place is not None and seat.generation == generation:
            self._start(self._reoffer(session_id, account, place, Reoffer(session_id, generation, reason)))

    async def _reoffer(self, session_id: str, account: str, place: Place, body: Reoffer) -> None:
        """Tell the connection that offered, or, if its device has connected anew, those that came after it.

        Who is between two connections hears nothing, and offers again after it has joined again.
        """
        try:
            participant = (await self._sessions.find(session_id)).participant(account)
        except StoreError as error:
            _log.warning("reoffer_not_told", error=error.name)
            return
        there = participant.connections if participant else ()
        for connection in (place.connection,) if place.connection in there else there:
            self._signals.signal_connection(connection, place.room, body)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _refusal(error: RtcError) -> ProtocolError:
    """What to answer when a worker refuses, or cannot be asked."""
    kind = _KINDS.get(error.name)
    if kind is None and error.name.startswith("sdp_"):
        kind = errors.SDP_UNSUPPORTED
    if kind is None:
        return ProtocolError(errors.MEDIA_UNAVAILABLE, retry_after_ms=RETRY_AFTER_MS)
    return ProtocolError(kind, error.detail)

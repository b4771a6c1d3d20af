"""What a node does as the host of sessions' media: seats on its workers, answers, and cutting who is out.

The store says whose host this node is and who is in a session. It is asked when a session gets its seat,
after every answer, when somebody says that a session has changed, and every few seconds for all sessions that
are here: so whatever request is lost, late or repeated, nobody keeps media who is out of the session, and
nothing stays here that another node has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, assert_never
from weakref import WeakValueDictionary

import structlog
from msgspec import MsgspecError

from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from protocol.signals import Reoffer
from relay.errors import StoreError
from rtc.control import Connected, Disconnected, EventMessage, Ready, Reason, RosterChanged
from rtc.errors import RequestTimeout, RtcError
from signaling import storage_errors
from signaling.media import reoffers
from signaling.media.messages import (
    UNAVAILABLE,
    Answered,
    Done,
    Leave,
    Look,
    Offer,
    Refused,
    Reply,
    Request,
    Stale,
    Unable,
    refused,
    unavailable,
)
from signaling.media.placement import Place, Placement, Seat
from signaling.media.pool import Pool, Worker
from signaling.media.ports import JoinedSessions, Members
from signaling.media.reoffers import Reoffers
from signaling.observe.logs import failure
from signaling.sessions.session import Session

SWEEP_SECONDS = 3.0
"""How often all sessions that are here are compared with the store."""
MOVE_PAUSE_SECONDS = 0.5
"""How long to wait before a session that found no worker looks for one again."""

_KINDS: dict[str, ErrorKind] = {
    "sdp_malformed": errors.SDP_MALFORMED,
    "sdp_too_large": errors.SDP_TOO_LARGE,
    "sdp_without_ice": errors.SDP_WITHOUT_ICE,
    "sdp_without_fingerprint": errors.SDP_WITHOUT_FINGERPRINT,
    "session_full": errors.SESSION_FULL,
}
"""Refusals by name; other ``sdp_`` names are ``sdp_unsupported``, all others ``media_unavailable``."""

Ask: TypeAlias = Callable[[Worker], Awaitable[None]]

_log = structlog.get_logger("rapport.media")


class Hosting:
    """The media that is on this node."""

    def __init__(
        self, sessions: JoinedSessions, members: Members, pool: Pool, placement: Placement, told: Reoffers
    ) -> None:
        self._sessions = sessions
        self._members = members
        self._pool = pool
        self._placement = placement
        self._told = told
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        pool.on_up = placement.up
        pool.on_down = self._worker_died
        pool.on_event = self._worker_told

    @property
    def carried(self) -> tuple[str, ...]:
        """The sessions whose media is here."""
        return self._placement.sessions

    @property
    def participants(self) -> int:
        """How many peer connections the workers carry."""
        return sum(self._placement.load.values())

    async def handle(self, request: Request) -> Reply:
        """What a host does about a request."""
        try:
            match request:
                case Offer():
                    return await self._offer(request) if self._members.acting else UNAVAILABLE
                case Leave():
                    await self._leave(request)
                case Look(session):
                    await self.look(session)
                case _:
                    assert_never(request)
        except ProtocolError as error:
            return refused(error)
        except StoreError as error:
            return refused(storage_errors.refusal(error))
        return Done()

    async def sweep(self) -> None:
        """Compare everything that is here with the store; to be called every :data:`SWEEP_SECONDS`."""
        for session_id in self.carried:
            try:
                await self.look(session_id)
            except (StoreError, MsgspecError) as error:  # it is asked again before long
                _log.warning("media_not_compared", error=failure(error))

    async def look(self, session_id: str) -> None:
        """Cut what the store says is not in a session, or not here, any more."""
        async with self._turn(session_id):
            seat, places = self._placement.seat(session_id), self._placement.places(session_id)
            if seat is None:
                return
            session = await self._found(session_id)
            if session is None or not self._hosts(session, seat.generation):
                await self._close(session_id, seat)
                return
            for account, place in places.items():
                if session.participant(account) is None:
                    await self._remove(session_id, account, place)
            await self._switch(session, seat)

    async def stop(self) -> None:
        """Move nothing any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- Offers ---

    async def _offer(self, offer: Offer) -> Reply:
        seat = await self._seated(offer.session, offer.generation)
        if not isinstance(seat, Seat):
            return seat
        known = self._placement.place(offer.session, offer.account)
        if known is not None and known.connection != offer.connection and not await self._joins(offer):
            return Refused(errors.NOT_JOINED.name)  # its device has connected anew since this was sent
        place = Place(offer.connection, offer.number)
        sdp = await self._answered(offer, seat, known, place)
        try:
            session = await self._sessions.find(offer.session)
        except (ProtocolError, StoreError):  # who cannot be looked up does not stay
            await self._remove(offer.session, offer.account, place)
            raise
        if not self._hosts(session, seat.generation):
            return Stale()  # whoever looks next closes it
        if not _joined(session, offer.account, offer.connection):
            await self._remove(offer.session, offer.account, place)
            return Refused(errors.NOT_JOINED.name)
        return Answered(seat.generation, sdp)

    async def _answered(self, offer: Offer, seat: Seat, known: Place | None, place: Place) -> str:
        worker = self._pool.worker(seat.slot)
        unchanged = self._placement.place(offer.session, offer.account) == known
        there = unchanged and self._placement.seat(offer.session) == seat
        if worker is None or not there or not place.follows(known):
            raise unavailable()
        self._placement.enter(offer.session, offer.account, place)
        try:
            return await worker.offer(offer.session, seat.generation, offer.account, offer.sdp)
        except RtcError as error:
            # A worker that has not answered in time may have taken the participant in all the same.
            if known is None and not isinstance(error, RequestTimeout):
                self._vacate(offer.session, offer.account, place)
            raise _refusal(error) from error

    async def _joins(self, offer: Offer) -> bool:
        return _joined(await self._sessions.find(offer.session), offer.account, offer.connection)

    async def _leave(self, leave: Leave) -> None:
        known = self._placement.place(leave.session, leave.account)
        if known is None or not Place(leave.connection, leave.number).follows(known):
            return
        if known.connection != leave.connection:
            session = await self._sessions.find(leave.session)
            if _joined(session, leave.account, known.connection):
                return  # that of another device
            if not _joined(session, leave.account, leave.connection):
                return  # overtaken by the end of its connection
        await self._remove(leave.session, leave.account, known)

    # --- Seats ---

    async def _seated(self, session_id: str, generation: int) -> Seat | Stale | Unable:
        """The seat of a session in this life of its media, or in the next if a worker has died with this."""
        async with self._turn(session_id):
            seat = self._placement.seat(session_id)
            if seat is not None and seat.generation != generation:
                seat = None
            if seat is not None and self._placement.modality(session_id) is not None:
                return seat
            if self._placement.lost(session_id) == generation:
                session = await self._sessions.rehost(session_id, self._members.name, generation)
                generation += 1
            else:
                session = await self._sessions.find(session_id)
            if not self._hosts(session, generation):
                return Stale()
            seat = seat or await self._taken(session)
            return seat if seat is not None and await self._opened(session, seat) else Unable()

    async def _taken(self, session: Session) -> Seat | None:
        """A seat for a session that has none, or one of an older life."""
        older = self._placement.seat(session.id)
        if older is not None:
            await self._close(session.id, older)
        slot = self._placement.choose()
        if slot is None:
            return None
        seat = Seat(slot, session.generation)
        self._placement.take(session.id, seat)
        return seat

    async def _opened(self, session: Session, seat: Seat) -> bool:
        """Whether the worker of a new seat knows what to forward."""
        worker = self._pool.worker(seat.slot)
        if worker is None:
            return False
        try:
            await worker.set_modality(session.id, seat.generation, session.modality)
        except RtcError as error:
            _log.warning("media_not_opened", error=error.name)
            return False
        if self._placement.seat(session.id) != seat:  # its worker has died since
            return False
        self._placement.switch(session.id, session.modality)
        return True

    def _hosts(self, session: Session, generation: int) -> bool:
        """Whether the store says that this life of a session's media is here."""
        mine = session.host == self._members.name and session.generation == generation
        return mine and not session.over

    async def _found(self, session_id: str) -> Session | None:
        try:
            return await self._sessions.find(session_id)
        except ProtocolError:
            return None

    def _turn(self, session_id: str) -> asyncio.Lock:
        """Seats are taken, compared and closed one after the other, so that the last to read decides last."""
        return self._turns.setdefault(session_id, asyncio.Lock())

    # --- Cutting: what is sent to a worker in one turn of the loop reaches it in that order. ---

    async def _close(self, session_id: str, seat: Seat) -> None:
        self._placement.release(session_id)
        await self._insist(seat, lambda worker: worker.close_session(session_id, seat.generation))

    async def _remove(self, session_id: str, account: str, place: Place) -> None:
        """Cut the media of a participant, unless it has offered again meanwhile."""
        seat = self._vacate(session_id, account, place)
        if seat is not None:
            generation = seat.generation
            await self._insist(
                seat,
                lambda worker: worker.remove(session_id, generation, account),
                lambda: self._placement.place(session_id, account) is None,
            )

    async def _switch(self, session: Session, seat: Seat) -> None:
        modality, there = (
            session.modality,
            self._placement.seat(session.id) == seat,
        )  # its worker may have died
        if there and self._placement.modality(session.id) != modality:
            self._placement.switch(session.id, modality)
            await self._insist(
                seat, lambda worker: worker.set_modality(session.id, seat.generation, modality)
            )

    def _vacate(self, session_id: str, account: str, place: Place) -> Seat | None:
        if self._placement.place(session_id, account) != place:
            return None
        return self._placement.leave(session_id, account)

    async def _insist(self, seat: Seat, ask: Ask, wanted: Callable[[], bool] = lambda: True) -> None:
        """Ask until the worker has answered, or died."""
        first = worker = self._pool.worker(seat.slot)
        while worker is not None and worker is first and wanted():
            try:
                await ask(worker)
            except RequestTimeout:
                _log.warning("media_not_cut", error=RequestTimeout.name)
                worker = self._pool.worker(seat.slot)
            except RtcError:  # not there, or gone with its worker: it is cut either way
                return
            else:
                return

    # --- What happens at the workers ---

    def _worker_died(self, slot: int) -> None:
        for session_id, places in self._placement.down(slot).items():
            self._start(self._renew(session_id, places))

    async def _renew(self, session_id: str, places: dict[str, Place]) -> None:
        """Give a session that lost its worker a new one, and ask its participants to offer again."""
        seat = await self._regained(session_id)
        while isinstance(seat, Unable):
            await asyncio.sleep(MOVE_PAUSE_SECONDS)
            seat = await self._regained(session_id)
        if isinstance(seat, Stale):  # it is over, or elsewhere
            self._placement.release(session_id)
            return
        body = Reoffer(session_id, seat.generation, "worker")
        for account, place in places.items():
            await self._told.one(session_id, account, place.connection, body)

    async def _regained(self, session_id: str) -> Seat | Stale | Unable:
        await self._pool.wait_up()
        generation = self._placement.lost(session_id)
        if generation is None:
            return self._placement.seat(session_id) or Stale()
        try:
            regained = await self._seated(session_id, generation)
        except (ProtocolError, StoreError) as error:
            if isinstance(error, ProtocolError) and not error.kind.temporary:
                return Stale()
            _log.warning("session_not_moved", error=failure(error))
            return Unable()
        return self._placement.seat(session_id) or regained

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

    def _ask_again(self, session_id: str, generation: int, account: str, reason: reoffers.Reason) -> None:
        seat, place = self._placement.seat(session_id), self._placement.place(session_id, account)
        if seat is not None and place is not None and seat.generation == generation:
            body = Reoffer(session_id, generation, reason)
            self._start(self._told.one(session_id, account, place.connection, body))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _joined(session: Session, account: str, connection: str) -> bool:
    participant = session.participant(account)
    return participant is not None and connection in participant.connections


def _refusal(error: RtcError) -> ProtocolError:
    """What to answer when a worker refuses, or cannot be asked."""
    kind = _KINDS.get(error.name)
    if kind is None and error.name.startswith("sdp_"):
        kind = errors.SDP_UNSUPPORTED
    if kind is None:
        return unavailable()
    return ProtocolError(kind, error.detail)

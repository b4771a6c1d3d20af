"""Requests to the services that carry them out, and what comes back to results.

Each request of the protocol has exactly one row here. Whether a request may be taken
at this moment (rates, ids, sizes) was decided before, by the connection; replies are sent by it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Protocol, TypeAlias

from protocol import errors
from protocol.around import AroundRequest, InboxGet
from protocol.errors import ErrorKind, ProtocolError
from protocol.events import MessageBody
from protocol.frames import (
    AnyRequest,
    MediaLeave,
    MediaOffer,
    MediaRelays,
    MessageSend,
    Refreshed,
    Result,
    RoomGet,
    RoomHistory,
    RoomRead,
    Sent,
    SignalSend,
    Time,
    TimeGet,
    TokenRefresh,
)
from protocol.keys import KeyInventory, KeysClaim, KeysRequest
from protocol.push import PushRequest
from protocol.receipts import RoomReceipts
from protocol.schedule import (
    ScheduleRequest,
    SeriesCut,
    SeriesList,
    SeriesPlan,
    SessionCancel,
    SessionList,
    SessionMove,
    SessionSchedule,
)
from protocol.sessions import SessionJoin, SessionRate, SessionRequest
from protocol.signals import Read, Typing
from protocol.tokens import Claims
from relay.inbox import ANSWER, MESSAGE, QUESTION, EventKind
from relay.rows import Membership
from relay.writes import Appended
from signaling.access import Access
from signaling.around import Around
from signaling.audit.actions import REFUSALS
from signaling.audit.origin import acting, origin_of
from signaling.caller import Caller
from signaling.door.attendance import Attendance
from signaling.door.hub import Hub
from signaling.ids import is_id
from signaling.keys.sealing import sealing_of
from signaling.keys.service import KeysService
from signaling.push.service import PushService
from signaling.quotas import JoinAttempts
from signaling.rooms import Rooms
from signaling.services import AppointmentService, MediaService, RatingService, Recorder, SessionService
from signaling.timebase import Timebase

Awaited: TypeAlias = (
    TokenRefresh
    | RoomGet
    | RoomHistory
    | RoomRead
    | SignalSend
    | SessionRequest
    | SessionRate
    | ScheduleRequest
    | MediaOffer
    | MediaRelays
    | MediaLeave
)
"""The requests whose results have to be awaited."""

Answer: TypeAlias = Callable[[Result | ProtocolError | None], None]
Work: TypeAlias = Coroutine[None, None, Result | None]


class Asker(Protocol):
    """A connection as the dispatcher sees it."""

    @property
    def caller(self) -> Caller:
        """Who asks."""

    @property
    def attendance(self) -> Attendance:
        """The sessions that this connection is in, and those before which its account waits."""

    def renew(self, claims: Claims) -> None:
        """Go on with a fresh token."""


class Dispatcher:
    """Carries out the requests of all connections of a node."""

    def __init__(
        self,
        rooms: Rooms,
        hub: Hub,
        sessions: SessionService,
        joins: JoinAttempts,
        ratings: RatingService,
        appointments: AppointmentService,
        media: MediaService,
        access: Access,
        around: Around,
        keys: KeysService,
        push: PushService,
        timebase: Timebase,
        recorder: Recorder,
    ) -> None:
        self._rooms = rooms
        self._hub = hub
        self._sessions = sessions
        self._joins = joins
        self._ratings = ratings
        self._appointments = appointments
        self._media = media
        self._access = access
        self._around = around
        self._keys = keys
        self._push = push
        self._timebase = timebase
        self._recorder = recorder

    def begin(self, asker: Asker, request: AnyRequest, answer: Answer) -> Work | None:
        """Begin to carry out a request; what has to be awaited for its result, if anything has.

        What need not be awaited here gives its result to ``answer``, which is all that most requests do: it
        saves a task for each message. The work returned, and this method, raise :exc:`ProtocolError` or
        :exc:`relay.errors.StoreError`. What the caller may not do is refused and recorded.
        """
        try:
            match request:
                case MessageSend():
                    work = self._send(asker, request, answer)
                case TimeGet():
                    answer(Time(self._timebase.now_ms()))
                    return None
                case InboxGet() if asker.attendance.waiting:
                    raise ProtocolError(errors.NOT_ADMITTED)
                case RoomReceipts(room=room) if asker.attendance.holds(room):
                    raise ProtocolError(errors.NOT_ADMITTED)
                case _ if isinstance(request, AroundRequest):
                    work = self._around.perform(asker.caller, request)
                case _ if isinstance(request, KeysRequest):
                    work = self._keys.perform(asker.caller, request)
                case _ if isinstance(request, PushRequest):
                    work = self._push.perform(asker.caller, request)
                case _:
                    work = self._perform(asker, request)
        except ProtocolError as error:
            self._record(asker.caller, request, error)
            raise
        return self._on_behalf(asker.caller, request, work) if work is not None else None

    async def inventory(self, caller: Caller) -> KeyInventory:
        """What the caller's device is told of its keys."""
        return await self._keys.inventory(caller)

    async def waiting(self, caller: Caller, memberships: Sequence[Membership]) -> Mapping[str, str]:
        """The sessions before which the caller waits, and the room of each."""
        # Therapists never wait, and they are the ones with many rooms.
        rooms = [one.room for one in memberships if one.role != "therapist"]
        return await self._sessions.waiting(caller.account, rooms)

    async def closed(self, caller: Caller, *, for_good: bool) -> None:
        """A connection is gone; ``for_good`` if its device may not come back."""
        self._around.teller.forget(caller)
        with acting(origin_of(caller)):
            await self._sessions.connection_closed(caller, for_good=for_good)

    async def _on_behalf(self, caller: Caller, request: AnyRequest, work: Work) -> Result | None:
        with acting(origin_of(caller)):
            try:
                return await work
            except ProtocolError as error:
                self._record(caller, request, error)
                raise

    def _record(self, caller: Caller, request: AnyRequest, error: ProtocolError) -> None:
        flood = error.kind is errors.RATE_LIMITED and isinstance(request, KeysClaim)
        if error.kind in REFUSALS or flood:
            action = f"request.{request.__struct_config__.tag}"
            self._recorder.note(origin_of(caller), action, *_object_of(request), error.kind.name)

    async def _perform(self, asker: Asker, request: Awaited) -> Result | None:
        caller = asker.caller
        match request:
            case TokenRefresh(token=token):
                return await self._refresh(asker, token)
            case RoomGet(room=room):
                _check_room(asker, room)
                return await self._rooms.get(caller.account, room)
            case RoomHistory(room=room, after=after, limit=limit):
                _check_room(asker, room)
                return await self._rooms.history(caller.account, room, after, limit)
            case RoomRead(room=room, offset=offset):
                caller.check_room(room)
                await self._read(caller, room, offset)
                return None
            case SignalSend():
                _check_room(asker, request.room)
                await self._signal(caller, request)
                return None
            case MediaOffer(session=session, sdp=sdp):
                caller.check_session(session)
                return await self._media.offer(caller, session, sdp)
            case MediaRelays(session=session):
                caller.check_session(session)
                return await self._media.relays(caller, session)
            case MediaLeave(session=session):
                caller.check_session(session)
                await self._media.leave(caller, session)
                return None
            case SessionRate(session=session, score=score, technical=technical):
                await self._ratings.rate(caller, session, score, technical=technical)
                return None
            case SessionSchedule() | SessionMove() | SessionCancel() | SessionList():
                return await self._appointments.perform(caller, request)
            case SeriesPlan() | SeriesCut() | SeriesList():
                return await self._appointments.perform(caller, request)
            case _:
                return await self._hold(caller, request)

    async def _hold(self, caller: Caller, request: SessionRequest) -> Result:
        caller.check_session(request.session)
        if isinstance(request, SessionJoin):
            await self._joins.take(caller.account)
        return await self._sessions.perform(caller, request)

    def _send(self, asker: Asker, request: MessageSend, answer: Answer) -> Work | None:
        """Append a message: at once, so that the messages of a connection keep their order."""
        caller = asker.caller
        caller.check_room(request.room)
        body = MessageBody(request.mid, request.data, request.session, request.urgent)
        if request.session is not None:
            caller.check_session(request.session)
            if asker.attendance.room_of(request.session) != request.room:
                waits = asker.attendance.waits(request.session)
                refusal = errors.NOT_ADMITTED if waits else errors.NOT_JOINED
                return self._sent_before(caller, request.room, body, refusal)
        assert caller.device is not None

        sealing = sealing_of(caller, request)
        kind = _kind(caller, request)

        def done(appended: Appended | ProtocolError) -> None:
            if isinstance(appended, ProtocolError):
                self._record(caller, request, appended)
                if appended.kind is errors.DEVICE_MISMATCH:
                    self._keys.explain(request, answer)
                else:
                    answer(appended)
            else:
                answer(Sent(appended.epoch, appended.offset, appended.at_ms, appended.duplicate))
                if kind == QUESTION and not appended.duplicate:
                    self._around.replies.asked(request.room, appended.at_ms)

        self._rooms.append_soon(
            request.room,
            body,
            caller.account,
            caller.device,
            request.mid.bytes,
            done,
            kind,
            flagged=request.urgent and caller.role != "therapist",
            sealing=sealing,
        )
        return None

    async def _sent_before(self, caller: Caller, room: str, body: MessageBody, refusal: ErrorKind) -> Sent:
        """What to say to who is not in the session: it may be over, and the reply of then be lost."""
        assert caller.device is not None
        sent = await self._rooms.sent_before(room, body, caller.account, caller.device, body.mid.bytes)
        if sent is None:
            raise ProtocolError(refusal)
        return sent

    async def _signal(self, caller: Caller, request: SignalSend) -> None:
        if isinstance(request.body, Typing) and not (await self._around.preferences.get(caller)).typing:
            return
        others = await self._rooms.others(caller.account, request.room)
        self._hub.signal(request.room, others, request.body, caller.account)

    async def _read(self, caller: Caller, room: str, offset: int) -> None:
        """Note what the account has read; tell its own devices, and the others if they may know."""
        epoch = await self._rooms.read_up_to(caller.account, room, offset)
        told = [caller.account]
        if (await self._around.preferences.get(caller)).receipts:
            told += await self._rooms.others(caller.account, room)
        self._hub.signal(room, told, Read(epoch, offset), caller.account)

    async def _refresh(self, asker: Asker, token: str) -> Refreshed:
        """A fresh token goes on with what the connection is: whoever is someone else connects anew."""
        old = asker.caller.claims
        new = await self._access.verify(token, asker.caller.device)
        for claim in ("sub", "role", "iss", "room", "session"):
            if getattr(new, claim) != getattr(old, claim):
                raise ProtocolError(errors.TOKEN_SCOPE, f"`{claim}` is not that of the connection")
        asker.renew(new)
        return Refreshed(int(new.exp * 1000))


def _object_of(request: AnyRequest) -> tuple[str, str]:
    """What a request is about: the kind and the id, as the audit trail names them.

    Whoever is refused may have written anything in the place of an id; only what could be one is recorded.
    """
    for kind in ("session", "series", "room"):
        if name := getattr(request, kind, None):
            return (kind, name) if is_id(name) else ("", "")
    return "", ""


def _kind(caller: Caller, request: MessageSend) -> EventKind:
    """What a message is in an inbox. What a client says in a session is answered there, or by voice."""
    match caller.role:
        case "therapist":
            return ANSWER
        case "client" if request.session is None:
            return QUESTION
        case _:
            return MESSAGE


def _check_room(asker: Asker, room: str) -> None:
    """``token_scope`` if the caller's token is for another room, ``not_admitted`` while it stands still."""
    asker.caller.check_room(room)
    if asker.attendance.holds(room):
        raise ProtocolError(errors.NOT_ADMITTED)

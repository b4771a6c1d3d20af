"""One connection, all but its socket: where its rules, its rooms, its requests and its writer meet.

What comes in goes through the rules (:mod:`signaling.door.connection`) and on to whoever carries it out;
what is to go out is put into the writer. Reading and closing the socket is :mod:`signaling.door.websocket`'s.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Set
from typing import assert_never

import structlog

from protocol import errors, frames
from protocol.base import Frame
from protocol.codec import Subprotocol
from protocol.errors import CloseCode, ProtocolError
from protocol.frames import Hello, Position
from protocol.keys import KeyInventory
from protocol.tokens import Claims
from relay.bus import MembershipNotice, PlaceNotice, SignalNotice
from relay.errors import StoreError
from relay.rows import RoomHead
from signaling.caller import Caller
from signaling.door.attendance import Attendance
from signaling.door.connection import (
    Acknowledge,
    Close,
    Connection,
    Effect,
    Perform,
    Probe,
    Refuse,
    State,
    Verify,
)
from signaling.door.feed import Feed
from signaling.door.framing import EventMessage, SignalMessage, frame_message
from signaling.door.outbox import Outbox
from signaling.door.requests import Requests, error_frame
from signaling.door.shared import Shared, announced
from signaling.door.welcome import Inventory, close_code, identify, take_inventory
from signaling.door.writer import Wire, Writer
from signaling.observe.logs import failure
from signaling.storage_errors import refusal

_log = structlog.get_logger("rapport.door")


class Link:
    """One connection between a device and this node."""

    __slots__ = (
        "_attendance",
        "_barred",
        "_caller",
        "_connection",
        "_core",
        "_early",
        "_feed",
        "_greeting",
        "_now",
        "_on_close",
        "_only",
        "_requests",
        "_rooms",
        "_shared",
        "_subprotocol",
        "_timer",
        "_writer",
        "device",
    )

    def __init__(
        self, shared: Shared, subprotocol: Subprotocol, wire: Wire, on_close: Callable[[CloseCode], None]
    ) -> None:
        limits = shared.limits
        self._shared = shared
        self._subprotocol = subprotocol
        self._on_close = on_close
        self._connection = shared.hub.next_id()
        self._now = asyncio.get_running_loop().time
        self._core = Connection(shared.decoder(subprotocol), limits, self._now())
        outbox = Outbox(limits.outbox_bytes, limits.signal_seconds)
        self._writer = Writer(wire, outbox, shared.turn, self._space)
        self._requests = Requests(self, shared.dispatcher, self._writer, self._reply)
        self._caller: Caller | None = None
        self._barred = False  # closed because its account or device may not come back
        self._only: str | None = None  # the only room that the token reaches
        self._feed: Feed | None = None
        self._greeting: asyncio.Task[None] | None = None
        self._rooms: dict[str, bool] = {}  # rooms to deliver, and whether their delivery has begun
        self._attendance = Attendance()
        # What is heard of between `hello` and `welcome`.
        self._early: list[MembershipNotice | PlaceNotice] | None = None
        self.device: str | None = None
        shared.hub.enter(self)
        self._timer = shared.timers.watch(self)

    @property
    def connection(self) -> str:
        """The connection's id."""
        return self._connection

    @property
    def caller(self) -> Caller:
        """Who is connected; known after ``hello``."""
        assert self._caller is not None
        return self._caller

    @property
    def attendance(self) -> Attendance:
        """The sessions it is in, and those before which its account waits."""
        return self._attendance

    # --- From the socket ---

    def receive(self, data: bytes | str) -> None:
        """A WebSocket message came in."""
        effect = self._core.receive(data, self._now())
        if effect is not None:
            self._follow(effect)

    def receive_control(self, pong: bytes) -> None:
        """A WebSocket ping came in, to be answered by the frame ``pong``; or a pong, by nothing."""
        effect = self._core.control(self._now())
        if effect is not None:
            self._follow(effect)
        elif pong and self._core.state is not State.CLOSED:
            self._writer.send(pong)

    @property
    def busy(self) -> bool:
        """Whether no more is to be read from the socket before :meth:`ready`."""
        return self._greeting is not None or self._writer.over

    async def ready(self) -> None:
        """Wait until more may be read: ``hello`` is answered first, and slow readers have to read."""
        if self._greeting is not None:
            await asyncio.wait([self._greeting])
        await self._writer.until_space()

    def check_progress(self, now: float) -> None:
        """Close the connection if its socket has taken nothing for too long."""
        if self._writer.stalled_seconds(now) >= self._shared.limits.stall_seconds:
            self.end(errors.STALLED)

    async def closed(self) -> None:
        """The socket is gone: finish what is under way, then let everything go."""
        self._core.close(errors.FAILED)
        self._shared.timers.forget(self._timer)
        self._writer.stop()
        self._stop_feed()
        if self._greeting is not None:
            await asyncio.wait([self._greeting])
        await self._requests.finish()
        try:
            if self._caller is not None:
                self._shared.hub.detach(self, self._caller.account)
                await self._shared.dispatcher.closed(self._caller, for_good=self._barred)
        finally:
            self._shared.hub.leave(self)

    # --- From the timers ---

    @property
    def deadline(self) -> float:
        """When something is due next."""
        return self._core.deadline

    def on_time(self, now: float) -> None:
        """Carry out what is due."""
        while self._core.deadline <= now:
            effect = self._core.timeout(now, random.random())  # noqa: S311 - spreads load, guards nothing
            if effect is not None:
                self._follow(effect)

    # --- From the hub ---

    def event(self, message: EventMessage) -> None:
        """An event of a room of the account was committed."""
        if self._feed is not None and (self._only is None or self._only == message.notice.room):
            self._feed.published(message)

    @property
    def rooms(self) -> Set[str]:
        """The rooms whose events this connection is to get."""
        return self._rooms.keys()

    def compare(self, rooms: Set[str]) -> None:
        """The store was asked which rooms the account is in: begin anew if that was not known here.

        Also while ``hello`` is answered, from what was read before. A change that is on its way can end the
        connection as well, which is rare and costs the client nothing but a ``hello``.
        """
        if self._feed is not None and {room for room in rooms if self._reaches(room)} != self._rooms.keys():
            self.goodbye(errors.FAILED, 0)

    def observed(self, log: RoomHead) -> None:
        """The store was asked how far the log of a room reaches."""
        if self._feed is not None:
            self._feed.observed(log)

    def signal(self, notice: SignalNotice, message: SignalMessage) -> None:
        """Somebody signalled in a room."""
        if self._core.state is State.OPEN and self._hears(notice):
            self._writer.send_signal(notice.key, message.encoded(self._subprotocol), self._now())

    def told(self, what: str, message: SignalMessage) -> None:
        """Something that belongs to no room, and that a later one of the same name replaces."""
        if self._core.state is State.OPEN:
            self._writer.send_signal(what, message.encoded(self._subprotocol), self._now())

    def moved(self, notice: MembershipNotice | PlaceNotice) -> None:
        """The account's place in a room or in a session changed."""
        if self._early is not None:
            self._early.append(notice)
        elif self._core.state is State.OPEN:
            self._move(notice)

    def end(self, code: CloseCode, error: ProtocolError | None = None) -> None:
        """Close the connection."""
        close = self._core.close(code, error)
        if close is not None:
            self._close(close)

    def goodbye(self, code: CloseCode, reconnect_after_ms: int) -> None:
        """Close the connection, and tell the client when to come back."""
        if self._core.state is State.OPEN:
            self._send(frames.Goodbye(code.name, reconnect_after_ms))
        self.end(code)

    # --- From the dispatcher ---

    def renew(self, claims: Claims) -> None:
        """Go on with a fresh token."""
        self._caller = Caller.of(claims, device=self.device, connection=self._connection)
        self._core.refresh(self._expires(claims))
        self._shared.timers.sooner(self._timer)

    # --- Inside ---

    def _follow(self, effect: Effect) -> None:
        match effect:
            case Perform(request):
                self._requests.begin(request)
            case Acknowledge(ack):
                self._acknowledge(ack)
            case Refuse(request_id, error):
                self._shared.hub.count_refused(error.kind.name)
                self._send(error_frame(error, request_id))
            case Probe():
                self._ping()
            case Close():
                self._close(effect)
            case Verify(hello):
                self._greeting = asyncio.get_running_loop().create_task(self._greet(hello))
            case _:
                assert_never(effect)

    def _send(self, frame: Frame) -> None:
        self._writer.send(frame_message(frame, self._subprotocol))

    def _reply(self, reply: frames.Ok | frames.Error) -> None:
        assert reply.id is not None
        self._core.finish(reply.id)
        if isinstance(reply, frames.Error):
            self._shared.hub.count_refused(reply.name)
        if self._core.state is State.OPEN:
            self._send(reply)

    def _ping(self) -> None:
        assert self._feed is not None
        heads = dict(self._feed.unacknowledged())
        self._send(frames.Ping(self._shared.timebase.now_ms(), heads))

    def _acknowledge(self, ack: frames.Ack) -> None:
        assert self._feed is not None
        error = self._feed.acknowledged(ack)
        if error is not None:
            self.end(errors.NOT_A_FRAME, error)

    def _close(self, close: Close) -> None:
        self._barred = close.code is errors.DEVICE_REVOKED
        self._stop_feed()
        if close.code is errors.STALLED:
            self._writer.outbox.clear()  # it would only wait behind what is stuck already
        elif close.error is not None:
            self._send(error_frame(close.error))
        self._writer.flush_all()
        self._writer.stop()
        self._shared.hub.count_closed(close.code)
        _log.info("connection_closing", connection=self._connection, code=close.code.name)
        self._on_close(close.code)

    def _stop_feed(self) -> None:
        if self._feed is not None:
            self._feed.stop()
            self._feed = None

    def _space(self) -> None:
        if self._feed is not None:
            self._feed.space()

    def _expires(self, claims: Claims) -> float:
        """When a token runs out, in the loop's time."""
        return self._now() + claims.exp - self._shared.timebase.now_ms() / 1000

    def _reaches(self, room: str) -> bool:
        return self._only is None or self._only == room

    # --- Hello ---

    async def _greet(self, hello: Hello) -> None:
        try:
            await self._welcome(hello)
        except ProtocolError as error:
            self.end(close_code(error), error)
        except Exception as error:  # noqa: BLE001 - one connection fails; the process lives on
            _log.error("hello_failed", connection=self._connection, error=failure(error))
            self.end(errors.FAILED, ProtocolError(errors.INTERNAL))
        finally:
            self._greeting = None

    async def _welcome(self, hello: Hello) -> None:
        shared = self._shared
        caller = await identify(shared.access, hello, self._connection)
        if self._core.state is not State.VERIFYING:
            return
        self.device = hello.device
        bucket = shared.hub.attach(self, caller.account, self._now())
        self._caller = caller
        self._only = caller.claims.room
        self._early = []
        self._feed = Feed(
            caller.account,
            hello.device,
            self._subprotocol,
            self._writer,
            shared.store,
            shared.acks,
            shared.limits,
        )
        await shared.hub.settle(caller.account)
        # Asked now that a revocation would be heard of: between the two there is no gap to slip through.
        await shared.access.check_not_revoked(caller.account, hello.device)
        unwritten = shared.acks.latest(caller.account, hello.device)
        inventory = await take_inventory(shared.store, caller, hello, unwritten)
        waiting = await shared.dispatcher.waiting(caller, inventory.memberships)
        keys = await shared.dispatcher.inventory(caller)
        if self._core.state is State.VERIFYING:
            expires = self._expires(caller.claims)
            self._core.welcome(expires, bucket, self._now(), random.random())  # noqa: S311 - as above
            shared.timers.sooner(self._timer)
            for session, room in waiting.items():
                self._attendance.put(session, room, "waiting", joined=False)
            self._open(caller, inventory, keys)

    def _open(self, caller: Caller, inventory: Inventory, keys: KeyInventory) -> None:
        assert self._feed is not None
        self._send(
            frames.Welcome(
                self._connection,
                frames.VERSION,
                self._shared.timebase.now_ms(),
                caller.account,
                caller.role,
                announced(self._shared.limits),
                inventory.heads(self._attendance.holds),
                keys,
            )
        )
        for room in inventory.gone:
            self._send(frames.Removed(room))
        for membership in inventory.memberships:
            self._rooms[membership.room] = True
            position = inventory.position(membership.room)
            if self._attendance.holds(membership.room):
                self._feed.stand(membership.room, position)
            else:
                self._feed.subscribe(membership.log, position)
        early, self._early = self._early or [], None
        for notice in early:
            self._move(notice)

    def _move(self, notice: MembershipNotice | PlaceNotice) -> None:
        if self._reaches(notice.room):
            if isinstance(notice, PlaceNotice):
                self._place(notice)
            else:
                self._change(notice)

    # --- Rooms that come and go ---

    def _change(self, notice: MembershipNotice) -> None:
        if notice.role is not None:
            if notice.room not in self._rooms:
                self._rooms[notice.room] = False
                self._requests.spawn(self._join(notice.room))
        elif self._rooms.pop(notice.room, None) is not None:
            assert self._feed is not None
            self._feed.unsubscribe(notice.room)
            self._send(frames.Removed(notice.room))

    async def _join(self, room: str) -> None:
        """Begin the delivery of a room that the account was made a member of while it was connected."""
        try:
            heads = await self._shared.store.heads([room])
        except StoreError as error:
            _log.warning("room_not_delivered", connection=self._connection, error=error.name)
            self.end(errors.FAILED, refusal(error))  # to come back, and find the room among the others
            return
        # Meanwhile the account may have been removed again, or removed and added.
        if room in heads and self._rooms.get(room) is False and self._core.state is State.OPEN:
            assert self._feed is not None
            self._rooms[room] = True
            self._feed.subscribe(heads[room], Position(heads[room].epoch, 0))

    # --- Sessions that are joined and waited for ---

    def _hears(self, notice: SignalNotice) -> bool:
        """Whether a signal is for this connection: of a room it is in, or of a session it has come to."""
        if self._attendance.holds(notice.room):
            return notice.to_waiting
        return notice.room in self._rooms or self._attendance.reaches(notice.room)

    def _place(self, notice: PlaceNotice) -> None:
        room, held = notice.room, self._attendance.holds(notice.room)
        joined = self._connection in notice.connections
        self._attendance.put(notice.session, room, notice.place, joined=joined)
        holds = self._attendance.holds(room)
        assert self._feed is not None
        if holds and not held:
            self._feed.stand_still(room)
        elif held and not holds:
            self._requests.spawn(self._go_on(room))

    async def _go_on(self, room: str) -> None:
        """Deliver a room again that stood still while the account waited."""
        try:
            heads = await self._shared.store.heads([room])
        except StoreError as error:
            _log.warning("room_not_delivered", connection=self._connection, error=error.name)
            self.end(errors.FAILED, refusal(error))  # to come back, and go on from where the device stands
            return
        waits_again = self._attendance.holds(room)
        if room in heads and not waits_again and self._feed is not None:
            self._feed.go_on(heads[room])

"""The durable events of one connection, on their way from the store and the bus to its writer.

What is sent when is decided by :mod:`relay.delivery`; this shell reads the pages it asks for, encodes what it
sends, and holds back a page for as long as the outbox has no room for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import assert_never

import structlog

from config.settings import LimitSettings
from protocol import errors, frames
from protocol.base import Frame
from protocol.codec import Subprotocol
from protocol.errors import ProtocolError
from relay import delivery
from relay.bus import EventNotice
from relay.delivery import Delivery
from relay.errors import NotFound, StoreError
from relay.rows import RoomHead
from relay.store import Store
from signaling.door.acks import Acks
from signaling.door.framing import EventMessage, frame_message
from signaling.door.writer import Writer

RETRY_SECONDS = 1.0
"""How long after a failed read of the store it is tried again."""

_log = structlog.get_logger()


class Feed:
    """Delivers the logs of an account's rooms to one of its devices."""

    __slots__ = (
        "_account",
        "_acks",
        "_delivery",
        "_device",
        "_held",
        "_standing",
        "_store",
        "_subprotocol",
        "_task",
        "_writer",
    )

    def __init__(
        self,
        account: str,
        device: str,
        subprotocol: Subprotocol,
        writer: Writer,
        store: Store,
        acks: Acks,
        limits: LimitSettings,
    ) -> None:
        self._account = account
        self._device = device
        self._subprotocol = subprotocol
        self._writer = writer
        self._store = store
        self._acks = acks
        # What is unacknowledged may all be waiting in the outbox: a window larger than it would be of no use.
        window = min(limits.unacked_bytes, limits.outbox_bytes)
        self._delivery = Delivery(max_events=limits.unacked_events, max_bytes=window)
        self._held: delivery.Fetch | None = None
        self._standing: dict[str, frames.Position] = {}  # rooms that stand still, and how far they were sent
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, log: RoomHead, position: frames.Position) -> None:
        """Deliver a room from behind ``position``; ``log`` was read after attaching to the bus."""
        self._follow(self._delivery.subscribe(log, position.epoch, position.offset))

    def unsubscribe(self, room: str) -> None:
        """Deliver nothing of a room any more."""
        self._standing.pop(room, None)
        self._follow(self._delivery.unsubscribe(room))

    def stand(self, room: str, position: frames.Position) -> None:
        """Deliver a room from behind ``position``, once it goes on."""
        self._standing[room] = position

    def stand_still(self, room: str) -> None:
        """Send nothing more of a room until it goes on from here."""
        position = self._delivery.position(room)
        if position is not None:
            self._standing[room] = frames.Position(*position)
            self._follow(self._delivery.unsubscribe(room))

    def go_on(self, log: RoomHead) -> None:
        """Deliver a room that stood still from where it stood; ``log`` was read just now."""
        position = self._standing.pop(log.room, None)
        if position is not None:
            self.subscribe(log, position)

    def published(self, message: EventMessage) -> None:
        """An event was committed: it goes out now if the device keeps up, or is read from the store later."""
        notice = message.notice
        encoded = message.encoded(self._subprotocol)
        if not self._writer.fits(len(encoded)):
            self._follow(self._delivery.observed(_head(notice)))
            return
        size = len(notice.event.body)
        effects = self._delivery.published(notice.room, notice.epoch, notice.event.offset, size)
        if len(effects) == 1 and isinstance(effects[0], delivery.SendLive):
            self._writer.send(encoded)
        else:
            self._follow(effects)

    def observed(self, log: RoomHead) -> None:
        """The store was asked how far a log reaches: what was missed is read from it."""
        self._follow(self._delivery.observed(log))

    def acknowledged(self, ack: frames.Ack) -> ProtocolError | None:
        """The device has persisted a room up to an offset; an error if that was never sent to it."""
        if (standing := self._standing.get(ack.room)) is not None:
            self._persist_standing(ack, standing)
            return None
        effects = self._delivery.acked(ack.room, ack.epoch, ack.offset)
        if effects and isinstance(beyond := effects[0], delivery.AckBeyondSent):
            return ProtocolError(errors.BEYOND_HEAD, f"only {beyond.sent} was sent on this connection")
        self._follow(effects)
        return None

    def _persist_standing(self, ack: frames.Ack, standing: frames.Position) -> None:
        if ack.epoch == standing.epoch and ack.offset <= standing.offset:
            self._acks.put(self._account, self._device, ack.room, ack.epoch, ack.offset)

    def unacknowledged(self) -> Mapping[str, int]:
        """The heads of the rooms in which something is not acknowledged."""
        return self._delivery.unacknowledged()

    def space(self) -> None:
        """The outbox has shrunk: go on with the page that was held back, if it fits now."""
        if self._held is not None:
            self._fetch(self._held)

    def stop(self) -> None:
        """Read nothing more."""
        self._held = None
        if self._task is not None:
            self._task.cancel()

    def _follow(self, effects: Sequence[delivery.Effect]) -> None:
        for effect in effects:
            match effect:
                case delivery.SendPage():
                    self._send_page(effect)
                case delivery.CaughtUp(room, epoch, offset):
                    self._send(frames.CaughtUp(room, epoch, offset))
                case delivery.Reset(room, epoch, lowest, reason, expired):
                    self._send(frames.Reset(room, epoch, lowest, reason, expired))
                case delivery.Fetch():
                    self._fetch(effect)
                case delivery.Persist(room, epoch, offset):
                    self._acks.put(self._account, self._device, room, epoch, offset)
                case delivery.SendLive() | delivery.AckBeyondSent():
                    raise AssertionError(f"{type(effect).__name__} is taken where it is caused")
                case _:
                    assert_never(effect)

    def _send(self, frame: Frame) -> None:
        self._writer.send(frame_message(frame, self._subprotocol))

    def _send_page(self, page: delivery.SendPage) -> None:
        for event in page.events:
            notice = EventNotice(page.room, page.epoch, event)
            self._writer.send(EventMessage(notice).encoded(self._subprotocol))

    def _fetch(self, fetch: delivery.Fetch) -> None:
        if self._writer.fits(fetch.max_bytes):
            self._held = None
            self._task = asyncio.get_running_loop().create_task(self._read(fetch))
        else:
            self._held = fetch

    async def _read(self, fetch: delivery.Fetch) -> None:
        try:
            page = await self._store.events(
                fetch.room, after=fetch.after, limit=fetch.limit, max_bytes=fetch.max_bytes
            )
        except NotFound:
            effects = self._delivery.unsubscribe(fetch.room)
        except StoreError as error:
            _log.warning("replay_delayed", error=error.name)
            await asyncio.sleep(RETRY_SECONDS)
            effects = self._delivery.fetch_failed(fetch.room)
        else:
            effects = self._delivery.page(page.log, page.events)
        self._task = None
        self._follow(effects)


def _head(notice: EventNotice) -> RoomHead:
    """The log as a notice shows it: only its head counts for one who reads the rest from the store."""
    return RoomHead(notice.room, notice.epoch, notice.event.offset, 1)

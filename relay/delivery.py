"""What one subscriber is sent of the rooms' logs, and when. Sans-I/O: methods take what happened, return
effects.

A subscriber is one connection of a device with any number of rooms. Per room its events come exactly once, in
order, without a gap; over all rooms only so much is sent ahead of the device's acknowledgements. As long as
it keeps up, events go out as they are published. Once anything had to wait, *everything* is read from the
store, one page at a time, the rooms taking turns, until nothing waits any more: so a busy room cannot starve
a quiet one, and nothing waits in memory.

The shell reads the store for `Fetch` and answers with `page` or `fetch_failed`, puts `SendLive` and
`SendPage` on the wire in the order given, and writes `Persist` to the store. Encoding, sockets and time-outs
are its business.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from relay.rows import ResetReason, RoomHead, StoredEvent, reset_reason


class SendLive(msgspec.Struct, frozen=True, gc=False):
    """Send the event that was just published: the shell has it at hand."""

    room: str
    offset: int


class SendPage(msgspec.Struct, frozen=True, gc=False):
    """Send these events of a room, in this order."""

    room: str
    epoch: int
    events: tuple[StoredEvent, ...]


class CaughtUp(msgspec.Struct, frozen=True, gc=False):
    """Everything that was in the log at the time of `subscribe` has been sent. Once per `subscribe`."""

    room: str
    epoch: int
    offset: int  # the last one sent


class Reset(msgspec.Struct, frozen=True, gc=False):
    """The log cannot be continued from where the device stands: delivery goes on with `lowest`."""

    room: str
    epoch: int
    lowest: int
    reason: ResetReason
    expired: int = 0  # messages below `lowest` that were purged


class Fetch(msgspec.Struct, frozen=True, gc=False):
    """Read a page of a room's log. Only one is asked for at a time."""

    room: str
    after: int
    limit: int
    max_bytes: int


class Persist(msgspec.Struct, frozen=True, gc=False):
    """The device's cursor moved: write it to the store, when convenient; a later one for the room replaces
    it.
    """

    room: str
    epoch: int
    offset: int


class AckBeyondSent(msgspec.Struct, frozen=True, gc=False):
    """The device acknowledged what it was never sent. Nothing changed; tell it so."""

    room: str
    sent: int


Effect = SendLive | SendPage | CaughtUp | Reset | Fetch | Persist | AckBeyondSent


@dataclass(slots=True)
class _Room:
    """Where the subscriber stands in one room."""

    epoch: int
    sent: int
    head: int  # the highest offset heard of; the store may have more
    caught_up_at: int | None  # the head that `CaughtUp` waits for, None once announced
    doubtful: bool = False  # a higher epoch was heard of: only the store can tell from where to go on
    waits: bool = False  # it is in the queue of rooms to be read from the store
    alone: bool = False  # its next event fits no window that is in use: it goes when nothing is outstanding
    unacked: deque[tuple[int, int]] = field(default_factory=deque)  # (offset, bytes), at most the window


class Delivery:
    """The deliveries of one connection.

    `max_events` and `max_bytes` (of bodies) bound what is sent ahead of `acked`; an event larger than
    `max_bytes` is sent when nothing else is outstanding.
    """

    def __init__(self, *, max_events: int = 256, max_bytes: int = 1 << 20) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        # A page is a quarter of the window: worth a read, and small enough for rooms to take turns.
        self._page_events = max(1, max_events // 4)
        self._page_bytes = max(1, max_bytes // 4)
        self._rooms: dict[str, _Room] = {}
        self._heard: dict[str, int] = {}  # heads of rooms not subscribed yet; at most the account's rooms
        self._queue: deque[str] = deque()  # rooms behind, each once
        self._fetching: str | None = None
        self._fetching_head = 0  # the head heard of when that page was asked for
        self._events = 0  # outstanding
        self._bytes = 0

    @property
    def outstanding(self) -> tuple[int, int]:
        """Events and bytes sent and not acknowledged."""
        return self._events, self._bytes

    def unacknowledged(self) -> dict[str, int]:
        """The heads of the rooms in which the device has not acknowledged everything: what `ping` carries."""
        return {
            name: room.head for name, room in self._rooms.items() if room.unacked or room.sent < room.head
        }

    def position(self, name: str) -> tuple[int, int] | None:
        """The epoch of a room and the last offset sent of it; None if it is not delivered."""
        room = self._rooms.get(name)
        return None if room is None else (room.epoch, room.sent)

    def subscribe(self, log: RoomHead, epoch: int, offset: int) -> Sequence[Effect]:
        """Deliver a room from behind `offset` of `epoch` on; a subscription it had is given up.

        `log` must have been read after the connection was attached to the bus. What is published between that
        read and this call is not missed.
        """
        self._forget(log.room)
        effects: list[Effect] = []
        room = _Room(epoch, offset, log.head, caught_up_at=log.head)
        self._rooms[log.room] = room
        if (reason := reset_reason(log, epoch, offset)) is not None:
            effects.append(self._reset(room, log, reason))
        room.epoch = log.epoch
        room.head = max(log.head, self._heard.pop(log.room, 0))
        self._settle(log.room, room, effects)
        return effects

    def unsubscribe(self, name: str) -> Sequence[Effect]:
        """Deliver nothing more of a room, and no longer wait for its acknowledgements."""
        self._forget(name)
        self._heard.pop(name, None)
        return self._pull([])

    def published(self, name: str, epoch: int, offset: int, size: int) -> Sequence[Effect]:
        """An event with a body of `size` bytes was committed: it is sent now or read from the store later."""
        room = self._rooms.get(name)
        if (
            room is not None
            and offset == room.sent + 1
            and epoch == room.epoch
            and self._fetching is None
            and not self._queue
            and self._fits(size)
        ):
            self._count(room, offset, size)
            return (SendLive(name, offset),)
        return self._hear(name, epoch, offset)

    def observed(self, log: RoomHead) -> Sequence[Effect]:
        """The store was asked how far a log reaches: what a lost notice would have told is fetched now."""
        return self._hear(log.room, log.epoch, log.head)

    def page(self, log: RoomHead, events: Sequence[StoredEvent]) -> Sequence[Effect]:
        """The answer to `Fetch`: events behind the offset asked for, with the log as it was in the same
        snapshot.
        """
        if self._fetching == log.room:
            self._fetching = None
        effects: list[Effect] = []
        room = self._rooms.get(log.room)
        if room is None:
            return self._pull(effects)
        if log.epoch < room.epoch:  # asked for by a subscription before this one
            self._enqueue(log.room, room)
            return self._pull(effects)
        if (reason := reset_reason(log, room.epoch, room.sent)) is not None:
            effects.append(self._reset(room, log, reason))
            # What was heard of the new log before this page was read is only known to the store.
            self._enqueue(log.room, room)
            return self._pull(effects)
        if log.epoch != room.epoch:  # nothing of the old log was sent, so nothing had to be reset
            room.epoch = log.epoch
            room.caught_up_at = None if room.caught_up_at is None else log.head
        heard_meanwhile = room.head > self._fetching_head
        # An empty page is the store's word that there is no more, except what was heard since it was asked.
        room.head = max(room.head, log.head) if events or heard_meanwhile else log.head
        self._take(log, room, events, effects)
        self._settle(log.room, room, effects)
        return effects

    def fetch_failed(self, name: str) -> Sequence[Effect]:
        """The read failed. Call this when it is time to try again, not at once."""
        if self._fetching == name:
            self._fetching = None
            if (room := self._rooms.get(name)) is not None:
                self._enqueue(name, room)
        return self._pull([])

    def acked(self, name: str, epoch: int, offset: int) -> Sequence[Effect]:
        """The device holds a room durably up to `offset`.

        Repeated or lower offsets change nothing, nor does what was under way when the room was reset or left.
        """
        room = self._rooms.get(name)
        if room is None or epoch != room.epoch:
            return ()
        if offset > room.sent:
            return (AckBeyondSent(name, room.sent),)
        if not room.unacked or offset < room.unacked[0][0]:
            return ()
        while room.unacked and room.unacked[0][0] <= offset:
            self._events -= 1
            self._bytes -= room.unacked.popleft()[1]
        return self._pull([Persist(name, epoch, offset)])

    def _hear(self, name: str, epoch: int, head: int) -> Sequence[Effect]:
        room = self._rooms.get(name)
        if room is None:
            self._heard[name] = max(head, self._heard.get(name, 0))
            return ()
        if epoch > room.epoch:
            room.doubtful = True
        elif epoch < room.epoch or head <= room.sent:
            return ()
        else:
            room.head = max(room.head, head)
        self._enqueue(name, room)
        return self._pull([])

    def _take(self, log: RoomHead, room: _Room, events: Sequence[StoredEvent], effects: list[Effect]) -> None:
        """Send what fits. Of a page some may have been sent already, or too much have been asked for."""
        taken: list[StoredEvent] = []
        for event in events:
            if event.offset != room.sent + 1:
                continue
            if not self._fits(len(event.body)):
                room.alone = not taken
                break
            room.alone = False
            self._count(room, event.offset, len(event.body))
            taken.append(event)
        if taken:
            effects.append(SendPage(log.room, log.epoch, tuple(taken)))

    def _settle(self, name: str, room: _Room, effects: list[Effect]) -> None:
        """Announce that the room is caught up if it is, queue it if it is not at the head, and read on."""
        if room.caught_up_at is not None and room.sent >= room.caught_up_at:
            room.caught_up_at = None
            effects.append(CaughtUp(name, room.epoch, room.sent))
        if room.sent < room.head or room.doubtful:
            self._enqueue(name, room)
        self._pull(effects)

    def _reset(self, room: _Room, log: RoomHead, reason: ResetReason) -> Reset:
        self._release(room)
        room.epoch, room.sent, room.head = log.epoch, log.lowest - 1, log.head
        room.alone = False
        if room.caught_up_at is not None:
            room.caught_up_at = log.head
        return Reset(log.room, log.epoch, log.lowest, reason, log.expired)

    def _pull(self, effects: list[Effect]) -> list[Effect]:
        """Ask for the next page, if a room waits for one and a page's worth of the window is free."""
        if self._fetching is None and self._queue and self._open(self._rooms[self._queue[0]]):
            name = self._queue.popleft()
            room = self._rooms[name]
            room.waits = room.doubtful = False
            self._fetching = name
            self._fetching_head = room.head
            effects.append(Fetch(name, room.sent, self._page_events, self._page_bytes))
        return effects

    def _open(self, room: _Room) -> bool:
        if self._events == 0:
            return True
        return (
            not room.alone
            and self._max_events - self._events >= self._page_events
            and self._max_bytes - self._bytes >= self._page_bytes
        )

    def _fits(self, size: int) -> bool:
        if self._events == 0:
            return True
        return self._events < self._max_events and self._bytes + size <= self._max_bytes

    def _count(self, room: _Room, offset: int, size: int) -> None:
        room.sent = offset
        room.head = max(room.head, offset)
        room.unacked.append((offset, size))
        self._events += 1
        self._bytes += size

    def _enqueue(self, name: str, room: _Room) -> None:
        if not room.waits and self._fetching != name:
            room.waits = True
            if room.alone:  # it keeps its turn: it is the window that was too full
                self._queue.appendleft(name)
            else:
                self._queue.append(name)

    def _release(self, room: _Room) -> None:
        self._events -= len(room.unacked)
        self._bytes -= sum(size for _, size in room.unacked)
        room.unacked.clear()

    def _forget(self, name: str) -> None:
        room = self._rooms.pop(name, None)
        if room is None:
            return
        self._release(room)
        if room.waits:
            self._queue.remove(name)

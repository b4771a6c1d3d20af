"""Appends and acknowledgements, nearly all that is ever written: many at once, in a few statements.

The rooms of a run are locked, what there is to know about it is read, then everything is decided here, one
write after the other, and written together. Nothing is remembered from one run to the next but the numbers
of devices, which never change: other processes write as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.errors import BeyondHead, NotFound, Outdated, StaleEpoch, StoreError, UnknownEpoch
from relay.inbox import ANSWER, QUESTION
from relay.keys import Sealing
from relay.postgres.connection import Connection
from relay.retention import OPENING
from relay.writes import Ack, Append, Appended, Applied, Outcome

HotWrite = Append | Ack
Device = tuple[str, str]  # account, device

_APPLIED: Final = Applied()
_LOCK: Final = (
    "SELECT id, no, head, waits FROM rooms WHERE id = ANY($1::text[]) AND deleted_ms IS NULL "
    "ORDER BY id FOR NO KEY UPDATE"
)
_MEMBERS: Final = (
    "SELECT m.room_no, m.account, l.number FROM members m "
    "LEFT JOIN device_lists l ON l.account = m.account AND l.body <> '' "  # those that were not reset
    "WHERE m.room_no = ANY($1::bigint[])"
)
_USED: Final = (
    "SELECT e.mid, d.account, d.device, e.room_no, e.offset_no, e.at_ms, e.body "
    "FROM events e JOIN devices d ON d.no = e.device_no WHERE e.mid = ANY($1::bytea[])"
)
_OPENED: Final = (
    "SELECT s.room_no, d.account, d.device, s.epoch "
    "FROM unnest($1::bigint[], $2::text[], $3::text[]) AS q (room_no, account, device) "
    "JOIN devices d ON d.account = q.account AND d.device = q.device "
    "JOIN sender_epochs s ON s.room_no = q.room_no AND s.device_no = d.no"
)
_DEVICES: Final = (
    "SELECT d.account, d.device, d.no FROM unnest($1::text[], $2::text[]) AS q (account, device) "
    "JOIN devices d ON d.account = q.account AND d.device = q.device"
)
_NEW_DEVICES: Final = (
    "INSERT INTO devices (account, device) SELECT * FROM unnest($1::text[], $2::text[]) "
    "ON CONFLICT DO NOTHING"
)
_EVENTS: Final = (
    "INSERT INTO events (room_no, offset_no, device_no, mid, at_ms, kind, waits, body) SELECT * FROM unnest("
    "$1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[], "
    "$8::bytea[])"
)
_HEADS: Final = (
    "UPDATE rooms SET head = q.head, waits = q.waits "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS q (no, head, waits) WHERE rooms.no = q.no"
)
_FLAGS: Final = (
    "INSERT INTO flags (room_no, offset_no, account, at_ms) "
    "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[])"
)
_OPEN: Final = (
    "INSERT INTO sender_epochs (room_no, device_no, epoch, offset_no) "
    "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[]) "
    "ON CONFLICT (room_no, device_no) DO UPDATE SET epoch = excluded.epoch, offset_no = excluded.offset_no"
)
_CURSORS: Final = (
    "INSERT INTO cursors AS c (device_no, room_no, epoch, offset_no) "
    "SELECT device_no, room_no, $3, offset_no FROM unnest($1::bigint[], $2::bigint[], $4::bigint[]) "
    "AS q (device_no, room_no, offset_no) "
    "ON CONFLICT (device_no, room_no) DO UPDATE SET epoch = excluded.epoch, offset_no = excluded.offset_no "
    "WHERE c.epoch <> excluded.epoch OR c.offset_no < excluded.offset_no"
)


@dataclass(slots=True)
class Room:
    """One room, locked, as the run sees it."""

    no: int
    head: int
    waits: int  # the oldest question that nothing has answered, 0 for none
    numbers: dict[str, int | None]  # of every member's device list, None without one
    audience: frozenset[str] = frozenset()
    listed: dict[str, int] = field(default_factory=dict)  # the numbers of those that have one
    changed: bool = False


@dataclass(slots=True)
class _Event:
    """An event with its place; as a row once its device has a number."""

    room_no: int
    offset: int
    device: Device | None
    mid: bytes | None
    at_ms: int
    kind: int
    waits: int
    body: bytes


class Devices:
    """The numbers of devices: up to `limit` stay in memory between batches."""

    def __init__(self, *, limit: int = 100_000) -> None:
        self._limit: Final = limit
        self._numbers: dict[Device, int] = {}

    async def numbers(self, db: Connection, devices: Iterable[Device]) -> dict[Device, int]:
        """The numbers of these devices, of those that have none a new one."""
        if len(self._numbers) > self._limit:
            self._numbers.clear()
        wanted = set(devices)
        # In one order for all writers, so that none waits for another that waits for it.
        missing = sorted(wanted - self._numbers.keys())
        if missing:
            columns = [account for account, _ in missing], [device for _, device in missing]
            rows = await db.fetch(_DEVICES, *columns)
            if len(rows) < len(missing):
                await db.execute(_NEW_DEVICES, *columns)
                rows = await db.fetch(_DEVICES, *columns)
            self._numbers.update({(account, device): number for account, device, number in rows})
        return {device: self._numbers[device] for device in wanted}

    def forget(self) -> None:
        """Forget all: numbers were given in a transaction that was rolled back."""
        self._numbers.clear()


async def lock_rooms(db: Connection, names: Iterable[str]) -> dict[str, Room]:
    """Lock those rooms that exist, in the order that all writers lock them in."""
    rows = await db.fetch(_LOCK, sorted(names))
    return {name: Room(no, head, waits, {}) for name, no, head, waits in rows}


async def apply(
    db: Connection, epoch: int, devices: Devices, writes: Sequence[HotWrite]
) -> list[Outcome | StoreError]:
    """Apply the writes in the transaction under way: to each its outcome, or the error that it names.

    A write that ends with an error has changed nothing, and the others do not notice.
    """
    run = await _Run.prepared(db, epoch, writes)
    answers = [run.answer(write) for write in writes]
    await run.write(db, devices)
    return answers


class _Run:
    """What is known about the rooms and mids of a run, and what is to be written at its end."""

    def __init__(self, epoch: int, rooms: dict[str, Room]) -> None:
        self._epoch: Final = epoch
        self._rooms: Final = rooms
        self._used: dict[tuple[bytes, Device], _Event] = {}
        self._opened: dict[tuple[int, Device], bytes] = {}  # sender epochs
        self._events: list[_Event] = []
        self._flagged: list[_Event] = []
        self._opening: dict[tuple[int, Device], tuple[bytes, int]] = {}
        self._cursors: dict[tuple[Device, int], int] = {}

    @classmethod
    async def prepared(cls, db: Connection, epoch: int, writes: Sequence[HotWrite]) -> "_Run":
        """Lock and read what the writes are about."""
        run = cls(epoch, await lock_rooms(db, {write.room for write in writes}))
        await run._read_members(db)
        appends = [write for write in writes if isinstance(write, Append)]
        await run._read_used(db, [write.mid for write in appends if write.mid is not None])
        await run._read_opened(db, appends)
        return run

    def answer(self, write: HotWrite) -> Outcome | StoreError:
        """Decide on one write."""
        try:
            return self._append(write) if isinstance(write, Append) else self._ack(write)
        except StoreError as error:
            return error

    async def write(self, db: Connection, devices: Devices) -> None:
        """Write what was decided on."""
        named = [event.device for event in self._events if event.device is not None]
        numbers = await devices.numbers(db, [*named, *[device for device, _ in self._cursors]])
        if self._events:
            await self._write_events(db, numbers)
        if self._opening:
            await db.execute(
                _OPEN,
                [room_no for room_no, _ in self._opening],
                [numbers[device] for _, device in self._opening],
                [epoch for epoch, _ in self._opening.values()],
                [offset for _, offset in self._opening.values()],
            )
        if self._cursors:
            places = sorted((numbers[device], room_no, at) for (device, room_no), at in self._cursors.items())
            device_nos, room_nos, offsets = zip(*places, strict=True)
            await db.execute(_CURSORS, device_nos, room_nos, self._epoch, offsets)

    async def _write_events(self, db: Connection, numbers: dict[Device, int]) -> None:
        rows = [
            (
                event.room_no,
                event.offset,
                numbers[event.device] if event.device is not None else None,
                event.mid,
                event.at_ms,
                event.kind,
                event.waits,
                event.body,
            )
            for event in self._events
        ]
        await db.execute(_EVENTS, *zip(*rows, strict=True))
        changed = [(room.no, room.head, room.waits) for room in self._rooms.values() if room.changed]
        await db.execute(_HEADS, *zip(*changed, strict=True))
        if self._flagged:
            flags = [
                (event.room_no, event.offset, event.device[0] if event.device else None, event.at_ms)
                for event in self._flagged
            ]
            await db.execute(_FLAGS, *zip(*flags, strict=True))

    async def _read_members(self, db: Connection) -> None:
        rooms = {room.no: room for room in self._rooms.values()}
        for no, account, number in await db.fetch(_MEMBERS, list(rooms)):
            rooms[no].numbers[account] = number
        for room in rooms.values():
            room.audience = frozenset(room.numbers)
            room.listed = {account: number for account, number in room.numbers.items() if number is not None}

    async def _read_used(self, db: Connection, mids: list[bytes]) -> None:
        if mids:
            for mid, account, device, no, offset, at_ms, body in await db.fetch(_USED, mids):
                sender = (account, device)
                self._used[mid, sender] = _Event(no, offset, sender, mid, at_ms, 0, 0, body)

    async def _read_opened(self, db: Connection, appends: list[Append]) -> None:
        sealed = {
            (self._rooms[write.room].no, write.sender, write.device)
            for write in appends
            if write.sealing is not None and write.sealing.epoch is not None and write.room in self._rooms
        }
        if sealed:
            rows = await db.fetch(_OPENED, *[list(column) for column in zip(*sealed, strict=True)])
            self._opened = {(no, (account, device)): epoch for no, account, device, epoch in rows}

    def _room(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            raise NotFound("no such room, or not a member of it")
        return room

    def _room_of(self, name: str, account: str) -> Room:
        room = self._room(name)
        if account not in room.audience:
            raise NotFound("no such room, or not a member of it")
        return room

    def _append(self, write: Append) -> Appended:
        """Give the event its place. Raises what the write names before anything changed."""
        device: Device | None = None
        kind: int = write.kind
        if write.sender is None or write.device is None or write.mid is None:
            room = self._room(write.room)
        else:
            device = (write.sender, write.device)
            if (first := self._used.get((write.mid, device))) is not None:
                return self._repeated(write, write.sender, first)
            room = self._room_of(write.room, write.sender)
            if write.sealing is not None:
                self._check_sealing(write.sealing, room, device)
                if write.sealing.opens and write.sealing.epoch is not None:
                    self._opened[room.no, device] = write.sealing.epoch
                    self._opening[room.no, device] = write.sealing.epoch, room.head + 1
                    kind = OPENING
        room.head += 1
        room.changed = True
        if kind == ANSWER:
            room.waits = 0
        elif kind == QUESTION and not room.waits:
            room.waits = room.head
        event = _Event(room.no, room.head, device, write.mid, write.at_ms, kind, room.waits, write.body)
        self._events.append(event)
        if write.flagged:
            self._flagged.append(event)
        if write.mid is not None and device is not None:
            self._used[write.mid, device] = event
        return Appended(room.head, self._epoch, write.at_ms, room.audience)

    def _check_sealing(self, sealing: Sealing, room: Room, device: Device) -> None:
        """Whether a sealed event is for those who are in the room now, in the epoch of its device."""
        if sealing.numbers != room.listed:
            raise Outdated("a member of the room has another device list")
        if sealing.epoch is None or sealing.opens:
            return
        if self._opened.get((room.no, device)) != sealing.epoch:
            raise UnknownEpoch("the device has not opened this epoch last")

    def _repeated(self, write: Append, sender: str, first: _Event) -> Appended:
        """The first result for that mid. Only who is a member of another room learns that it is another."""
        room = self._room(write.room)
        if room.no != first.room_no:
            room = self._room_of(write.room, sender)
        differs = room.no != first.room_no or first.body != write.body
        return Appended(
            first.offset, self._epoch, first.at_ms, room.audience, duplicate=True, differs=differs
        )

    def _ack(self, write: Ack) -> Applied:
        room = self._room_of(write.room, write.account)
        check_cursor(room.head, self._epoch, write.epoch, write.offset)
        key = ((write.account, write.device), room.no)
        self._cursors[key] = max(write.offset, self._cursors.get(key, 0))
        return _APPLIED


def check_cursor(head: int, current_epoch: int, epoch: int, offset: int) -> None:
    """Whether a cursor may stand there. Raises `StaleEpoch` or `BeyondHead`."""
    if epoch != current_epoch:
        raise StaleEpoch("the log has another epoch now")
    if offset > head:
        raise BeyondHead("the log does not reach that far")

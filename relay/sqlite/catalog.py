"""What the writer remembers between batches: rooms' heads and members, and the numbers of devices.

Only the writer's own transactions change these rows, so what is remembered is true until a transaction is
rolled back; then all is forgotten and read again.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from relay.errors import NotFound


@dataclass(slots=True)
class RoomState:
    """One room as the transaction under way sees it."""

    no: int
    head: int
    trimmed: int
    waits: int  # the oldest question that nothing has answered, 0 for none
    audience: frozenset[str]
    numbers: dict[str, int]  # of the device lists of those members that have one
    epochs: dict[int, bytes]  # the sender epochs that were looked at, by the device's number


class Catalog:
    """Rooms by id and devices by (account, device); up to `limit` of each stay between batches."""

    def __init__(self, db: sqlite3.Connection, *, limit: int = 100_000) -> None:
        self._db: Final = db
        self._limit: Final = limit
        self._rooms: dict[str, RoomState] = {}
        self._devices: dict[tuple[str, str], int] = {}

    def room(self, room: str) -> RoomState:
        """The room's state, to be kept up to date by the caller. Raises `NotFound`."""
        state = self._rooms.get(room)
        if state is None:
            state = self._rooms[room] = self._load(room)
        return state

    def room_of(self, room: str, account: str) -> RoomState:
        """The same, if the account is a member. Raises `NotFound` otherwise."""
        state = self._rooms.get(room) or self.room(room)
        if account not in state.audience:
            raise NotFound("no such room, or not a member of it")
        return state

    def find_device(self, account: str, device: str) -> int | None:
        """The device's number, None if it has not written anything yet."""
        number = self._devices.get((account, device))
        if number is None:
            row = self._db.execute(
                "SELECT no FROM devices WHERE account = ? AND device = ?", (account, device)
            ).fetchone()
            if row is not None:
                number = self._devices[account, device] = int(row[0])
        return number

    def add_device(self, account: str, device: str) -> int:
        """Give a device that has no number one, in the transaction under way."""
        (number,) = self._db.execute(
            "INSERT INTO devices (account, device) VALUES (?, ?) RETURNING no", (account, device)
        ).fetchone()
        self._devices[account, device] = number
        return int(number)

    def sender_epoch(self, state: RoomState, device_no: int) -> bytes | None:
        """The sender epoch that a device opened last in a room."""
        epoch = state.epochs.get(device_no)
        if epoch is None:
            row = self._db.execute(
                "SELECT epoch FROM sender_epochs WHERE room_no = ? AND device_no = ?", (state.no, device_no)
            ).fetchone()
            if row is not None:
                epoch = state.epochs[device_no] = row[0]
        return epoch

    def open_epoch(self, state: RoomState, device_no: int, epoch: bytes) -> None:
        """Begin another sender epoch of a device in a room, with the event that comes next."""
        self._db.execute(
            "INSERT INTO sender_epochs (room_no, device_no, epoch, offset_no) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET epoch = excluded.epoch, offset_no = excluded.offset_no",
            (state.no, device_no, epoch, state.head + 1),
        )
        state.epochs[device_no] = epoch

    def forget_room(self, room: str) -> None:
        """Read a room again when it is asked for. What was appended to it has to be in the file already."""
        self._rooms.pop(room, None)

    def forget_rooms_of(self, account: str) -> None:
        """The same for every room that an account is a member of."""
        rooms = self._db.execute(
            "SELECT r.id FROM members m JOIN rooms r ON r.no = m.room_no WHERE m.account = ?", (account,)
        )
        for (room,) in rooms:
            self.forget_room(room)

    def clear(self) -> None:
        """Forget everything: a transaction was rolled back."""
        self._rooms.clear()
        self._devices.clear()

    def trim(self) -> None:
        """Keep within the limit. Only between batches: within one, what is remembered may not be in the file
        yet.

        All goes at once: the rooms in use are read back in a batch or two, and no order of use has to be
        kept.
        """
        if len(self._rooms) > self._limit:
            self._rooms.clear()
        if len(self._devices) > self._limit:
            self._devices.clear()

    def _load(self, room: str) -> RoomState:
        row = self._db.execute(
            "SELECT r.no, r.trimmed, last.offset_no, last.waits FROM rooms r LEFT JOIN events last "
            "ON last.room_no = r.no AND last.offset_no = "
            "(SELECT max(offset_no) FROM events WHERE room_no = r.no) "
            "WHERE r.id = ? AND r.deleted_ms IS NULL",
            (room,),
        ).fetchone()
        if row is None:
            raise NotFound("no such room, or not a member of it")
        no, trimmed, last, waits = row
        members = self._db.execute("SELECT account FROM members WHERE room_no = ?", (no,))
        audience = frozenset(account for (account,) in members)
        numbers = self._db.execute(
            "SELECT m.account, l.number FROM members m JOIN device_lists l ON l.account = m.account "
            "WHERE m.room_no = ? AND l.body <> x''",  # those that were reset
            (no,),
        )
        head = max(trimmed, last or 0)
        return RoomState(no, head, trimmed, waits or 0, audience, dict(numbers.fetchall()), {})

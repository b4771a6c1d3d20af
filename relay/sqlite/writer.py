"""Applies a batch of calls in one transaction. Runs in the writer's thread, and nowhere else.

Calls are applied in their order. A single `Append` or `Ack`, which is nearly every call, is checked against
the catalog and written together with others at the end of the batch; any other call gets a savepoint of its
own, after what stands before it was written. So a call that fails leaves nothing behind, and the others of
its batch do not notice.
"""

import logging
import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Final

from relay.accounts import EraseAccount
from relay.errors import Outdated, StoreError, UnknownEpoch, Unstorable
from relay.group import Answer, Call
from relay.inbox import ANSWER, QUESTION
from relay.keys import ClaimPrekeys, Sealing
from relay.retention import OPENING, DropRoom, Purge
from relay.sqlite import changes, keys
from relay.sqlite.catalog import Catalog, RoomState
from relay.sqlite.guard import Note
from relay.sqlite.opening import Opened, translated
from relay.writes import Ack, Append, Appended, Applied, Outcome, Trim, Write

_log = logging.getLogger(__name__)

_APPLIED: Final = Applied()
_INSERT_EVENT: Final = (
    "INSERT INTO events (seq, room_no, offset_no, device_no, mid, at_ms, kind, waits, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# Rows written by one statement: it takes two thirds of the CPU of as many single ones.
_ROWS_AT_ONCE: Final = 64
_INSERT_EVENTS: Final = _INSERT_EVENT + ", (?, ?, ?, ?, ?, ?, ?, ?, ?)" * (_ROWS_AT_ONCE - 1)
_FLAG: Final = "INSERT INTO flags (room_no, offset_no, account, at_ms) VALUES (?, ?, ?, ?)"
_PUT_CURSOR: Final = (
    "INSERT INTO cursors (device_no, room_no, epoch, offset_no) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET epoch = excluded.epoch, offset_no = excluded.offset_no "
    "WHERE epoch <> excluded.epoch OR offset_no < excluded.offset_no"
)
# How many mids one statement looks up: few sizes, so that each stays prepared. NULLs fill the rest.
_LOOKUP_SIZES: Final = (1, 8, 64, 512)
_LOOKUPS: Final = {
    # Only question marks are put into the text.
    size: f"SELECT mid, device_no, seq FROM events WHERE mid IN ({', '.join('?' * size)})"  # noqa: S608
    for size in _LOOKUP_SIZES
}

_EventRow = tuple[int, int, int, int | None, bytes | None, int, int, int, bytes]


class Writer:
    """The one connection that writes, and what it remembers."""

    def __init__(self, opened: Opened, *, max_wal_bytes: int = 128 << 20) -> None:
        self._wal: Final = opened.path.with_name(opened.path.name + "-wal")
        self._max_wal_bytes: Final = max_wal_bytes
        self._db: Final = opened.db
        self._guard: Final = opened.guard
        self._store_id: Final = opened.note.store_id
        self._epoch: Final = opened.note.epoch
        self._seq = opened.note.seq  # of the last event
        self._claims = opened.note.claims
        self._catalog: Final = Catalog(opened.db)
        self._dropped = False  # whether events were, that the WAL may hold still
        self.appends = 0  # events written and committed
        # Of the batch under way:
        self._flushed = 0
        self._claimed = False  # whether prekeys may have been claimed in it
        self._rows: list[_EventRow] = []  # events to be written with the next flush
        self._cursors: dict[tuple[int, int], int] = {}  # (device, room) -> offset, likewise
        self._used: dict[tuple[bytes, int], int] = {}  # (mid, device) that are taken -> seq of the event

    def apply(self, calls: Sequence[Call]) -> list[Answer]:
        """Apply the calls, none of them empty; what this returns is durable.

        When the transaction itself fails, every call is answered with that error.
        """
        if self._db.in_transaction:  # the last one could not even be rolled back
            self._db.execute("ROLLBACK")
        self._catalog.trim()
        before = self._seq
        self._flushed = 0
        self._claimed = False
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._find_used(calls)
            answers = [self._answer(call) for call in calls]
            self._flush()
            self._db.execute("COMMIT")
        except BaseException as error:
            self._abandon(before)
            if isinstance(error, sqlite3.Error):
                return [translated(error) for _ in calls]
            raise
        self.appends += self._flushed
        self._take_note()
        self._bound_wal()
        return answers

    def close(self) -> None:
        """Close the file. SQLite moves what the WAL holds into it."""
        self._db.close()
        self._guard.close()

    def _answer(self, call: Call) -> Answer:
        try:
            if len(call) == 1:
                (write,) = call
                if isinstance(write, Append):
                    return (self._append(write),)
                if isinstance(write, Ack):
                    return (self._ack(write),)
            return self._apply_apart(call)
        except StoreError as error:
            return error
        except (ValueError, OverflowError) as error:  # the sqlite3 module's, before SQLite saw the value
            return Unstorable(f"a value cannot be stored ({type(error).__name__})")

    def _apply_apart(self, call: Call) -> tuple[Outcome, ...]:
        """Apply a call with a savepoint to go back to."""
        self._flush()
        used, seq = dict(self._used), self._seq
        self._db.execute("SAVEPOINT call")
        try:
            outcomes = tuple([self._apply_one(write) for write in call])
            self._flush()
        except (StoreError, ValueError, OverflowError):
            self._db.execute("ROLLBACK TO call")
            self._db.execute("RELEASE call")
            self._rows.clear()
            self._cursors.clear()
            self._used, self._seq = used, seq
            self._catalog.clear()
            raise
        self._db.execute("RELEASE call")
        return outcomes

    def _apply_one(self, write: Write) -> Outcome:
        match write:
            case Append():
                return self._append(write)
            case Ack():
                return self._ack(write)
            case ClaimPrekeys():
                self._claimed = True
                return keys.claim(self._db, self._epoch, write)
            case _:
                self._flush()  # the change may look at the log, or shorten it
                outcome = changes.apply(self._db, self._catalog, self._epoch, write)
                if isinstance(write, Trim | Purge | DropRoom | EraseAccount):
                    self._forget_dropped()
                return outcome

    def _append(self, write: Append) -> Appended:
        """Give the event its place. Raises what the write names before anything changed."""
        catalog = self._catalog
        device_no: int | None = None
        kind: int = write.kind
        if write.sender is None or write.device is None or write.mid is None:
            state = catalog.room(write.room)
        else:
            device_no = catalog.find_device(write.sender, write.device)
            if device_no is not None and (seq := self._used.get((write.mid, device_no))) is not None:
                return self._repeated(write, write.sender, seq)
            state = catalog.room_of(write.room, write.sender)
            if write.sealing is not None:
                self._check_sealing(write.sealing, state, device_no)
            if device_no is None:
                device_no = catalog.add_device(write.sender, write.device)
            if write.sealing is not None and write.sealing.opens and write.sealing.epoch is not None:
                catalog.open_epoch(state, device_no, write.sealing.epoch)
                kind = OPENING
            self._used[write.mid, device_no] = self._seq + 1
        self._seq += 1
        state.head += 1
        if kind == ANSWER:
            state.waits = 0
        elif kind == QUESTION and not state.waits:
            state.waits = state.head
        if write.flagged:
            self._db.execute(_FLAG, (state.no, state.head, write.sender, write.at_ms))
        self._rows.append(
            (
                self._seq,
                state.no,
                state.head,
                device_no,
                write.mid,
                write.at_ms,
                kind,
                state.waits,
                write.body,
            )
        )
        return Appended(state.head, self._epoch, write.at_ms, state.audience)

    def _check_sealing(self, sealing: Sealing, state: RoomState, device_no: int | None) -> None:
        """Whether a sealed event is for those who are in the room now, in the epoch of its device."""
        if sealing.numbers != state.numbers:
            raise Outdated("a member of the room has another device list")
        if sealing.epoch is None or sealing.opens:
            return
        if device_no is None or self._catalog.sender_epoch(state, device_no) != sealing.epoch:
            raise UnknownEpoch("the device has not opened this epoch last")

    def _repeated(self, write: Append, sender: str, seq: int) -> Appended:
        """The first result for that mid. Only who is a member of another room learns that it is another."""
        if self._rows and seq >= self._rows[0][0]:
            _, room_no, offset, _, _, at_ms, _, _, body = self._rows[seq - self._rows[0][0]]
        else:
            room_no, offset, at_ms, body = self._db.execute(
                "SELECT room_no, offset_no, at_ms, body FROM events WHERE seq = ?", (seq,)
            ).fetchone()
        state = self._catalog.room(write.room)
        if state.no != room_no:
            state = self._catalog.room_of(write.room, sender)
        differs = state.no != room_no or body != write.body
        return Appended(offset, self._epoch, at_ms, state.audience, duplicate=True, differs=differs)

    def _ack(self, write: Ack) -> Applied:
        catalog = self._catalog
        state = catalog.room_of(write.room, write.account)
        changes.check_cursor(state.head, self._epoch, write.epoch, write.offset)
        device_no = catalog.find_device(write.account, write.device)
        if device_no is None:
            device_no = catalog.add_device(write.account, write.device)
        key = (device_no, state.no)
        self._cursors[key] = max(write.offset, self._cursors.get(key, 0))
        return _APPLIED

    def _find_used(self, calls: Sequence[Call]) -> None:
        """Look up all mids of the batch at once: most are new, and cost a fraction of a statement each."""
        mids = [write.mid for call in calls for write in call if isinstance(write, Append) and write.mid]
        self._used.clear()
        for start in range(0, len(mids), _LOOKUP_SIZES[-1]):
            some: list[bytes | None] = [*mids[start : start + _LOOKUP_SIZES[-1]]]
            size = next(size for size in _LOOKUP_SIZES if size >= len(some))
            some.extend([None] * (size - len(some)))
            self._used.update(
                {(mid, device): seq for mid, device, seq in self._db.execute(_LOOKUPS[size], some)}
            )

    def _forget_dropped(self) -> None:
        """Mids of events that are gone may be used again."""
        self._dropped = True
        self._used = {
            key: seq
            for key, seq in self._used.items()
            if self._db.execute("SELECT 1 FROM events WHERE seq = ?", (seq,)).fetchone()
        }

    def _flush(self) -> None:
        if self._rows:
            self._insert_events(self._rows)
            self._flushed += len(self._rows)
            self._rows.clear()
        if self._cursors:
            self._db.executemany(
                _PUT_CURSOR,
                [(device, room, self._epoch, offset) for (device, room), offset in self._cursors.items()],
            )
            self._cursors.clear()

    def _insert_events(self, rows: list[_EventRow]) -> None:
        whole = len(rows) - len(rows) % _ROWS_AT_ONCE
        for start in range(0, whole, _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            self._db.execute(_INSERT_EVENTS, list(chain.from_iterable(some)))
        self._db.executemany(_INSERT_EVENT, rows[whole:])

    def _abandon(self, seq: int) -> None:
        """Forget the batch: the transaction failed."""
        self._seq = seq
        self._rows.clear()
        self._cursors.clear()
        self._catalog.clear()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _take_note(self) -> None:
        if self._claimed:
            self._claims = int(self._db.execute("SELECT claims FROM line").fetchone()[0])
        try:
            self._guard.write(Note(self._store_id, self._epoch, self._seq, self._claims))
        except OSError as error:
            # The batch is durable all the same, and the older note is still true.
            _log.warning("store_guard_not_written", extra={"reason": error.strerror})

    def _bound_wal(self) -> None:
        """Empty the WAL when it has grown past its limit, or may hold what was dropped from the logs.

        SQLite begins it anew by itself after every few MiB, unless there is always some reader in it; then
        this waits for those readers, which are short, while new ones read the main file. A batch in whose
        time they were not short enough leaves it to the next.
        """
        try:
            if self._dropped or self._wal.stat().st_size > self._max_wal_bytes:
                busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._dropped = self._dropped and bool(busy)
        except (OSError, sqlite3.Error) as error:
            # The batch is durable all the same; the next one tries again.
            _log.warning("store_wal_not_emptied", extra={"reason": type(error).__name__})

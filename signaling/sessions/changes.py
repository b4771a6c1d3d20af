"""How a change of a session is made: read, decide, commit, carry out what follows.

A session, its deadlines and the events that tell of its change are one commit, guarded by the session's
version: of two changes at the same moment, on whatever nodes, one is decided again on the outcome of the
other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol import errors
from protocol.errors import ProtocolError
from relay import rows
from relay.errors import Conflict, NotFound
from relay.rows import Deadline
from relay.store import Store
from relay.writes import Outcome, SetDeadline, Write
from signaling.sessions import core
from signaling.sessions.commands import Command, Decision
from signaling.sessions.persistence import writes_of
from signaling.sessions.ports import Companion, Ledger
from signaling.sessions.session import Session, from_row
from signaling.sessions.telling import Telling
from signaling.timebase import Timebase

ATTEMPTS = 16
"""How often a change is decided again when others change the same session: more people than fit into one."""


class Changes:
    """Makes changes of sessions durable, and then known.

    Every method raises :exc:`ProtocolError` for what is refused and :exc:`relay.errors.StoreError` when the
    store fails.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        telling: Telling,
        timebase: Timebase,
        deadline_set: Callable[[Deadline], None],
        changed: Callable[[str], None],
        companions: Sequence[Companion] = (),
        fence: Sequence[Write] = (),
    ) -> None:
        """``deadline_set`` hears of every deadline committed here, ``changed`` of every change.

        What ``companions`` have to write goes into every commit, and so does ``fence``: after its death a
        node brings nobody into a session, where nobody would notice when they are gone.
        """
        self._store = store
        self._ledger = ledger
        self._telling = telling
        self._timebase = timebase
        self._deadline_set = deadline_set
        self._changed = changed
        self._companions = companions
        self._fence = fence

    async def find(self, session_id: str) -> Session:
        """A session by its id. ``no_such_session``."""
        return from_row(_existing(await self._store.session(session_id)))

    async def begin(self, decision: Decision, now_ms: int, also: Sequence[Write]) -> None:
        """Store a new session, and ``also`` in the same commit. ``no_such_room``, ``already_exists``."""
        writes = (*self._writes(None, decision, None, now_ms), *also)
        try:
            outcomes = await self._ledger.commit(*writes)
        except NotFound:
            raise ProtocolError(errors.NO_SUCH_ROOM) from None
        except Conflict:
            raise ProtocolError(errors.ALREADY_EXISTS) from None
        await self._follow(None, decision, writes, outcomes)

    async def change(self, session_id: str, command: Command) -> Session:
        """The session after a command. ``no_such_session``, ``session_changed``, what the command meets."""
        row = await self._store.session(session_id)
        return await self._commit(row, lambda session, now_ms: core.decide(session, command, now_ms))

    async def elapse(self, deadline: Deadline, row: rows.Session | None) -> None:
        """Carry out a deadline of a session that was just read; a stale one changes nothing."""
        if row is not None:
            await self._commit(row, lambda session, _: core.advance(session, deadline.due_ms))

    async def lose(self, row: rows.Session, connections: frozenset[str], since_ms: int) -> None:
        """Take connections of a session that was just read for gone since an instant."""
        await self._commit(row, lambda session, _: core.lost(session, connections, since_ms))

    async def remind(self) -> None:
        """Send the countdowns that are due to those who are in the sessions."""
        for session_id in self._telling.countdowns.due(self._timebase.now_ms()):
            session = await self.find(session_id)
            self._telling.announce(session, session.present)

    async def _commit(self, row: rows.Session | None, decide: Callable[[Session, int], Decision]) -> Session:
        """Decide on the session as it stands until nobody else changes it at the same moment."""
        for _ in range(ATTEMPTS):
            stored = _existing(row)
            before, now_ms = from_row(stored), self._timebase.now_ms()
            decision = decide(before, now_ms)
            writes = self._writes(before, decision, stored.version, now_ms)
            try:
                outcomes = await self._ledger.commit(*writes, *self._fence) if writes else ()
            except Conflict:
                row = await self._store.session(stored.id)
                continue
            await self._follow(before, decision, writes, outcomes)
            return decision.session
        raise ProtocolError(errors.SESSION_CHANGED)

    def _writes(
        self, before: Session | None, decision: Decision, version: int | None, now_ms: int
    ) -> tuple[Write, ...]:
        writes = writes_of(before, decision, version, now_ms)
        beside = [
            write
            for companion in self._companions
            for write in companion.session_changes(decision.session, decision.events, now_ms)
        ]
        return (*writes, *beside)

    async def _follow(
        self, before: Session | None, decision: Decision, writes: Sequence[Write], outcomes: Sequence[Outcome]
    ) -> None:
        for write in writes:
            if isinstance(write, SetDeadline):
                self._deadline_set(Deadline(write.session, write.kind, write.due_ms, write.version))
        for event in decision.events:
            self._changed(event.change)
        await self._telling.carry_out(before, decision, outcomes)


def _existing(row: rows.Session | None) -> rows.Session:
    if row is None:
        raise ProtocolError(errors.NO_SUCH_SESSION)
    return row

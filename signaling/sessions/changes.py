"""How a change of a session is made: read, decide, commit, then carry out what follows.

A session, its deadlines and the events that tell of its change are one commit, guarded by the session's
version: of two changes at the same moment, on whatever nodes, one is decided again on the outcome of the
other. What follows from a change (signals, cutting media) is done after the commit and may be lost with the
process; whoever comes back reads the truth from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import assert_never

from protocol import errors
from protocol.errors import ProtocolError
from relay import rows
from relay.errors import Conflict, NotFound
from relay.rows import Deadline
from relay.store import Store
from relay.writes import Appended, Outcome, SetDeadline, Write
from signaling.sessions import core
from signaling.sessions.commands import Announce, CloseMedia, Command, Decision, RemoveMedia
from signaling.sessions.countdowns import Countdowns
from signaling.sessions.persistence import writes_of
from signaling.sessions.ports import Ledger, MediaPlane, Signals
from signaling.sessions.session import Session, countdown, from_row
from signaling.timebase import Timebase

ATTEMPTS = 16
"""How often a change is decided again when others change the same session: more people than fit into one."""

COUNTDOWN_MS = 60_000
"""How often those in a session are told where its clock stands when nothing happens."""


class Changes:
    """Makes changes of sessions durable, one after another for each session, and lets them take effect."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        signals: Signals,
        media: MediaPlane,
        timebase: Timebase,
        deadline_set: Callable[[Deadline], None],
        changed: Callable[[str], None],
    ) -> None:
        """``deadline_set`` hears of every deadline committed here, ``changed`` of every change."""
        self._store = store
        self._ledger = ledger
        self._signals = signals
        self._media = media
        self._timebase = timebase
        self._deadline_set = deadline_set
        self._changed = changed
        self._countdowns = Countdowns(COUNTDOWN_MS)

    async def find(self, session_id: str) -> Session:
        """A session by its id. ``no_such_session``."""
        return from_row(_existing(await self._store.session(session_id)))

    async def begin(self, decision: Decision, now_ms: int, also: Sequence[Write]) -> None:
        """Store a new session, and ``also`` in the same commit. ``no_such_room``, ``already_exists``."""
        writes = (*writes_of(None, decision, None, now_ms), *also)
        try:
            outcomes = await self._ledger.commit(*writes)
        except NotFound:
            raise ProtocolError(errors.NO_SUCH_ROOM) from None
        except Conflict:
            raise ProtocolError(errors.ALREADY_EXISTS) from None
        self._carry_out(decision, writes, outcomes)

    async def change(self, session_id: str, command: Command) -> Session:
        """The session after a command. ``no_such_session``, ``session_changed``, what the command meets."""
        row = await self._store.session(session_id)
        return await self._commit(row, lambda session, now_ms: core.decide(session, command, now_ms))

    async def elapse(self, deadline: Deadline, row: rows.Session | None) -> None:
        """Carry out a deadline of a session that was just read; a stale one changes nothing."""
        if row is not None:
            await self._commit(row, lambda session, _: core.advance(session, deadline.due_ms))

    async def remind(self) -> None:
        """Send the countdowns that are due to those who are in the sessions."""
        for session_id in self._countdowns.due(self._timebase.now_ms()):
            session = await self.find(session_id)
            self._announce(session, session.present)

    async def _commit(self, row: rows.Session | None, decide: Callable[[Session, int], Decision]) -> Session:
        """Decide on the session as it stands until nobody else changes it at the same moment."""
        for _ in range(ATTEMPTS):
            stored = _existing(row)
            before, now_ms = from_row(stored), self._timebase.now_ms()
            decision = decide(before, now_ms)
            writes = writes_of(before, decision, stored.version, now_ms)
            try:
                outcomes = await self._ledger.commit(*writes) if writes else ()
            except Conflict:
                row = await self._store.session(stored.id)
                continue
            self._carry_out(decision, writes, outcomes)
            return decision.session
        raise ProtocolError(errors.SESSION_CHANGED)

    def _carry_out(self, decision: Decision, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> None:
        session = decision.session
        for write in writes:
            if isinstance(write, SetDeadline):
                self._deadline_set(Deadline(write.session, write.kind, write.due_ms, write.version))
        for event in decision.events:
            self._changed(event.change)
        told = [outcome.audience for outcome in outcomes if isinstance(outcome, Appended)]
        audience = [account for account in told[-1] if session.invites(account)] if told else session.present
        for effect in dict.fromkeys(decision.effects):
            match effect:
                case Announce():
                    self._announce(session, audience)
                case CloseMedia():
                    self._media.close(session.id)
                case RemoveMedia(account):
                    self._media.remove(session.id, account)
                case _:
                    assert_never(effect)

    def _announce(self, session: Session, accounts: Collection[str]) -> None:
        now_ms = self._timebase.now_ms()
        if session.over or not session.present:
            self._countdowns.forget(session.id)
        else:
            self._countdowns.told(session.id, now_ms)
        self._signals.signal(session.room, accounts, countdown(session, now_ms), None)


def _existing(row: rows.Session | None) -> rows.Session:
    if row is None:
        raise ProtocolError(errors.NO_SUCH_SESSION)
    return row

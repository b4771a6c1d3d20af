"""Writes the audit trail of a node: entries beside every change, notes of what changes nothing, signatures.

An entry about a change is in the commit of the change. What is noted (reads, refusals) is committed within a
second or so: a process that is killed may take the last of it along, and never an entry about a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import structlog

from config.settings import AuditSettings
from relay.audit_chain import AuditEntry, AuditRecord
from relay.audit_trail import (
    EMPTY,
    AppendAudit,
    AuditHead,
    EndGrant,
    PruneAudit,
    PutCheckpoint,
)
from relay.errors import Conflict, StoreError
from relay.store import Store
from relay.writes import Write
from signaling.audit import origin
from signaling.audit.actions import entries_of, entries_of_session, entry_of
from signaling.audit.keys import KeyRing, load_or_create
from signaling.audit.notes import Notes
from signaling.audit.origin import CLOCK, Origin
from signaling.audit.places import places
from signaling.audit.pruning import Pruning
from signaling.audit.seals import sign_checkpoint
from signaling.audit.witness import Witness, WitnessError
from signaling.sessions.commands import Happened
from signaling.sessions.session import Session
from signaling.timebase import Timebase

PAGE = 1_000
"""Entries that are looked at, and pruned, at a time."""

DAY_MS = 86_400_000

_log = structlog.get_logger("rapport.audit")


class Auditor:
    """The audit trail of this deployment, as one node writes it.

    A :class:`signaling.rooms.Companion`: entries go into every commit that has something to record.
    """

    def __init__(
        self, settings: AuditSettings, store: Store, store_url: str, timebase: Timebase, version: str
    ) -> None:
        self._settings = settings
        self._store = store
        self._places = places(settings, store_url)
        self._timebase = timebase
        self._version = version
        self._notes = Notes()
        self._ring: KeyRing | None = None
        self._witness: Witness | None = None
        self._signed = EMPTY
        self._signed_ms = 0
        self._writing = asyncio.Lock()

    # --- Recording ---

    def alongside(self, writes: Sequence[Write]) -> Sequence[Write]:
        """The entries that belong into the commit of ``writes``."""
        now_ms = self._timebase.now_ms()
        return [AppendAudit(entry) for entry in entries_of(writes, origin.current(), now_ms)]

    def session_changes(self, session: Session, events: Sequence[Happened], now_ms: int) -> Sequence[Write]:
        """The entries about a session that do not follow from what is written into its room's log."""
        entries = entries_of_session(session, events, origin.current(), now_ms)
        return [AppendAudit(entry) for entry in entries]

    def committed(self, writes: Sequence[Write]) -> None:
        """Nothing follows from what was recorded."""

    def note(
        self,
        by: Origin,
        action: str,
        kind: str,
        name: str,
        outcome: str,
        *,
        room: str = "",
        reason: str = "",
    ) -> None:
        """Record what changed nothing; at once, and never in anybody's way."""
        now_ms = self._timebase.now_ms()
        self._notes.put(
            entry_of(by, action, kind, name, at_ms=now_ms, room=room, outcome=outcome, reason=reason)
        )

    # --- Running ---

    async def start(self) -> None:
        """Open keys and witness, look whether the trail ends as it was signed, and record the start.

        Raises :exc:`~signaling.key_files.KeyFileError`, :exc:`~signaling.audit.witness.WitnessError`.
        """
        self._ring = await asyncio.to_thread(load_or_create, Path(self._places.key))
        self._witness = await asyncio.to_thread(Witness, Path(self._places.witness))
        await self._check_last()
        self._record("server.started", "server", self._version)
        await self.write_notes()
        await self._sign()

    async def stop(self) -> None:
        """Record the end, write what waits, sign the trail up to it."""
        self._record("server.stopped", "server", self._version)
        try:
            await self.write_notes()
            await self._sign()
        except (StoreError, WitnessError) as error:
            _log.error("audit_not_signed", error=type(error).__name__)
        if self._witness is not None:
            self._witness.close()

    async def write_notes(self) -> None:
        """To be called about once a second on every node: commits what waits.

        If the store does not take it, it goes on waiting.
        """
        async with self._writing:  # nothing is taken twice, and nothing overtakes
            if left_out := self._notes.left_out:
                _log.warning("audit_overflow", entries=left_out)
            waiting = self._notes.take()
            if left_out:
                waiting = (*waiting, self._overflow(left_out))
            if not waiting:
                return
            try:
                await self._store.commit(*(AppendAudit(entry) for entry in waiting))
            except StoreError:
                for entry in waiting:
                    self._notes.put(entry)
                raise

    async def tick(self) -> None:
        """To be called about once a second on one node: the same, and ends grants, and signs what is due."""
        await self.write_notes()
        await self._end_grants()
        head = await self._store.audit_head()
        unsigned = head.sequence - self._signed.sequence
        late = self._timebase.now_ms() - self._signed_ms >= self._settings.checkpoint_seconds * 1000
        if unsigned >= self._settings.checkpoint_entries or (unsigned > 0 and late):
            await self._sign()

    async def prune(self) -> None:
        """Drop the entries that are past their time; what is held stays, and what is not signed yet."""
        before_ms = self._timebase.now_ms() - self._settings.retention_days * DAY_MS
        while await self._prune_page(before_ms):
            pass

    # --- Inside ---

    def _record(self, action: str, kind: str, name: str, *, count: int = 1) -> None:
        self._notes.put(entry_of(CLOCK, action, kind, name, at_ms=self._timebase.now_ms(), count=count))

    def _overflow(self, count: int) -> AuditEntry:
        return entry_of(CLOCK, "audit.overflow", "audit", "", at_ms=self._timebase.now_ms(), count=count)

    async def _sign(self) -> None:
        """Sign the trail as it stands. What was read is durable, so no signature is ahead of the store."""
        assert self._ring is not None
        assert self._witness is not None
        head, now_ms = await self._store.audit_head(), self._timebase.now_ms()
        if head.sequence <= self._signed.sequence:
            return
        checkpoint = sign_checkpoint(self._ring.private, head, now_ms)
        await asyncio.to_thread(self._witness.append, checkpoint)
        await self._store.commit(PutCheckpoint(checkpoint))
        self._signed, self._signed_ms = head, now_ms

    async def _check_last(self) -> None:
        """Whether the entry that was signed last is still there; `rapport audit verify` tells the rest."""
        assert self._witness is not None
        try:
            last = self._witness.last()
        except WitnessError:
            self._broken(0)
            return
        anchor = await self._store.audit_anchor()
        if last is None or (anchor is not None and last.sequence <= anchor.through):
            return
        found = await self._store.audit(after=last.sequence - 1, limit=1)
        if [(one.sequence, one.digest) for one in found] != [(last.sequence, last.digest)]:
            self._broken(last.sequence)

    def _broken(self, sequence: int) -> None:
        """Serving goes on all the same: a trail is mended by nobody, and people wait for their sessions."""
        _log.error("audit_broken", sequence=sequence)
        self._record("audit.broken", "entry", str(sequence))

    async def _end_grants(self) -> None:
        now_ms = self._timebase.now_ms()
        for grant in await self._store.grants(until_ms=now_ms + 1, limit=PAGE):
            entry = entry_of(
                CLOCK, "break_glass.ended", "scope", grant.scope, at_ms=now_ms, subject=grant.account
            )
            try:
                await self._store.commit(EndGrant(grant), AppendAudit(entry))
            except Conflict:
                continue  # it was prolonged meanwhile, or another node has ended it

    async def _prune_page(self, before_ms: int) -> bool:
        """Prune one page. False when there is nothing to prune, or somebody has come in between."""
        assert self._ring is not None
        anchor = await self._store.audit_anchor()
        pruning = Pruning(anchor, before_ms, self._signed.sequence)
        for record in await self._store.audit(after=pruning.through.sequence, limit=PAGE):
            if not pruning.takes(record):
                break
        async for record in self._kept(pruning.through):
            pruning.keeps(record)
        if not pruning.worthwhile:
            return False
        now_ms = self._timebase.now_ms()
        signed = pruning.anchor(self._ring.private, now_ms)
        through = str(signed.through)
        entry = entry_of(CLOCK, "audit.pruned", "entry", through, at_ms=now_ms, count=pruning.dropped)
        try:
            await self._store.commit(PruneAudit(signed), AppendAudit(entry))
        except Conflict:
            return False  # a hold was placed or released meanwhile: the next run sees it
        return True

    async def _kept(self, through: AuditHead) -> AsyncIterator[AuditRecord]:
        last = 0
        while page := await self._store.audit_kept(through=through.sequence, after=last, limit=PAGE):
            for record in page:
                yield record
            last = page[-1].sequence

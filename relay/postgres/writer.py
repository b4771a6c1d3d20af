"""Applies batches of calls, each in one transaction, and knows of each whether it was committed.

Calls are applied in their order. Appends and acknowledgements that follow one another are written together
(`runs.py`); any other call gets a savepoint of its own. So a call that fails leaves nothing behind, and the
others of its batch do not notice.

Every batch has a number, which its transaction writes into this writer's row of `writers`. When the
connection is lost in a COMMIT, the next one asks for that row with a lock, which waits for whatever is left
of the old transaction: then the number says whether the batch was committed. It is done again if not. A
number lower than that of the last batch acknowledged says that the database was put back meanwhile.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

import asyncpg

from relay.accounts import EraseAccount
from relay.audit_chain import AuditEntry
from relay.audit_trail import AppendAudit, PruneAudit, PutCheckpoint
from relay.blob_rows import BeginBlob, DropBlob, FinishBlob
from relay.errors import OutcomeUnknown, StoreError, StoreRestored
from relay.group import Answer, Call
from relay.keys import ClaimPrekeys, PutDeviceList, RequestDevice, ResetKeys
from relay.postgres import audit, changes, keys, locks, runs, webhooks
from relay.postgres.connection import Connection
from relay.postgres.errors import (
    FAILURES,
    concerns_all,
    is_lost,
    is_refused_value,
    is_worth_another_try,
    translated,
)
from relay.postgres.opening import Link, Target, check_epoch, connect
from relay.push import PutDoorbell
from relay.writes import Ack, AddMember, Append, Appended, Applied, Outcome

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 5  # of a batch that meets another writer's every time
_PAUSE: Final = 0.2  # s at most, between two attempts
_APPLIED: Final = Applied()
_NOW_MS: Final = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_COUNTING: Final = (PutDeviceList, ResetKeys, EraseAccount, RequestDevice, PutDoorbell)
_KEPT_MS: Final = 30 * 24 * 3600 * 1000  # for which the row of a writer stays that writes nothing


class Writer:
    """The one connection of a process that writes; a `relay.group.BatchWriter`."""

    def __init__(self, target: Target, epoch: int) -> None:
        self._target: Final = target
        self._epoch: Final = epoch
        self._name: Final = secrets.token_hex(16)
        self._devices: Final = runs.Devices()
        self._link: Link | None = None
        self.restored = False  # the database is not the one that was opened any more
        self._number = 0  # of the batch under way
        self._committed = 0  # the number of the last one known to be
        self._doubtful: list[Answer] | None = None  # answers of a batch whose COMMIT was sent
        self._warned = False  # PostgreSQL has warned of something on the connection
        self._task: asyncio.Task[None] | None = None
        self.appends = 0  # events written and committed

    async def open(self) -> None:
        """Connect, and make this writer's row. Raises `StoreError`."""
        self._link = link = await connect(self._target, idle_seconds=self._target.idle_seconds)
        link.add_log_listener(self._listen)
        try:
            await link.execute(
                f"DELETE FROM writers WHERE at_ms < {_NOW_MS} - $1::bigint",  # noqa: S608 - a constant
                _KEPT_MS,
            )
            await link.execute(f"INSERT INTO writers VALUES ($1, 0, {_NOW_MS})", self._name)  # noqa: S608
        except FAILURES as error:
            self._drop()
            raise translated(error) from None

    def begin(self, calls: Sequence[Call], done: Callable[[Sequence[Answer]], None]) -> None:
        """Write a batch in a task."""
        self._task = asyncio.get_running_loop().create_task(self._run(calls, done))

    async def end(self) -> None:
        """Remove this writer's row, and close the connection."""
        if self._link is None:
            return
        watch = asyncio.get_running_loop().call_later(self._target.connect_seconds, self._link.terminate)
        try:
            await self._link.execute("DELETE FROM writers WHERE name = $1", self._name)
            await self._link.close()
        except FAILURES as error:
            _log.warning("store_writer_not_removed", extra={"reason": type(error).__name__})
        finally:
            watch.cancel()
            self._drop()

    async def apply(self, calls: Sequence[Call]) -> list[Answer]:
        """Apply the calls, none of them empty; what this returns is durable.

        When the transaction itself fails, every call is answered with that error.
        """
        self._number += 1
        failed: StoreError
        try:
            return await self._until_known(calls)
        except StoreError as error:
            failed = error
        except FAILURES as error:
            if len(calls) > 1 and self._doubtful is None and not concerns_all(error):
                # One of them is the reason, and the others are not to suffer for it.
                half = len(calls) // 2
                return [*await self.apply(calls[:half]), *await self.apply(calls[half:])]
            failed = translated(error)
        if self._doubtful is not None:
            self._doubtful = None
            failed = OutcomeUnknown("the connection to the store's database was lost in a commit")
        return [failed for _ in calls]

    async def _run(self, calls: Sequence[Call], done: Callable[[Sequence[Answer]], None]) -> None:
        answers: Sequence[Answer]
        try:
            answers = await self.apply(calls)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for an answer
            _log.exception("store_batch_failed")
            self._drop()
            answers = [StoreError(f"the batch failed ({type(error).__name__})") for _ in calls]
        done(answers)

    async def _until_known(self, calls: Sequence[Call]) -> list[Answer]:
        """Try until the batch is committed, or cannot be. Raises `StoreError`, or one of `FAILURES`."""
        loop = asyncio.get_running_loop()
        limit = self._target.connect_seconds + 2 * self._target.statement_seconds
        attempts, until = 0, None
        while True:
            attempts += 1
            # Whatever waits for a server that is silent is told that the connection is gone.
            watch = loop.call_later(limit, self._drop)
            try:
                return await self._once(calls)
            except (StoreError, *FAILURES) as error:
                now = loop.time()
                if is_lost(error) or (isinstance(error, StoreError) and error.temporary):
                    until = until or now + self._target.patience_seconds
                    if now >= until:
                        raise
                elif not is_worth_another_try(error) or attempts >= _ATTEMPTS:
                    raise
            finally:
                watch.cancel()
            await asyncio.sleep(_PAUSE * random.random())  # noqa: S311 - only to be out of step with others

    async def _once(self, calls: Sequence[Call]) -> list[Answer]:
        """Write the batch and commit it; nothing is written if it turns out that it was committed before."""
        link = await self._connected()
        answers, self._doubtful = self._doubtful, None
        if answers is None or self._committed < self._number:
            try:
                answers = await self._write(link, calls)
            except BaseException as error:
                await self._abandon(error)
                raise
            self._doubtful = answers
            await self._commit(link)
            self._doubtful = None
        outcomes = [answer for answer in answers if not isinstance(answer, StoreError)]
        written = [
            one for call in outcomes for one in call if isinstance(one, Appended) and not one.duplicate
        ]
        self.appends += len(written)
        return answers

    async def _commit(self, link: Link) -> None:
        self._warned = False
        try:
            # A commit that waits for its standby must not be timed out: PostgreSQL would call it committed.
            tag = await link.execute("SET LOCAL statement_timeout = 0; COMMIT")
        except BaseException:
            self._drop()
            raise
        self._check_standby()
        if tag != "COMMIT":
            self._doubtful = None
            raise StoreError(f"the store's database did not commit ({tag})")
        self._committed = self._number

    async def _connected(self) -> Link:
        """The connection, made anew if need be. Raises `StoreError`, or one of `FAILURES`."""
        if self.restored:
            raise StoreRestored("the store was restored while it was open")
        if self._link is not None and not self._link.is_closed():
            return self._link
        self._link = link = await connect(self._target, idle_seconds=self._target.idle_seconds)
        link.add_log_listener(self._listen)
        self._devices.forget()
        try:
            self._warned = False
            # Waits until nothing of this writer is under way any more, and until the standby has it.
            stands = await link.fetchval("SELECT batch FROM writers WHERE name = $1 FOR UPDATE", self._name)
            self._check_standby()
            went_back = stands is None or stands < self._committed
            epoch = await check_epoch(
                link,
                synchronous=self._target.synchronous_standby,
                ended=self._epoch if went_back else None,
            )
        except BaseException:
            self._drop()
            raise
        if epoch != self._epoch:
            self._end_epoch()
        self._committed = max(self._committed, stands or 0)
        return link

    def _listen(self, _link: object, message: asyncpg.PostgresLogMessage) -> None:
        self._warned = self._warned or message.severity_en == "WARNING"

    def _check_standby(self) -> None:
        """Whether all that is committed is where it has to be, as far as PostgreSQL has waited for it.

        When somebody cancels the wait for a synchronous standby, it warns, and calls the rest a success.
        """
        if self._warned:
            self._drop()
            raise StoreError("the store's database did not wait for its standby")

    def _end_epoch(self) -> None:
        self.restored = True
        self._drop()
        raise StoreRestored("the store was restored while it was open")

    async def _abandon(self, error: BaseException) -> None:
        """Roll back, or give the connection up if it is in doubt."""
        self._devices.forget()
        link = self._link
        if link is None or is_lost(error) or not isinstance(error, (*FAILURES, StoreError)):
            self._drop()
            return
        try:
            await link.execute("ROLLBACK")
        except FAILURES:
            # Closing the connection rolls back as well.
            self._drop()

    def _drop(self) -> None:
        if self._link is not None:
            self._link.terminate()
            self._link = None

    async def _write(self, db: Connection, calls: Sequence[Call]) -> list[Answer]:
        """Everything but the COMMIT."""
        tag = await db.execute(
            f"BEGIN; UPDATE writers SET batch = {self._number}, at_ms = {_NOW_MS} "  # noqa: S608 - our own values
            f"WHERE name = '{self._name}' AND (SELECT max(epoch) FROM epochs) = {self._epoch}"
        )
        if tag != "UPDATE 1":
            self._end_epoch()
        if not all(map(_is_hot, calls)):
            await _lock_ahead(db, calls)
        answers: list[Answer] = []
        entries: list[AuditEntry] = []  # put into the trail last of all
        for hot, group in groupby(calls, _is_hot):
            if hot:
                writes = [write for call in group for write in call if isinstance(write, Append | Ack)]
                found = await runs.apply(db, self._epoch, self._devices, writes)
                answers.extend([one if isinstance(one, StoreError) else (one,) for one in found])
            else:
                answers.extend([await self._apply_apart(db, call, entries) for call in group])
        if entries:
            await audit.append(db, entries)
        return answers

    async def _apply_apart(self, db: Connection, call: Call, entries: list[AuditEntry]) -> Answer:
        """Apply a call with a savepoint to go back to."""
        if entries and any(isinstance(write, PutCheckpoint | PruneAudit) for write in call):
            await audit.append(db, entries)
            entries.clear()
        put = len(entries)
        await db.execute("SAVEPOINT call")
        try:
            outcomes = await self._apply_one_by_one(db, call, entries)
        except (StoreError, ValueError, OverflowError, *FAILURES) as error:
            if not isinstance(error, StoreError) and not is_refused_value(error):
                raise
            del entries[put:]
            self._devices.forget()
            await db.execute("ROLLBACK TO SAVEPOINT call; RELEASE SAVEPOINT call")
            return translated(error)
        await db.execute("RELEASE SAVEPOINT call")
        return tuple(outcomes)

    async def _apply_one_by_one(self, db: Connection, call: Call, entries: list[AuditEntry]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for write in call:
            if isinstance(write, Append | Ack):
                (outcome,) = await runs.apply(db, self._epoch, self._devices, (write,))
                if isinstance(outcome, StoreError):
                    raise outcome
                outcomes.append(outcome)
            elif isinstance(write, AppendAudit):
                entries.append(audit.checked(write.entry))
                outcomes.append(_APPLIED)
            elif isinstance(write, ClaimPrekeys):
                outcomes.append(await keys.claim(db, self._epoch, write))
            else:
                outcomes.append(await changes.apply(db, self._epoch, write))
        return outcomes


async def _lock_ahead(db: Connection, calls: Sequence[Call]) -> None:
    """Lock what all writers lock in one order, before the calls do in theirs."""
    writes = [write for call in calls for write in call]
    blobs = [write.blob for write in writes if isinstance(write, BeginBlob | FinishBlob | DropBlob)]
    counted = {write.account for write in writes if isinstance(write, _COUNTING)}
    counted.update([blob.account for blob in blobs])
    joining = {write.account for write in writes if isinstance(write, AddMember)}
    for account in sorted(counted | joining):
        await (locks.lock_account if account in counted else locks.share_account)(db, account)
    rooms = {room for write in writes if isinstance(room := getattr(write, "room", None), str)}
    rooms.update([blob.room for blob in blobs])
    if rooms:
        await runs.lock_rooms(db, rooms)
    await keys.lock_ahead(db, writes)
    await webhooks.lock_ahead(db, writes)


def _is_hot(call: Call) -> bool:
    """Whether a call is one of those that are written together."""
    return len(call) == 1 and isinstance(call[0], Append | Ack)

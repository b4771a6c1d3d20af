"""Blobs for the members of rooms: begun, uploaded in any number of requests, whole, read until they expire.

A row in the store comes before its bytes and goes before them, so bytes without a row are nobody's: they are
deleted at the start. Raises :exc:`~protocol.errors.ProtocolError` and :exc:`relay.errors.StoreError`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec
import structlog

from config.settings import DAY_SECONDS, BlobSettings
from protocol import errors
from protocol.errors import ProtocolError
from relay.blob_rows import BeginBlob, BlobLimits, BlobRow, DropBlob, FinishBlob, ProlongBlob
from relay.blobs import Blobs, BytesMissing
from relay.errors import Conflict, NotFound, StoreError, StoreFull, TooMany
from relay.store import Store
from signaling.audit.actions import OK
from signaling.audit.origin import origin_of
from signaling.blobs.transfers import Transfers
from signaling.blobs.turns import Incoming, Turn, Turns
from signaling.caller import Caller
from signaling.services import Recorder
from signaling.sessions.ports import Ledger
from signaling.timebase import Timebase

PIECE_BYTES = 256 * 1024
"""As much as is gathered before it is written."""

PAGE = 500
"""Blobs that are looked at at a time."""

Fate = Literal["stored", "differs", "expired", "abandoned", "deleted", "lost"]
"""What became of a blob or an upload."""

_log = structlog.get_logger("rapport.blobs")


class Counting(Protocol):
    """Who counts what becomes of blobs."""

    def blob_ended(self, fate: Fate) -> None:
        """Something became of a blob or an upload."""

    def blob_bytes(self, direction: Literal["in", "out"], count: int) -> None:
        """Bytes of blobs came in or went out."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Where an upload stands."""

    row: BlobRow
    offset: int
    """How many bytes are there."""
    new: bool = False


class UploadMoved(ProtocolError):
    """``upload_offset``, with the offset at which the upload stands."""

    def __init__(self, offset: int) -> None:
        super().__init__(errors.UPLOAD_OFFSET, f"the upload stands at {offset}")
        self.offset = offset


class BlobService:
    """Blobs of this node. ``blobs`` are their bytes."""

    def __init__(
        self,
        settings: BlobSettings,
        store: Store,
        ledger: Ledger,
        blobs: Blobs,
        timebase: Timebase,
        recorder: Recorder,
        counting: Counting,
    ) -> None:
        self.settings = settings
        self._store = store
        self._ledger = ledger
        self._blobs = blobs
        self._timebase = timebase
        self._recorder = recorder
        self._counting = counting
        self._turns = Turns()
        self._transfers = Transfers(settings.transfers_per_account)
        self._limits = BlobLimits(
            settings.account_bytes, settings.uploads_per_account, settings.room_bytes, settings.room_count
        )

    # --- Uploading ---

    async def begin(self, caller: Caller, room: str, size: int, digest: bytes) -> Upload:
        """An upload of ``size`` bytes to a room, or the one there is: nothing is left to do if it is whole.

        ``no_such_room``, ``blob_too_large``, ``blob_quota``, ``store_full``.
        """
        await self._check_member(caller, room)
        if size > self.settings.max_bytes:
            raise ProtocolError(
                errors.BLOB_TOO_LARGE, f"a blob has at most {self.settings.max_bytes} bytes on this server"
            )
        for _ in range(2):  # whatever happens to it between question and answer has happened then
            try:
                if (known := await self._known(caller.account, room, size, digest)) is not None:
                    return known
                return Upload(await self._begin(caller.account, room, size, digest), 0, new=True)
            except (Conflict, NotFound):
                continue
        raise ProtocolError(errors.OVERLOADED, "others change the same blob all the time")

    async def upload(self, caller: Caller, upload: str) -> Upload:
        """Where an upload stands; one that has all its bytes is made whole. ``no_such_upload``."""
        row = await self._own(caller, upload)
        have = await self._have(row)
        if have == row.size and not row.whole:
            async with self._turns.take(upload):
                await self._settle(row)
        return Upload(row, have)

    async def receive(
        self, caller: Caller, upload: str, offset: int, length: int | None, incoming: Incoming
    ) -> int:
        """Take more bytes of an upload, beginning at ``offset``; where it stands then.

        ``length`` is how many are announced. What has come is kept whatever happens afterwards.
        ``no_such_upload``, ``upload_offset`` (:exc:`UploadMoved`), ``blob_too_large``, ``blob_differs``,
        ``upload_interrupted``, ``rate_limited``, ``store_full``.
        """
        with self._transfers.one(caller.account):
            row = await self._own(caller, upload)
            async with self._turns.take(upload) as turn:
                row = await self._own(caller, upload)  # the one before may have ended it
                have = await self._have(row)
                if offset != have:
                    raise UploadMoved(have)
                end = min(row.size, have + self.settings.patch_bytes)
                if length is not None and have + length > end:
                    raise _too_many(row, end)
                if have < row.size:
                    await self._check_space(end - have if length is None else length)
                    have = await self._take(turn, row, have, end, incoming)
                if have == row.size and not row.whole:
                    await self._settle(row)
                return have

    async def abandon(self, caller: Caller, upload: str) -> None:
        """Delete an upload that is not whole. ``no_such_upload``."""
        async with self._turns.take(upload):
            row = await self._own(caller, upload)
            if row.whole:
                raise ProtocolError(errors.NO_SUCH_UPLOAD, "it is finished")
            await self._drop(row, "abandoned")

    # --- Reading and deleting ---

    async def find(self, caller: Caller, digest: bytes) -> BlobRow:
        """A whole blob in one of the caller's rooms. ``no_such_blob``."""
        for row in await self._store.blobs_for(caller.account, digest):
            if caller.claims.room in {None, row.room}:
                return row
        raise ProtocolError(errors.NO_SUCH_BLOB)

    async def read(
        self, caller: Caller, row: BlobRow, start: int, length: int
    ) -> AsyncGenerator[bytes, None]:
        """Bytes of a blob in pieces. Before the first: ``no_such_blob``, ``rate_limited``."""
        with self._transfers.one(caller.account):
            self._recorder.note(origin_of(caller), "blob.read", "blob", row.digest.hex(), OK, room=row.room)
            try:
                async with aclosing(self._blobs.read(row.id, start, length)) as pieces:
                    async for piece in pieces:
                        self._counting.blob_bytes("out", len(piece))
                        yield piece
            except BytesMissing:
                _log.error("blob_bytes_missing")
                raise ProtocolError(errors.NO_SUCH_BLOB) from None

    async def delete(self, room: str, digest: bytes) -> None:
        """Delete a room's whole blob. ``no_such_blob``, ``blob_held``."""
        row = next((one for one in await self._store.blobs_with(room, digest) if one.whole), None)
        if row is None:
            raise ProtocolError(errors.NO_SUCH_BLOB)
        try:
            await self._drop(row, "deleted")
        except Conflict:
            raise ProtocolError(errors.BLOB_HELD) from None

    # --- Cleaning up ---

    async def start(self) -> None:
        """Delete bytes that no row tells of, and what has expired meanwhile."""
        await self._blobs.open()
        names = await self._blobs.names()
        for first in range(0, len(names), PAGE):
            page = names[first : first + PAGE]
            known = await self._store.blobs_known(page)
            for name in page:
                if name not in known:
                    await self._blobs.delete(name)
        await self.forget()

    async def stop(self) -> None:
        """Finish what is under way."""
        await self._blobs.close()

    async def forget(self) -> None:
        """Delete what has expired; what a legal hold keeps stays until that is released."""
        now_ms = self._timebase.now_ms()
        while due := await self._store.blobs_due(until_ms=now_ms, limit=PAGE):
            for row in due:
                try:
                    async with self._turns.take(row.id):
                        await self._drop(row, "expired" if row.whole else "abandoned", due_ms=now_ms)
                except Conflict:
                    continue  # held, finished or prolonged since this moment: it is due no longer

    # --- Inside ---

    async def _check_member(self, caller: Caller, room: str) -> None:
        caller.check_room(room)
        members = await self._store.members(room)
        if all(member.account != caller.account for member in members):
            raise ProtocolError(errors.NO_SUCH_ROOM)

    async def _own(self, caller: Caller, upload: str) -> BlobRow:
        row = await self._store.blob(upload)
        if row is None or row.account != caller.account:
            raise ProtocolError(errors.NO_SUCH_UPLOAD)
        await self._check_member(caller, row.room)
        return row

    async def _have(self, row: BlobRow) -> int:
        return row.size if row.whole else await self._blobs.size(row.id) or 0

    async def _known(self, account: str, room: str, size: int, digest: bytes) -> Upload | None:
        """What there is already of this blob, prolonged."""
        for row in await self._store.blobs_with(room, digest):
            have = await self._blobs.size(row.id)
            if row.whole and have == row.size:
                return await self._prolonged(row)
            if row.whole or (row.account == account and row.size != size):
                async with self._turns.take(row.id):  # its bytes are gone, or its size is another one
                    await self._drop(row, "lost" if row.whole else "abandoned")
            elif row.account == account:
                return Upload(row, have or 0)
        return None

    async def _prolonged(self, row: BlobRow) -> Upload:
        until_ms = max(row.expires_ms, self._whole_until())
        await self._ledger.commit(ProlongBlob(row.id, until_ms))
        return Upload(msgspec.structs.replace(row, expires_ms=until_ms), row.size)

    async def _begin(self, account: str, room: str, size: int, digest: bytes) -> BlobRow:
        await self._check_space(size)
        now_ms = self._timebase.now_ms()
        expires_ms = now_ms + int(self.settings.upload_seconds * 1000)
        row = BlobRow(uuid.uuid4().hex, room, account, digest, size, now_ms, expires_ms)
        try:
            await self._ledger.commit(BeginBlob(row, self._limits))
        except TooMany as error:
            raise ProtocolError(errors.BLOB_QUOTA, str(error)) from None
        return row

    async def _check_space(self, size: int) -> None:
        """The rest of the disk is for the store: without it nobody could say anything any more."""
        if await self._blobs.free_bytes() < size + self.settings.keep_free_bytes:
            raise StoreFull("no space left for blobs")

    async def _take(self, turn: Turn, row: BlobRow, have: int, end: int, incoming: Incoming) -> int:
        """Append what comes, in large pieces, until it ends."""
        last = time.monotonic() + self.settings.request_seconds
        waiting, more = bytearray(), True
        try:
            while more:
                seconds = min(self.settings.stall_seconds, last - time.monotonic())
                data = await turn.read(incoming, PIECE_BYTES, seconds)
                waiting += data
                more = bool(data)
                if have + len(waiting) > end:
                    waiting.clear()
                    raise _too_many(row, end)
                if len(waiting) >= PIECE_BYTES:
                    have = await self._append(row, have, waiting)
        finally:
            try:
                have = await self._append(row, have, waiting)
            finally:
                await self._blobs.flush(row.id)
        return have

    async def _append(self, row: BlobRow, have: int, waiting: bytearray) -> int:
        if waiting:
            data = bytes(waiting)
            waiting.clear()
            await self._blobs.append(row.id, have, data)
            self._counting.blob_bytes("in", len(data))
            have += len(data)
        return have

    async def _settle(self, row: BlobRow) -> None:
        """Make an upload whole that has all its bytes, or delete it."""
        if not await self._blobs.seal(row.id, row.digest):
            await self._drop(row, "differs")
            raise ProtocolError(errors.BLOB_DIFFERS)
        try:
            await self._ledger.commit(FinishBlob(row, self._whole_until()))
        except Conflict:  # another member was faster with the same bytes
            await self._drop(row, "abandoned")
        except NotFound:
            raise ProtocolError(errors.NO_SUCH_UPLOAD) from None
        else:
            self._counting.blob_ended("stored")

    async def _drop(self, row: BlobRow, fate: Fate, *, due_ms: int | None = None) -> None:
        """Delete a blob. :exc:`~relay.errors.Conflict` if it is held, or expires after ``due_ms``."""
        await self._ledger.commit(DropBlob(row, due_ms, lost=fate == "lost"))
        self._counting.blob_ended(fate)
        try:
            await self._blobs.delete(row.id)
        except StoreError as error:
            # Nobody's any more, and deleted at the next start.
            _log.error("blob_not_deleted", error=type(error).__name__)

    def _whole_until(self) -> int:
        return self._timebase.now_ms() + self.settings.keep_days * DAY_SECONDS * 1000


def _too_many(row: BlobRow, end: int) -> ProtocolError:
    limit = "were announced" if end == row.size else "one request may carry"
    return ProtocolError(errors.BLOB_TOO_LARGE, f"there are more bytes than {limit}")

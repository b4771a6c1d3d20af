"""What a store knows of blobs, whose bytes lie elsewhere (`relay.blobs`): whose they are, and for how long.

Rows, writes and the reading part of the Store port. A blob begins as an *upload*, which is its account's
alone, and becomes *whole*, which is its room's. Uploads count in all limits with the size they will have.
"""

from collections.abc import Collection
from typing import Protocol

import msgspec


class BlobRow(msgspec.Struct, frozen=True, gc=False):
    """One blob of a room."""

    id: str
    room: str
    account: str  # who uploads it, or has
    digest: bytes  # SHA-256 of its bytes: names it within the room
    size: int  # in bytes
    at_ms: int  # when its upload began
    expires_ms: int
    whole: bool = False


class BlobLimits(msgspec.Struct, frozen=True, gc=False):
    """How much may be there, the new one included."""

    account_bytes: int
    account_uploads: int  # that are not whole
    room_bytes: int
    room_blobs: int


class BlobTotals(msgspec.Struct, frozen=True, gc=False):
    """What is there."""

    blobs: int  # whole ones
    size_bytes: int  # of them together
    uploads: int  # that are not whole


class BeginBlob(msgspec.Struct, frozen=True, gc=False):
    """A new upload. `NotFound` without the room or the account's membership, `TooMany` beyond a limit,
    `Conflict` if the room has a whole blob with this digest, or the account is uploading one to it.

    Outcome: `Applied`.
    """

    blob: BlobRow
    limits: BlobLimits


class FinishBlob(msgspec.Struct, frozen=True, gc=False):
    """An upload is whole, and expires at another time. `NotFound` without the upload or the membership of its
    account, `Conflict` if the room has a whole blob with this digest. Outcome: `Applied`, unchanged if this
    one was whole.
    """

    blob: BlobRow
    expires_ms: int


class ProlongBlob(msgspec.Struct, frozen=True, gc=False):
    """A blob expires at this time, if that is later. `NotFound` without it. Outcome: `Applied`."""

    id: str
    expires_ms: int


class ExpireBlobs(msgspec.Struct, frozen=True, gc=False):
    """The whole blobs of a room that were begun before an instant expire at `at_ms`, if that is sooner.

    For the retention of rooms: goes with the `Trim` of the messages that named them. `NotFound` without the
    room. Outcome: `Applied`.
    """

    room: str
    before_ms: int
    at_ms: int


class DropBlob(msgspec.Struct, frozen=True, gc=False):
    """Forget a blob. `Conflict` if it is whole and a legal hold keeps it: one of its room, of its account, of
    an account that is a member of its room, or of the `blob` with its digest in hexadecimal; also if it
    expires after `due_ms`, as one does that was finished or prolonged since it was looked at. One that is
    `lost` is held by nothing.

    Outcome: `Applied`, unchanged if there was none.
    """

    blob: BlobRow
    due_ms: int | None = None  # None: whenever it expires
    lost: bool = False  # its bytes are gone: there is nothing left to keep


BlobWrite = BeginBlob | FinishBlob | ProlongBlob | ExpireBlobs | DropBlob


class BlobRows(Protocol):
    """The part of the Store port that reads what is known of blobs."""

    async def blob(self, id: str) -> BlobRow | None:  # noqa: A002 - what rows call it
        """One blob, whole or not."""

    async def blobs_with(self, room: str, digest: bytes) -> tuple[BlobRow, ...]:
        """What a room has with a digest: the whole one if there is one, and uploads."""

    async def blobs_for(self, account: str, digest: bytes) -> tuple[BlobRow, ...]:
        """The whole blobs with a digest in the rooms of which an account is a member, by room."""

    async def blobs_due(self, *, until_ms: int, limit: int) -> tuple[BlobRow, ...]:
        """Those that expire up to an instant and are not held, the earliest first."""

    async def blobs_known(self, ids: Collection[str]) -> frozenset[str]:
        """Which of these ids belong to a blob."""

    async def blob_totals(self) -> BlobTotals:
        """What is there."""

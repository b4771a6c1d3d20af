"""What happens to a blob at the moment at which it is about to be deleted as expired."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from config.settings import DAY_SECONDS, BlobSettings
from protocol.tokens import Claims
from relay.audit_trail import AuditHold, HoldAudit
from relay.blob_rows import BlobRow
from relay.blobs.folder import BlobFolder
from relay.sqlite import SqliteStore
from relay.writes import AddMember, CreateRoom
from signaling.audit.origin import Origin
from signaling.blobs.service import BlobService, Upload
from signaling.caller import Caller
from signaling.observe.metrics import Metrics
from signaling.timebase import Timebase
from tests.signaling.blob_kit import sha256

DATA = b"the ciphertext of a worksheet"
DIGEST = bytes.fromhex(sha256(DATA))
ANNA = Caller.of(Claims("key", "anna", "therapist", exp=0.0))


class Unrecorded:
    """A recorder that keeps nothing."""

    def note(
        self, by: Origin, action: str, kind: str, name: str, outcome: str, *, room: str = "", reason: str = ""
    ) -> None:
        """Not looked at here."""


class Bytes:
    """A body that has come already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, limit: int) -> bytes:
        data, self._data = self._data[:limit], self._data[limit:]
        return data


class BusyStore(SqliteStore):
    """A store in which something happens between the question what is due and what is done about it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def blobs_due(self, *, until_ms: int, limit: int) -> tuple[BlobRow, ...]:
        due = await super().blobs_due(until_ms=until_ms, limit=limit)
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            await happens()
        return due


class Place:
    """The service over a real store and a real folder."""

    def __init__(self, folder: Path) -> None:
        self._now_ms = 1_000_000
        self.settings = BlobSettings(keep_days=2, upload_seconds=3600.0, keep_free_bytes=0)
        self.store = BusyStore(folder / "rapport.db")
        timebase = Timebase(lambda: self._now_ms * 1_000_000, lambda: self._now_ms * 1_000_000)
        self.blobs = BlobService(
            self.settings,
            self.store,
            self.store,
            BlobFolder(folder / "blobs"),
            timebase,
            Unrecorded(),
            Metrics(),
        )

    def wait(self, seconds: float) -> None:
        self._now_ms = self._now_ms + int(seconds * 1000)

    async def begin(self) -> Upload:
        return await self.blobs.begin(ANNA, "r", len(DATA), DIGEST)

    async def send(self, upload: Upload) -> int:
        return await self.blobs.receive(ANNA, upload.row.id, 0, len(DATA), Bytes(DATA))

    async def put(self) -> None:
        assert await self.send(await self.begin()) == len(DATA)

    async def got(self) -> bytes | None:
        """The blob as a member gets it, None if it is not found."""
        if not await self.store.blobs_for("anna", DIGEST):
            return None
        row = await self.blobs.find(ANNA, DIGEST)
        return b"".join([piece async for piece in self.blobs.read(ANNA, row, 0, row.size)])


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    await place.store.open()
    await place.store.commit(CreateRoom("r", b"", 1), AddMember("r", "anna", "therapist", 1))
    await place.blobs.start()
    yield place
    await place.blobs.stop()
    await place.store.close()


async def test_an_upload_that_is_finished_at_the_last_moment_stays(place: Place) -> None:
    """Its sender was told that it is whole."""
    upload = await place.begin()
    place.wait(3600)
    place.store.meanwhile = lambda: place.send(upload)
    await place.blobs.forget()
    assert await place.got() == DATA


async def test_a_blob_that_is_sent_again_at_the_last_moment_stays(place: Place) -> None:
    """Whoever sent it was told that it is there already."""
    await place.put()
    place.wait(2 * DAY_SECONDS)
    answers: list[Upload] = []

    async def begin_again() -> None:
        answers.append(await place.begin())

    place.store.meanwhile = begin_again
    await place.blobs.forget()
    assert [answer.row.whole for answer in answers] == [True]
    assert await place.got() == DATA


async def test_a_blob_that_is_held_at_the_last_moment_stays_and_the_others_go(place: Place) -> None:
    await place.put()
    await place.blobs.begin(ANNA, "r", 3, bytes(32))
    place.wait(2 * DAY_SECONDS)
    place.store.meanwhile = lambda: place.store.commit(HoldAudit(AuditHold("room", "r", 1)))
    await place.blobs.forget()
    assert await place.got() == DATA
    assert await place.store.blobs_due(until_ms=1 << 50, limit=9) == ()

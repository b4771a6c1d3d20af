"""Blobs through time, crashes and restarts: a clock moved by hand, the real store and real files."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.settings import DAY_SECONDS, BlobSettings
from protocol import errors
from protocol.errors import ProtocolError
from protocol.tokens import Claims
from relay.audit_trail import AuditHold, HoldAudit, ReleaseAudit
from relay.blob_rows import BlobTotals, ExpireBlobs, FinishBlob
from relay.blobs.folder import BlobFolder
from relay.errors import StoreFull
from relay.sqlite import SqliteStore
from relay.writes import AddMember, CreateRoom, Outcome, Write
from signaling.audit.origin import Origin
from signaling.blobs.service import BlobService, Upload
from signaling.caller import Caller
from signaling.observe.metrics import Metrics
from signaling.timebase import Timebase
from tests.signaling.sessions_kit import HandClock

SETTINGS = BlobSettings(keep_free_bytes=0, keep_days=10, upload_seconds=3600, stall_seconds=600)
DATA = b"what is kept" * 100
DIGEST = hashlib.sha256(DATA).digest()
ANNA = Caller.of(Claims("key", "anna", "therapist", exp=0.0))


class Given:
    """Bytes that are there."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, limit: int) -> bytes:
        piece, self._data = self._data[:limit], self._data[limit:]
        return piece


class Broken(Given):
    """Bytes of a connection that breaks after them."""

    async def read(self, limit: int) -> bytes:
        if piece := await super().read(limit):
            return piece
        raise ConnectionResetError


class Killed(Exception):
    """The process ends here."""


class Unrecorded:
    """Nobody records what is read."""

    def note(
        self, by: Origin, action: str, kind: str, name: str, outcome: str, *, room: str = "", reason: str = ""
    ) -> None: ...


class World:
    """A server's store, files and clock, which outlive its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "blobs"
        self.clock = HandClock()
        self.store = SqliteStore(folder / "rapport.db")
        self.killed_at: type | None = None

    async def commit(self, *writes: Write) -> tuple[Outcome, ...]:
        """As ledger: the process may be killed before a write."""
        if self.killed_at is not None and any(isinstance(write, self.killed_at) for write in writes):
            raise Killed
        return await self.store.commit(*writes)

    @asynccontextmanager
    async def process(self, settings: BlobSettings = SETTINGS) -> AsyncIterator[BlobService]:
        """A process from its start."""
        service = BlobService(
            settings,
            self.store,
            self,
            BlobFolder(self.folder),
            Timebase(self.clock, self.clock),
            Unrecorded(),
            Metrics(),
        )
        await service.start()
        yield service
        await service.stop()

    def files(self) -> Sequence[str]:
        return sorted(os.listdir(self.folder))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.store.open()
    await world.store.commit(CreateRoom("r", b"", 1), AddMember("r", "anna", "therapist", 1))
    yield world
    await world.store.close()


async def begin(blobs: BlobService) -> Upload:
    return await blobs.begin(ANNA, "r", len(DATA), DIGEST)


async def put(blobs: BlobService) -> Upload:
    upload = await begin(blobs)
    assert await blobs.receive(ANNA, upload.row.id, 0, None, Given(DATA)) == len(DATA)
    return await blobs.upload(ANNA, upload.row.id)


async def got(blobs: BlobService) -> bytes:
    row = await blobs.find(ANNA, DIGEST)
    return b"".join([piece async for piece in blobs.read(ANNA, row, 0, row.size)])


async def refused(blobs: BlobService) -> bool:
    with pytest.raises(ProtocolError) as told:
        await blobs.find(ANNA, DIGEST)
    return told.value.kind is errors.NO_SUCH_BLOB


async def test_a_blob_is_kept_as_long_as_it_should_be(world: World) -> None:
    async with world.process() as blobs:
        await put(blobs)
        world.clock.wait_ms(10 * DAY_SECONDS * 1000 - 1)
        await blobs.forget()
        assert await got(blobs) == DATA
        world.clock.wait_ms(1)
        await blobs.forget()
        assert await refused(blobs)
        assert world.files() == []


async def test_sending_it_again_prolongs_its_time(world: World) -> None:
    async with world.process() as blobs:
        first = await put(blobs)
        world.clock.wait_ms(9 * DAY_SECONDS * 1000)
        again = await begin(blobs)
        assert again.row.whole
        assert again.row.expires_ms == first.row.expires_ms + 9 * DAY_SECONDS * 1000
        world.clock.wait_ms(2 * DAY_SECONDS * 1000)
        await blobs.forget()
        assert await got(blobs) == DATA


async def test_a_hold_keeps_it_and_its_release_lets_it_go(world: World) -> None:
    async with world.process() as blobs:
        await put(blobs)
        await world.store.commit(HoldAudit(AuditHold("account", "anna", 1)))
        world.clock.wait_ms(20 * DAY_SECONDS * 1000)
        await blobs.forget()
        assert await got(blobs) == DATA
        await world.store.commit(ReleaseAudit("account", "anna"))
        await blobs.forget()
        assert await refused(blobs)
        assert world.files() == []


async def test_the_retention_of_a_room_takes_its_blobs_along(world: World) -> None:
    async with world.process() as blobs:
        await put(blobs)
        world.clock.wait_ms(1000)
        await world.store.commit(ExpireBlobs("r", before_ms=world.clock.ms, at_ms=world.clock.ms))
        await blobs.forget()
        assert await refused(blobs)
        assert world.files() == []


async def test_half_an_upload_is_gone_after_its_time(world: World) -> None:
    async with world.process() as blobs:
        upload = await begin(blobs)
        with pytest.raises(ConnectionResetError):
            await blobs.receive(ANNA, upload.row.id, 0, None, Broken(DATA[:100]))
        assert world.files() == [f"{upload.row.id}.part"]
        world.clock.wait_ms(3_599_999)
        await blobs.forget()
        assert (await blobs.upload(ANNA, upload.row.id)).offset == 100
        world.clock.wait_ms(1)
        await blobs.forget()
        assert world.files() == []
        with pytest.raises(ProtocolError, match="no_such_upload"):
            await blobs.upload(ANNA, upload.row.id)
    assert await world.store.blob_totals() == BlobTotals(0, 0, 0)


async def test_it_is_gone_at_the_start_if_its_time_was_over_meanwhile(world: World) -> None:
    async with world.process() as blobs:
        upload = await begin(blobs)
        with pytest.raises(ConnectionResetError):
            await blobs.receive(ANNA, upload.row.id, 0, None, Broken(DATA[:100]))
    world.clock.wait_ms(3_600_000)
    async with world.process():
        assert world.files() == []


async def test_an_upload_goes_on_after_a_restart(world: World) -> None:
    async with world.process() as blobs:
        upload = await begin(blobs)
        with pytest.raises(ConnectionResetError):
            await blobs.receive(ANNA, upload.row.id, 0, None, Broken(DATA[:100]))
    async with world.process() as blobs:
        again = await begin(blobs)
        assert (again.row.id, again.offset, again.new) == (upload.row.id, 100, False)
        await blobs.receive(ANNA, upload.row.id, 100, None, Given(DATA[100:]))
        assert await got(blobs) == DATA


async def test_bytes_that_no_row_tells_of_are_deleted_at_the_start(world: World) -> None:
    async with world.process() as blobs:
        kept = await put(blobs)
    for name in ("0" * 32, "1" * 32 + ".part"):
        (world.folder / name).write_bytes(b"nobody's")
    (world.folder / "README").write_bytes(b"of somebody")
    async with world.process() as blobs:
        assert world.files() == sorted([kept.row.id, "README"])
        assert await got(blobs) == DATA


@pytest.mark.parametrize("by", ["head", "patch", "post"])
async def test_killed_between_file_and_row_it_is_whole_later(world: World, by: str) -> None:
    async with world.process() as blobs:
        upload = (await begin(blobs)).row.id
        world.killed_at = FinishBlob
        with pytest.raises(Killed):
            await blobs.receive(ANNA, upload, 0, None, Given(DATA))
        world.killed_at = None
        assert world.files() == [upload]
        assert await refused(blobs)
    async with world.process() as blobs:
        if by == "post":
            again = await begin(blobs)
            assert (again.offset, again.row.whole) == (len(DATA), False)
        if by == "head":
            assert (await blobs.upload(ANNA, upload)).offset == len(DATA)
        else:
            assert await blobs.receive(ANNA, upload, len(DATA), 0, Given(b"")) == len(DATA)
        assert await got(blobs) == DATA


async def test_a_blob_whose_bytes_are_gone_can_be_uploaded_again(world: World) -> None:
    async with world.process() as blobs:
        lost = await put(blobs)
        (world.folder / lost.row.id).unlink()
        row = await blobs.find(ANNA, DIGEST)
        with pytest.raises(ProtocolError, match="no_such_blob"):
            await anext(blobs.read(ANNA, row, 0, 1))
        assert (await begin(blobs)).new
        await put(blobs)
        assert await got(blobs) == DATA


@pytest.mark.parametrize("left", [None, 0, 3])
async def test_also_one_that_is_held_or_of_which_a_part_is_gone(world: World, left: int | None) -> None:
    async with world.process() as blobs:
        lost = await put(blobs)
        await world.store.commit(HoldAudit(AuditHold("room", "r", 1)))
        file = world.folder / lost.row.id
        file.chmod(0o600)
        if left is None:
            file.unlink()
        else:
            file.write_bytes(DATA[:left])
        assert (await begin(blobs)).new
        assert lost.row.id not in world.files()
        await put(blobs)
        assert await got(blobs) == DATA
        with pytest.raises(ProtocolError, match="blob_held"):
            await blobs.delete("r", DIGEST)


async def test_a_full_disk_refuses_and_what_has_come_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.process() as blobs:
        upload = (await begin(blobs)).row.id
        with pytest.raises(ConnectionResetError):
            await blobs.receive(ANNA, upload, 0, None, Broken(DATA[:100]))
        free = BlobFolder.free_bytes
        monkeypatch.setattr(BlobFolder, "free_bytes", lambda _: asyncio.sleep(0, 5))
        with pytest.raises(StoreFull):
            await blobs.receive(ANNA, upload, 100, None, Given(DATA[100:]))
        monkeypatch.setattr(BlobFolder, "free_bytes", free)
        await blobs.receive(ANNA, upload, 100, None, Given(DATA[100:]))
        assert await got(blobs) == DATA

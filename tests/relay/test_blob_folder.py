"""What is particular to blobs in a folder: other files, its errors, who may read it."""

from __future__ import annotations

import hashlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.blobs.folder import BlobFolder
from relay.errors import StoreError, StoreFull

ONE = "1" * 32


async def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "x.part", "A" * 32, ONE + ".part.part"):
        (tmp_path / name).write_text("mine")
    blobs = BlobFolder(tmp_path)
    await blobs.open()
    assert await blobs.names() == ()
    await blobs.close()


async def test_nobody_else_reads_the_files(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path / "blobs")
    await blobs.open()
    await blobs.append(ONE, 0, b"x")
    assert await blobs.seal(ONE, hashlib.sha256(b"x").digest())
    await blobs.close()
    assert (tmp_path / "blobs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "blobs" / ONE).stat().st_mode & 0o777 == 0o600


async def test_a_folder_that_cannot_be_made_is_told_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    blobs = BlobFolder(tmp_path / "file" / "blobs")
    with pytest.raises(StoreError) as told:
        await blobs.open()
    await blobs.close()
    assert str(tmp_path) not in str(told.value)


@pytest.fixture
def small_files() -> Iterator[int]:
    """A limit on the size of files: a disk that is full for these, and nothing else."""
    limit, before = 1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


async def test_a_full_disk_is_told_and_what_was_put_stays(tmp_path: Path, small_files: int) -> None:
    blobs = BlobFolder(tmp_path)
    await blobs.open()
    await blobs.append(ONE, 0, bytes(small_files - 10))
    with pytest.raises(StoreFull):
        await blobs.append(ONE, small_files - 10, bytes(20))
    assert await blobs.size(ONE) == small_files
    await blobs.close()

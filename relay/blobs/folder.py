"""Blobs as files in a folder: `<name>.part` until it is sealed, `<name>` afterwards.

Files are written, hashed and read in threads of their own, so that a slow disk holds up nobody but those who
wait for it. Other files in the folder are left alone.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from relay.blobs import BytesMissing
from relay.errors import StoreClosed, StoreError, StoreFull

PIECE_BYTES: Final = 256 * 1024
"""As much as is read at once."""

_NAME: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = ".part"
# A limit on the size of files or on what a user may store is as good as a full disk.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_T = TypeVar("_T")


class BlobFolder:
    """`relay.blobs.Blobs` in a folder, made if it does not exist. At most `threads` are busy at once."""

    def __init__(self, folder: Path, *, threads: int = 4) -> None:
        self._folder: Final = folder
        self._size: Final = threads
        self._threads: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        self._threads = ThreadPoolExecutor(self._size, thread_name_prefix="blobs")
        await self._run(lambda: self._folder.mkdir(mode=0o700, parents=True, exist_ok=True))

    async def close(self) -> None:
        if self._threads is not None:
            threads, self._threads = self._threads, None
            await asyncio.to_thread(threads.shutdown)

    async def size(self, name: str) -> int | None:
        return await self._run(lambda: next(iter(self._sizes(name)), None))

    async def append(self, name: str, offset: int, data: bytes) -> None:
        await self._run(lambda: self._append(name, offset, data))

    async def flush(self, name: str) -> None:
        await self._run(lambda: self._flush(name))

    async def seal(self, name: str, digest: bytes) -> bool:
        return await self._run(lambda: self._seal(name, digest))

    async def read(self, name: str, start: int, length: int) -> AsyncGenerator[bytes, None]:
        file = await self._run(lambda: os.open(self._whole(name), os.O_RDONLY))
        try:
            end = start + length
            while start < end:
                piece = await self._run(partial(os.pread, file, min(PIECE_BYTES, end - start), start))
                if not piece:
                    raise BytesMissing("the file is shorter than it was")
                start += len(piece)
                yield piece
        finally:
            os.close(file)

    async def delete(self, name: str) -> None:
        await self._run(lambda: self._delete(name))

    async def names(self) -> tuple[str, ...]:
        return await self._run(self._names)

    async def free_bytes(self) -> int:
        return await self._run(self._free_bytes)

    # --- In a thread ---

    def _whole(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise ValueError("a blob's name has 32 hexadecimal digits")
        return self._folder / name

    def _part(self, name: str) -> Path:
        return self._whole(name).with_name(name + _PART)

    def _sizes(self, name: str) -> Iterator[int]:
        for path in (self._whole(name), self._part(name)):
            with contextlib.suppress(FileNotFoundError):
                yield path.stat().st_size

    def _append(self, name: str, offset: int, data: bytes) -> None:
        new = os.O_CREAT if offset == 0 else 0
        file = os.open(self._part(name), os.O_WRONLY | new, 0o600)
        try:
            if os.fstat(file).st_size != offset:
                raise BytesMissing("what is there has another length")
            waiting = memoryview(data)
            while waiting:
                written = os.pwrite(file, waiting, offset)
                offset, waiting = offset + written, waiting[written:]
        finally:
            os.close(file)

    def _flush(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            _synchronise(self._part(name))

    def _seal(self, name: str, digest: bytes) -> bool:
        whole, part = self._whole(name), self._part(name)
        path = whole if whole.exists() else part
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != digest:
                return False
            os.fsync(file.fileno())
        if path is part:
            part.rename(whole)
        _synchronise(self._folder)
        return True

    def _delete(self, name: str) -> None:
        self._whole(name).unlink(missing_ok=True)
        self._part(name).unlink(missing_ok=True)

    def _names(self) -> tuple[str, ...]:
        with os.scandir(self._folder) as entries:
            names = {entry.name.removesuffix(_PART) for entry in entries}
        return tuple(sorted(filter(_NAME.fullmatch, names)))

    def _free_bytes(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._threads is None:
            raise StoreClosed("the blobs are not open")

        def guarded() -> _T:
            with _translated():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)


def _synchronise(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _translated() -> Iterator[None]:
    """What the system raises, as the port tells it; its texts name paths, and are left out."""
    try:
        yield
    except FileNotFoundError:
        raise BytesMissing("there are no such bytes") from None
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull("no space left for blobs") from None
        raise StoreError(f"the blobs cannot be read or written ({os.strerror(error.errno or 0)})") from None

"""The file beside the store's file: keeps a second process out, and remembers how far the log had come.

A backup that is put back looks like a healthy store, but it would hand out offsets and prekeys a second time.
The guard notes after every batch the number of the last event written and how many claims of prekeys there
were; a store that has fewer than that, or whose guard is missing or another's, has been restored. The note is
not flushed to disk: a process that is killed loses nothing of it, and a machine that loses power can only
lose the newest notes, which never makes an intact store look restored.
"""

import fcntl
import os
import struct
import zlib
from pathlib import Path
from typing import Final

import msgspec

from relay.errors import StoreInUse

_NOTE: Final = struct.Struct(">8s16sQQQ")
_MAGIC: Final = b"rapport2"


class Note(msgspec.Struct, frozen=True, gc=False):
    """What the guard remembers."""

    store_id: bytes  # 16 bytes
    epoch: int
    seq: int  # of the last event written
    claims: int  # of prekeys, ever


class Guard:
    """Holds the lock from construction to `close`. Raises `StoreInUse` if another process has it."""

    def __init__(self, store: Path) -> None:
        self._fd: Final = os.open(store.with_name(store.name + "-guard"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise StoreInUse("another process has the store open") from None

    def read(self) -> Note | None:
        """The last note, None if there is none or it is damaged."""
        data = os.pread(self._fd, _NOTE.size + 4, 0)
        if len(data) != _NOTE.size + 4 or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "big"):
            return None
        magic, store_id, epoch, seq, claims = _NOTE.unpack(data[:-4])
        return Note(store_id, epoch, seq, claims) if magic == _MAGIC else None

    def write(self, note: Note) -> None:
        """Replace the note, in place: it needs no more space than before."""
        data = _NOTE.pack(_MAGIC, note.store_id, note.epoch, note.seq, note.claims)
        os.pwrite(self._fd, data + zlib.crc32(data).to_bytes(4, "big"), 0)

    def close(self) -> None:
        """Release the lock. The file stays: another process may be about to lock it."""
        os.close(self._fd)

"""The witness: a file beside the store to which every checkpoint is appended and from which nothing is taken.

Whoever shortens the trail in the store has to shorten this file as well, so it is best kept on another disk,
or shipped elsewhere as it grows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from relay.audit_trail import AuditCheckpoint
from signaling.audit import checkpoints
from signaling.audit.checkpoints import MAX_LINE_BYTES


class WitnessError(Exception):
    """The file cannot be used, or is damaged. The message is for operators."""


class Witness:
    """The file of checkpoints, for the server that writes it."""

    def __init__(self, file: Path) -> None:
        """Make the file if there is none; drop half a line that a loss of power has left at its end."""
        self._file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._tail = self._whole_tail()
        except OSError as error:
            raise WitnessError(f"{file}: {error.strerror}") from error

    def last(self) -> AuditCheckpoint | None:
        """The last checkpoint of the file as it was opened. Raises :exc:`WitnessError`."""
        try:
            return checkpoints.decode(self._tail) if self._tail else None
        except ValueError:
            raise WitnessError(f"{self._file}: its last line is not a checkpoint") from None

    def append(self, checkpoint: AuditCheckpoint) -> None:
        """Write one more; on the disk when this returns. Raises :exc:`WitnessError`."""
        try:
            os.write(self._fd, checkpoints.encode(checkpoint))
            os.fsync(self._fd)
        except OSError as error:
            raise WitnessError(f"{self._file}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _whole_tail(self) -> bytes:
        size = os.fstat(self._fd).st_size
        begin = max(0, size - 2 * MAX_LINE_BYTES)
        tail = os.pread(self._fd, size - begin, begin)
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            os.ftruncate(self._fd, begin + whole)
        return tail[:whole].rstrip(b"\n").rpartition(b"\n")[2]


def read(file: Path) -> Iterator[AuditCheckpoint]:
    """The checkpoints of a file as it is now: what is appended while it is read is left out.

    Raises :exc:`WitnessError`.
    """
    try:
        with file.open("rb") as opened:
            left = os.fstat(opened.fileno()).st_size
            for number in range(1, left + 1):
                line = opened.readline(min(left, MAX_LINE_BYTES))
                left -= len(line)
                if not line.endswith(b"\n"):
                    if left:
                        raise WitnessError(f"{file}: line {number} is not a checkpoint")
                    return  # the server is about to finish it, or was killed before it could
                yield _checkpoint(file, number, line)
    except OSError as error:
        raise WitnessError(f"{file}: {error.strerror}") from error


def _checkpoint(file: Path, number: int, line: bytes) -> AuditCheckpoint:
    try:
        return checkpoints.decode(line)
    except ValueError:
        raise WitnessError(f"{file}: line {number} is not a checkpoint") from None

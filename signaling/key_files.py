"""Private keys in files: unencrypted PKCS #8 in PEM, readable by their owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

MAX_FILE_BYTES = 64 * 1024


class KeyFileError(Exception):
    """A key file cannot be used. The message is for operators: one line that says what is wrong."""


def read_private(file: Path) -> PrivateKeyTypes:
    """The key in a file. Raises :exc:`KeyFileError` and :exc:`OSError`."""
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"{file}: others may read it; make it private with chmod 600")
    try:
        return serialization.load_pem_private_key(read(file), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{file}: is not a private key in PEM") from None


def write_private(file: Path, key: PrivateKeyTypes) -> None:
    """Write a key into a new file, durably. Raises :exc:`OSError`."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(pem)
        opened.flush()
        os.fsync(opened.fileno())
    sync_folder(file)


def read(file: Path) -> bytes:
    """As much of a file as a key may have. Raises :exc:`OSError`."""
    with file.open("rb") as opened:
        return opened.read(MAX_FILE_BYTES)


def sync_folder(file: Path) -> None:
    """Make a file's new name durable. Raises :exc:`OSError`."""
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""The keys that sign the audit trail: one private key in a file, and the public keys of all there ever were.

The private key is unencrypted PKCS #8 in PEM, readable by its owner only. Beside it lies a file with the
ending ``.pub`` and a line for each public key, so that what an earlier key has signed can still be checked.
Whoever has the private key can sign a trail of their own making: keep it from those whom the trail is to hold
to account, and a copy of the public keys where they cannot write.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from signaling.audit.seals import PublicKeys, key_id
from signaling.key_files import KeyFileError, read, read_private, sync_folder, write_private


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key to sign with, and all those to check with."""

    private: Ed25519PrivateKey
    public: PublicKeys


def public_file(key_file: Path) -> Path:
    """Where the public keys are that belong to a private key."""
    return key_file.with_name(key_file.name + ".pub")


def load_or_create(key_file: Path) -> KeyRing:
    """The keys, made if there is no such file yet. Raises :exc:`KeyFileError`."""
    try:
        if not key_file.exists():
            key_file.parent.mkdir(parents=True, exist_ok=True)
            write_private(key_file, Ed25519PrivateKey.generate())
        private = _read_private(key_file)
        _remember(public_file(key_file), private.public_key())
    except OSError as error:
        raise KeyFileError(f"{error.filename or key_file}: {error.strerror}") from error
    return KeyRing(private, load_public(public_file(key_file)))


def rotate(key_file: Path) -> str:
    """Replace the private key by a new one, and return its id; a server that runs has to be started again.

    Raises :exc:`KeyFileError`.
    """
    load_or_create(
        key_file
    )  # whatever the old key has signed can be checked with its public key from here on
    fresh = Ed25519PrivateKey.generate()
    made = key_file.with_name(key_file.name + ".new")
    try:
        made.unlink(missing_ok=True)
        write_private(made, fresh)
        _remember(public_file(key_file), fresh.public_key())
        made.replace(key_file)
        sync_folder(key_file)
    except OSError as error:
        raise KeyFileError(f"{error.filename or key_file}: {error.strerror}") from error
    return key_id(fresh.public_key())


def load_public(file: Path) -> PublicKeys:
    """The public keys in a file. Raises :exc:`KeyFileError`."""
    try:
        lines = read(file).decode("ascii").splitlines()
        keys = [Ed25519PublicKey.from_public_bytes(base64.b64decode(line.split()[1])) for line in lines]
        wrong = [line for line, key in zip(lines, keys, strict=True) if line.split()[0] != key_id(key)]
    except OSError as error:
        raise KeyFileError(f"{file}: {error.strerror}") from error
    except (ValueError, IndexError):
        raise KeyFileError(f"{file}: is not a file of public keys") from None
    if wrong or not keys:
        raise KeyFileError(f"{file}: is not a file of public keys")
    return {key_id(key): key for key in keys}


def _read_private(file: Path) -> Ed25519PrivateKey:
    key = read_private(file)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{file}: is not an Ed25519 key")
    return key


def _remember(file: Path, key: Ed25519PublicKey) -> None:
    """Put a public key into the file unless it is there."""
    if file.exists() and key_id(key) in load_public(file):
        return
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), "ab") as opened:
        opened.write(f"{key_id(key)} {base64.b64encode(key.public_bytes_raw()).decode()}\n".encode())
        opened.flush()
        os.fsync(opened.fileno())

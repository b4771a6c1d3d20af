"""The key of this deployment for push services: P-256 in a file, made at the first start.

Subscriptions are bound to it: with another key every browser has to subscribe anew.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)

from config.settings import PushSettings
from signaling.audit.places import SQLITE
from signaling.key_files import KeyFileError, read_private, write_private


def key_file(settings: PushSettings, store_url: str) -> Path:
    """Where the key is: as the settings say, or else beside the store."""
    store = store_url.removeprefix(SQLITE) if store_url.startswith(SQLITE) else "rapport"
    return Path(settings.key_file or f"{store}-push-key")


def load_or_create(file: Path) -> EllipticCurvePrivateKey:
    """The key, made if there is no such file yet. Raises :exc:`KeyFileError`."""
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_private(file, generate_private_key(SECP256R1()))
        key = read_private(file)
    except OSError as error:
        raise KeyFileError(f"{error.filename or file}: {error.strerror}") from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise KeyFileError(f"{file}: is not a P-256 key")
    return key

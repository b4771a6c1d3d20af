"""Where the files of the audit trail are: as the settings say, or else beside the store."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import AuditSettings

SQLITE = "sqlite:///"
"""What the URL of a store in a file begins with."""


@dataclass(frozen=True, slots=True)
class Places:
    """The names of the files."""

    key: str
    """The private key; the public ones are beside it."""
    witness: str
    """The checkpoints."""


def places(settings: AuditSettings, store_url: str) -> Places:
    """The files of a store's trail. A store that is no file has them in the working directory."""
    store = store_url.removeprefix(SQLITE) if store_url.startswith(SQLITE) else "rapport"
    key = settings.key_file or f"{store}-audit-key"
    witness = settings.checkpoint_file or f"{store}-checkpoints"
    return Places(key, witness)

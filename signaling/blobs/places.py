"""Where the bytes of blobs are: as the settings say, or else beside the store."""

from __future__ import annotations

from config.settings import BlobSettings

_SQLITE = "sqlite:///"


def folder_of(settings: BlobSettings, store_url: str) -> str:
    """The folder. A store that is no file has it in the working directory."""
    store = store_url.removeprefix(_SQLITE) if store_url.startswith(_SQLITE) else "rapport"
    return settings.folder or f"{store}-blobs"

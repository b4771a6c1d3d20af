"""The bodies of the requests about blobs. A body may hold nothing that is not declared here."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.fields import Milliseconds, RoomId
from signaling.http.schemas import Body

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])")]
Bytes = Annotated[int, Meta(ge=1, le=1 << 40)]


class BlobSpec(Body, frozen=True):
    """An upload to begin, or to find again."""

    room: RoomId
    """The room whose members may get it."""
    size: Bytes
    """How many bytes it will have, as they are sent: of the ciphertext."""
    sha256: Digest
    """SHA-256 of these bytes, in hexadecimal: the name that it will have."""


class UploadItem(Body, frozen=True):
    """Where an upload stands."""

    sha256: Digest
    """The name of the blob."""
    size: Bytes
    """How many bytes it has when it is whole."""
    offset: Annotated[int, Meta(ge=0)]
    """How many of them are here: go on from there."""
    whole: bool
    """Whether it can be got, and nothing is left to send."""
    expires_ms: Milliseconds
    """When it is deleted: the unfinished upload, or the whole blob."""
    patch_bytes: Annotated[int, Meta(ge=1)]
    """As many bytes as one PATCH may carry."""
    upload: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")] | None = None
    """The id of the upload, if something is left to send; it stands in `Location` too."""

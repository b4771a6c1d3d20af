"""The port for the bytes of blobs, which are opaque: mostly ciphertext of attachments.

What they are, whose, and for how long stands in the store (`relay.blob_rows`), which is the truth: bytes that
it does not know are to be deleted. `folder.py` keeps them in files.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from relay.errors import StoreError


class BytesMissing(StoreError):
    """The bytes that a row tells of are not there."""

    name = "bytes_missing"
    temporary = False


class Blobs(Protocol):
    """Bytes under names of 32 hexadecimal digits.

    Bytes are appended to, then *sealed*, and never change afterwards. No method holds more than a piece of
    them in memory. Calls about one name do not overlap, but for `read`. Every method raises `StoreFull`
    without space, and `StoreError` when the storage fails.
    """

    async def open(self) -> None:
        """Get ready."""

    async def close(self) -> None:
        """Finish what is under way. Closing what is not open is harmless."""

    async def size(self, name: str) -> int | None:
        """How many bytes there are, sealed or not; None if the name is not there."""

    async def append(self, name: str, offset: int, data: bytes) -> None:
        """Put bytes behind the `offset` that are there; 0 makes a new name. `BytesMissing` if there are
        others. On any other error some of them may have been put.
        """

    async def flush(self, name: str) -> None:
        """Make durable what was appended, if the name is there."""

    async def seal(self, name: str, digest: bytes) -> bool:
        """Whether the bytes have this SHA-256; if so they are durable and sealed when this returns.

        `BytesMissing`. Sealing what is sealed only compares.
        """

    def read(self, name: str, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """Sealed bytes from an offset, in pieces. `BytesMissing` where there are none.

        They are read to the end even if the name is deleted meanwhile.
        """

    async def delete(self, name: str) -> None:
        """Delete the bytes, if they are there."""

    async def names(self) -> tuple[str, ...]:
        """All names."""

    async def free_bytes(self) -> int:
        """How much more could be stored."""

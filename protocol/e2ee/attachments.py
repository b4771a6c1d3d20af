"""Encrypting attachments: a stream of chunks under a random key that travels in the message.

Chunk ``i`` holds 65,536 bytes of the file, the last one what is left, from none to 65,536. Its nonce is seven
zeros, ``i`` in four bytes, and one byte that is 1 for the last chunk and 0 for all others: a chunk that is
changed, moved or missing does not open. The SHA-256 of the whole ciphertext names the blob at the server.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.e2ee.errors import AttachmentTampered, AttachmentTruncated

CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
KEY_BYTES = 32

_LABEL = b"rapport/v1/attachment"
_SEALED_CHUNK = CHUNK_BYTES + TAG_BYTES


def encrypted_size(size: int) -> int:
    """How many bytes the ciphertext of a file of ``size`` bytes has."""
    return size + TAG_BYTES * max(1, -(-size // CHUNK_BYTES))


class Encryptor:
    """One file to its ciphertext. A key, 32 random bytes, is for one file only."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._index = 0
        self._waiting = bytearray()  # At most one chunk once fed: a full one may be the last.
        self._hash = hashlib.sha256()

    def feed(self, data: bytes) -> bytes:
        """More of the file; gives what of the ciphertext is complete."""
        self._waiting += data
        done = []
        while len(self._waiting) > CHUNK_BYTES:
            done.append(self._chunk(bytes(self._waiting[:CHUNK_BYTES]), last=False))
            del self._waiting[:CHUNK_BYTES]
        return b"".join(done)

    def finish(self) -> bytes:
        """The rest of the ciphertext."""
        return self._chunk(bytes(self._waiting), last=True)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the ciphertext, once finished."""
        return self._hash.digest()

    def _chunk(self, data: bytes, *, last: bool) -> bytes:
        chunk = self._aead.encrypt(_nonce(self._index, last=last), data, _LABEL)
        self._index += 1
        self._hash.update(chunk)
        return chunk


class Decryptor:
    """The ciphertext back to the file, of which the message says that it has ``size`` bytes."""

    def __init__(self, key: bytes, size: int) -> None:
        self._aead = AESGCM(key)
        self._index = 0
        self._missing = encrypted_size(size)
        self._waiting = bytearray()  # At most one chunk once fed.

    def feed(self, data: bytes) -> bytes:
        """More of the ciphertext; gives what of the file is proven. :exc:`AttachmentTampered` if not."""
        self._missing -= len(data)
        if self._missing < 0:
            raise AttachmentTampered("it is longer than the message says")
        self._waiting += data
        done = []
        while len(self._waiting) > _SEALED_CHUNK:
            done.append(self._chunk(bytes(self._waiting[:_SEALED_CHUNK]), last=False))
            del self._waiting[:_SEALED_CHUNK]
        return b"".join(done)

    def finish(self) -> bytes:
        """The rest of the file; :exc:`AttachmentTruncated` or :exc:`AttachmentTampered` if it is not."""
        if self._missing:
            raise AttachmentTruncated()
        return self._chunk(bytes(self._waiting), last=True)

    def _chunk(self, data: bytes, *, last: bool) -> bytes:
        try:
            content = self._aead.decrypt(_nonce(self._index, last=last), data, _LABEL)
        except (InvalidTag, ValueError):
            raise AttachmentTampered() from None
        self._index += 1
        return content


def encrypt(key: bytes, data: bytes) -> tuple[bytes, bytes]:
    """A whole file at once: ciphertext and its SHA-256."""
    encryptor = Encryptor(key)
    ciphertext = encryptor.feed(data) + encryptor.finish()
    return ciphertext, encryptor.digest


def decrypt(key: bytes, size: int, ciphertext: bytes) -> bytes:
    """The inverse of :func:`encrypt`. :exc:`AttachmentTampered` or :exc:`AttachmentTruncated`."""
    decryptor = Decryptor(key, size)
    return decryptor.feed(ciphertext) + decryptor.finish()


def _nonce(index: int, *, last: bool) -> bytes:
    return bytes(7) + index.to_bytes(4, "big") + bytes([last])

"""The same POST again gives the same reply: `Idempotency-Key`, kept in the commit that does what was asked.

A key belongs to the issuer of the token. Only success is kept: a request that was refused may be repeated
with the same key once what was wrong is put right.
"""

from __future__ import annotations

import hashlib
import re

import msgspec
from msgspec import Struct

from protocol import errors
from protocol.errors import ProtocolError
from relay.rows import IdempotencyRecord
from relay.writes import PutIdempotency
from signaling.http.endpoint import Reply

KEPT_MS = 2 * 86_400_000
"""How long a reply can be repeated, at least."""

_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class Sent(Struct, frozen=True):
    """A reply as it goes out."""

    status: int
    body: bytes
    location: str | None = None


class Attempt(Struct, frozen=True):
    """A POST with its key: what it is remembered by."""

    key: str
    digest: bytes
    at_ms: int

    def keep(self, reply: Reply) -> tuple[PutIdempotency, ...]:
        """What makes ``reply`` repeatable; for the commit that does what was asked."""
        response = msgspec.msgpack.encode(sent(reply))
        return (PutIdempotency(IdempotencyRecord(self.key, self.digest, response, self.at_ms)),)

    def repeated(self, record: IdempotencyRecord) -> Sent:
        """The reply of the earlier request. ``idempotency_differs`` if that was another request."""
        if record.request_hash != self.digest:
            raise ProtocolError(errors.IDEMPOTENCY_DIFFERS)
        return msgspec.msgpack.decode(record.response, type=Sent)


def attempt(header: str | None, issuer: str, target: str, body: Struct, at_ms: int) -> Attempt:
    """The attempt that a request is. ``idempotency_missing``, ``invalid_field``.

    Two requests are the same when their targets are and their bodies say the same, however they are written.
    """
    if header is None:
        raise ProtocolError(errors.IDEMPOTENCY_MISSING)
    if not _KEY.fullmatch(header):
        raise ProtocolError(errors.INVALID_FIELD, "`Idempotency-Key` is 1 to 128 visible ASCII characters")
    digest = hashlib.sha256(f"{target}\n".encode() + msgspec.json.encode(body)).digest()
    # An issuer may contain anything, its length tells where it ends.
    return Attempt(f"{len(issuer)}:{issuer}:{header}", digest, at_ms)


def sent(reply: Reply) -> Sent:
    """A reply with its body in JSON."""
    body = b"" if reply.value is None else msgspec.json.encode(reply.value)
    return Sent(reply.status, body, reply.location)

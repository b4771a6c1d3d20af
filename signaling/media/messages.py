"""What nodes say to each other about media: requests to a session's host, and its replies, in MessagePack.

Nodes of two versions understand each other: fields that one does not know are ignored, new ones have
defaults, and a request of a kind that is not known is answered with :class:`Unknown`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from protocol import errors
from protocol.errors import ProtocolError

RETRY_AFTER_MS = 1000


class _Message(msgspec.Struct, frozen=True, tag_field="kind", tag=str.lower):
    """Any of them; the kind is the name of the class in lower case."""


class Offer(_Message, frozen=True):
    """A participant offers. Answered by `Answered`, `Stale`, `Unable` or `Refused`."""

    session: str
    generation: int
    """The life of the session's media in which the asked node is its host."""
    account: str
    connection: str
    number: int
    """Goes up with whatever this connection asks for: what has been overtaken does nothing."""
    sdp: str


class Leave(_Message, frozen=True):
    """A participant closes its peer connection and stays in the session. Answered by `Done`."""

    session: str
    account: str
    connection: str
    number: int


class Look(_Message, frozen=True):
    """What the node has of a session is to be compared with the store. Answered by `Done` once it is so."""

    session: str


class Answered(_Message, frozen=True):
    """The answer to an offer."""

    generation: int
    sdp: str


class Done(_Message, frozen=True):
    """It is so."""


class Stale(_Message, frozen=True):
    """The node does not have that life of the session's media: the store knows who has which."""


class Unable(_Message, frozen=True):
    """The node has no room for another session, or no worker: another node may have."""


class Refused(_Message, frozen=True):
    """It cannot be had."""

    name: str
    """One of those in :mod:`protocol.errors`."""
    detail: str = ""
    retry_after_ms: int | None = None


class Unknown(_Message, frozen=True):
    """The node does not know what it was asked."""


Request: TypeAlias = Offer | Leave | Look
Reply: TypeAlias = Answered | Done | Stale | Unable | Refused | Unknown

UNAVAILABLE = Refused(errors.MEDIA_UNAVAILABLE.name, retry_after_ms=RETRY_AFTER_MS)
"""Not now; the same offer may be answered a little later."""

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """A message as it travels."""
    return _encoder.encode(message)


def decode_request(data: bytes) -> Request | None:
    """What was asked; None if this version does not understand it."""
    try:
        return _requests.decode(data)
    except (msgspec.MsgspecError, ValueError):
        return None


def decode_reply(data: bytes) -> Reply:
    """What was answered; :class:`Unknown` if this version does not understand it."""
    try:
        return _replies.decode(data)
    except (msgspec.MsgspecError, ValueError):
        return Unknown()


def refused(error: ProtocolError) -> Refused:
    """A refusal as a reply."""
    return Refused(error.kind.name, error.detail, error.retry_after_ms)


def error_of(reply: Refused) -> ProtocolError:
    """The inverse of :func:`refused`; a refusal whose name this version does not know is temporary."""
    try:
        kind = errors.kind_named(reply.name)
    except KeyError:
        return unavailable()
    return ProtocolError(kind, reply.detail, retry_after_ms=reply.retry_after_ms)


def unavailable() -> ProtocolError:
    """``media_unavailable``, with the time after which it is worth another try."""
    return ProtocolError(errors.MEDIA_UNAVAILABLE, retry_after_ms=RETRY_AFTER_MS)

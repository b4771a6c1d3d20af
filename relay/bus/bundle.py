"""Bundles: what travels from one node to another, so that nobody between them can forge or repeat any of it.

A bundle is the HMAC-SHA256 of its content under the cluster's key, and the content: sender, receiver, the
number of the bundle among those of that sender to that receiver, the time, and the notices. Pure; time is an
argument.
"""

import hmac
from collections.abc import Iterator, Sequence

import msgspec

from relay.bus import Delivery

MAC_BYTES = 32
MAX_BYTES = 4 << 20
"""As much as a bundle carries, unless one notice alone is larger; a stopped reader of Redis' channels is cut
off at 32 MiB.
"""
MAX_RECEIVED_BYTES = 32 << 20
"""What is larger is not looked at."""

_LABEL = b"rapport/bus/v1\0"


class Refused(Exception):
    """What came in is not taken. `cause` is for counting."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Bundle(msgspec.Struct, frozen=True, array_like=True):
    """The content of one bundle."""

    sender: str
    receiver: str
    sequence: int
    """From 1 on, without a gap unless something was lost."""
    at_ms: int
    lost: bool
    """Whether the sender had to drop notices before this one, for whatever node."""
    deliveries: tuple[msgspec.Raw, ...]
    """A :class:`relay.bus.Delivery` each, so that one of a newer version does not spoil the others."""


_encoder = msgspec.msgpack.Encoder()
_bundles = msgspec.msgpack.Decoder(Bundle)
_deliveries = msgspec.msgpack.Decoder(Delivery)


def pack(delivery: Delivery) -> msgspec.Raw:
    """A delivery as bundles carry it."""
    return msgspec.Raw(_encoder.encode(delivery))


def unpack(packed: msgspec.Raw) -> Delivery | None:
    """The delivery; None for a kind of notice that this version does not know."""
    try:
        return _deliveries.decode(packed)
    except msgspec.DecodeError:
        return None


def split(deliveries: Sequence[msgspec.Raw], max_bytes: int = MAX_BYTES) -> Iterator[tuple[msgspec.Raw, ...]]:
    """The deliveries in portions for one bundle each; a single empty one if there are none."""
    portion: list[msgspec.Raw] = []
    size = 0
    for packed in deliveries:
        length = len(memoryview(packed))
        if portion and size + length > max_bytes:
            yield tuple(portion)
            portion, size = [], 0
        portion.append(packed)
        size += length
    yield tuple(portion)


def seal(bundle: Bundle, key: bytes) -> bytes:
    """The bytes that travel."""
    content = _encoder.encode(bundle)
    return hmac.digest(key, _LABEL + content, "sha256") + content


def unseal(data: bytes, keys: Sequence[bytes], receiver: str) -> Bundle:
    """The bundle in what came in. Raises `Refused`: ``oversize``, ``forged``, ``unreadable``,
    ``misdirected``.
    """
    if len(data) > MAX_RECEIVED_BYTES:
        raise Refused("oversize")
    mac, content = data[:MAC_BYTES], data[MAC_BYTES:]
    if not any(hmac.compare_digest(hmac.digest(key, _LABEL + content, "sha256"), mac) for key in keys):
        raise Refused("forged")
    try:
        bundle = _bundles.decode(content)
    except msgspec.DecodeError as error:
        raise Refused("unreadable") from error
    if bundle.receiver != receiver:
        raise Refused("misdirected")
    return bundle

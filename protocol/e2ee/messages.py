"""Sealing a message, and opening it: the envelope that stands in the ``data`` of a message event.

    envelope = [1, header, ciphertext, signature]

The header is associated data of the AEAD and signed together with the ciphertext, so that the server can
neither change a message nor move it. :func:`check` refuses what is not the next message of its sender.
"""

from __future__ import annotations

from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta

from protocol.e2ee import signing
from protocol.e2ee.epochs import Place
from protocol.e2ee.errors import (
    Duplicate,
    EpochExhausted,
    Gap,
    Malformed,
    Reordered,
    Replayed,
    Tampered,
    WrongMessageId,
    WrongRoom,
    WrongSender,
    WrongSession,
)
from protocol.e2ee.padding import pad, unpad
from protocol.e2ee.ratchet import MAX_MESSAGES, Chain
from protocol.e2ee.structures import Bytes16, Count, EpochId, Signature, Structure, pack, unpack
from protocol.fields import AccountId, DeviceId, RoomId, SessionId

MAX_HEADER_BYTES = 1024
MAX_ENVELOPE_BYTES = 96 * 1024


class MessageHeader(Structure, frozen=True):
    """What everyone on the way can read, and nobody can change."""

    room: RoomId
    account: AccountId
    device: DeviceId
    epoch: EpochId
    """The sender epoch whose ratchet gives the key."""
    index: Count
    """Which message of the epoch: 0, 1, 2..."""
    previous: Count | None
    """The index of the message stored before it in the epoch; none for the first."""
    mid: Bytes16
    """The message's id, a UUIDv7."""
    after: Place
    """The last event of the room that the sender had taken in."""
    session: SessionId | None
    """The session in whose live chat it was written."""


class Envelope(Structure, frozen=True):
    """A message as it travels."""

    version: Literal[1]
    header: Annotated[bytes, Meta(max_length=MAX_HEADER_BYTES)]
    """A :class:`MessageHeader`, packed."""
    ciphertext: Annotated[bytes, Meta(max_length=MAX_ENVELOPE_BYTES)]
    """AES-256-GCM over the padded content."""
    signature: Signature
    """By the device over u32(length of the header), header and ciphertext, for ``message``."""


class Arrival(Structure, frozen=True):
    """What the server says about a message."""

    room: str
    account: str
    device: str
    mid: bytes
    session: str | None
    place: Place


def seal(header: MessageHeader, chain: Chain, content: bytes, device_seed: bytes) -> bytes:
    """The envelope, to be kept and sent again as it is until it is answered."""
    packed = pack(header)
    key, nonce = chain.message_key()
    ciphertext = AESGCM(key).encrypt(nonce, pad(content), packed)
    return pack(
        Envelope(1, packed, ciphertext, signing.sign(device_seed, "message", _signed(packed, ciphertext)))
    )


def read(data: bytes) -> tuple[Envelope, MessageHeader]:
    """An envelope and its header without any proof: enough for the server's checks.

    Raises :exc:`Malformed` or :exc:`Truncated`.
    """
    envelope = unpack(Envelope, data, MAX_ENVELOPE_BYTES)
    header = unpack(MessageHeader, envelope.header, MAX_HEADER_BYTES)
    if len(envelope.ciphertext) < 256 + 16:
        raise Malformed("the ciphertext is shorter than any")
    return envelope, header


def check(envelope: Envelope, header: MessageHeader, arrival: Arrival, device_key: bytes) -> None:
    """Whether its sender wrote this message for this place.

    Raises :exc:`WrongRoom`, :exc:`WrongSender`, :exc:`WrongMessageId`, :exc:`WrongSession`,
    :exc:`ForgedSignature` or :exc:`Reordered`.
    """
    if header.room != arrival.room:
        raise WrongRoom()
    if (header.account, header.device) != (arrival.account, arrival.device):
        raise WrongSender()
    if header.mid != arrival.mid:
        raise WrongMessageId()
    if header.session != arrival.session:
        raise WrongSession()
    signed = _signed(envelope.header, envelope.ciphertext)
    signing.verify(device_key, "message", signed, envelope.signature)
    after, place = header.after, arrival.place
    if after.log > place.log or (after.log == place.log and after.offset >= place.offset):
        raise Reordered()


def check_order(header: MessageHeader, following: int) -> None:
    """Whether it is message ``following`` of its epoch.

    Raises :exc:`Duplicate`, :exc:`Replayed`, :exc:`Gap` or :exc:`EpochExhausted`. After a gap the message can
    be opened nevertheless, with the chain forwarded over what is missing.
    """
    if header.index >= MAX_MESSAGES:
        raise EpochExhausted()
    if header.previous != (header.index - 1 if header.index else None):
        raise Malformed("an epoch's messages follow one another")
    if header.index == following - 1:
        raise Duplicate()
    if header.index < following:
        raise Replayed()
    if header.index > following:
        raise Gap(header.index - following)


def decrypt(envelope: Envelope, chain: Chain) -> bytes:
    """The content of a message that was checked, with the chain at its index.

    Raises :exc:`Tampered` or :exc:`ContentError`.
    """
    key, nonce = chain.message_key()
    try:
        return unpad(AESGCM(key).decrypt(nonce, envelope.ciphertext, envelope.header))
    except InvalidTag:
        raise Tampered() from None


def _signed(header: bytes, ciphertext: bytes) -> bytes:
    return len(header).to_bytes(4, "big") + header + ciphertext

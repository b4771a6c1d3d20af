"""Sender epochs: 32 bytes of seed, sealed to every device of every member in one event of the room's log.

The header is signed by the sending device and bound into every slot. It commits to the seed, so that nobody
can be given another one, and names the device lists it was made for, so that nobody can be left out unseen.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta

from protocol.e2ee import ratchet, signing, xwing
from protocol.e2ee.devices import DeviceList, SignedList, verify_list
from protocol.e2ee.errors import BadCommitment, ListForked, UnreadableSlot, WrongRoom, WrongSender
from protocol.e2ee.kdf import digest
from protocol.e2ee.structures import Bytes32, Count, EpochId, Signature, Structure, pack, unpack
from protocol.e2ee.xwing import Encapsulated
from protocol.fields import AccountId, DeviceId, Milliseconds, RoomId

MAX_ACCOUNTS = 64
"""How many accounts one epoch is sealed for at most."""

MAX_SLOTS = 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_AGE_MS = 24 * 3600 * 1000
"""After that long a sender begins a new epoch."""

SEALED_BYTES = ratchet.SEED_BYTES + xwing.TAG_BYTES

ARCHIVE = ""
"""In place of a device: the account's archive. In place of the account too: the organisation's."""

_SlotAccount = Annotated[str, Meta(max_length=128)]
_SlotDevice = Annotated[str, Meta(max_length=64)]


class Place(Structure, frozen=True):
    """A place in a room's log."""

    log: Count
    """The log's own epoch: which life of the log the offset belongs to."""
    offset: Count
    """0 is before the first event."""


class ListName(Structure, frozen=True):
    """The list of one member that an epoch was made for."""

    account: AccountId
    number: Count
    """0: the account had no list, and nothing was sealed to it."""
    digest: Bytes32
    """SHA-256 of the list's body; zeros for number 0."""


class Before(Structure, frozen=True):
    """The epoch of the same device before this one."""

    epoch: EpochId
    last: Count | None
    """The index of the last message stored in it; none if there was none."""


class EpochHeader(Structure, frozen=True):
    """What the sending device signs for ``keys``."""

    room: RoomId
    account: AccountId
    device: DeviceId
    epoch: EpochId
    commitment: Bytes32
    """:func:`ratchet.commitment` of the seed."""
    lists: Annotated[tuple[ListName, ...], Meta(min_length=1, max_length=MAX_ACCOUNTS)]
    """Of every member of the room, sorted by account."""
    own: SignedList
    """The sender's own list, so that whoever comes back later can check it without asking."""
    organisation: Bytes32 | None
    """SHA-256 of the public key of the organisation's archive, if the room has one."""
    previous: Before | None
    """None for the device's first epoch in the room."""
    after: Place
    """The last event of the room that the device had taken in."""
    created_ms: Milliseconds

    def number_of(self, account: str) -> int:
        """The number of an account's list in this epoch; 0 when it has none or is not a member."""
        return next((name.number for name in self.lists if name.account == account), 0)


class Slot(Structure, frozen=True):
    """The seed of an epoch, sealed to one prekey."""

    account: _SlotAccount
    """Whose; empty for the organisation's archive."""
    device: _SlotDevice
    """Which device; empty for an archive."""
    prekey: Count
    """Which prekey of the device; 0 for an archive."""
    encapsulated: Encapsulated
    """HPKE's encapsulated key (RFC 9180, 4)."""
    sealed: Annotated[bytes, Meta(min_length=SEALED_BYTES, max_length=SEALED_BYTES)]
    """The seed."""


class EpochKeys(Structure, frozen=True):
    """All that one ``keys`` event carries."""

    header: Annotated[bytes, Meta(max_length=MAX_HEADER_BYTES)]
    """An :class:`EpochHeader`, packed."""
    signature: Signature
    """By the device over ``header``, for ``keys``."""
    slots: Annotated[tuple[Slot, ...], Meta(max_length=MAX_SLOTS)]


class Recipient(Structure, frozen=True):
    """To whom a slot is sealed."""

    account: str
    device: str
    prekey: int
    public: bytes
    """X-Wing, 1,216 bytes."""


def make_keys(
    header: EpochHeader, seed: bytes, device_seed: bytes, recipients: Iterable[Recipient]
) -> EpochKeys:
    """Seal an epoch. :exc:`Malformed` when a recipient's public key is none."""
    packed = pack(header)
    slots = tuple(_seal_slot(packed, seed, recipient) for recipient in recipients)
    return EpochKeys(packed, signing.sign(device_seed, "keys", packed), slots)


def read_header(packed: bytes) -> EpochHeader:
    """A header without any proof: enough for the server's checks. :exc:`Malformed` if it is none."""
    return unpack(EpochHeader, packed, MAX_HEADER_BYTES)


def sender_list(header: EpochHeader) -> DeviceList:
    """The sender's device list as the header brings it; whose key signed it is for the caller to compare.

    Raises what :func:`~protocol.e2ee.devices.verify_list` raises, and :exc:`ListForked` when it is
    not the one named.
    """
    devices = verify_list(header.own, header.account)
    if ListName(header.account, devices.number, header.own.digest) not in header.lists:
        raise ListForked("the list that the header brings is not the one that it names")
    return devices


def check_sender(header: EpochHeader, room: str, account: str, device: str) -> None:
    """Whether it was written where, and by whom, the server says. :exc:`WrongRoom` or :exc:`WrongSender`."""
    if header.room != room:
        raise WrongRoom()
    if (header.account, header.device) != (account, device):
        raise WrongSender()


def check_header(
    keys: EpochKeys, header: EpochHeader, room: str, account: str, device: str, device_key: bytes
) -> None:
    """Whether the device that the server names signed this header for this room.

    Raises :exc:`WrongRoom`, :exc:`WrongSender` or :exc:`ForgedSignature`.
    """
    check_sender(header, room, account, device)
    signing.verify(device_key, "keys", keys.header, keys.signature)


def find_slot(keys: EpochKeys, account: str, device: str) -> Slot | None:
    """The slot of a device, or of an archive when ``device`` is :data:`ARCHIVE`."""
    return next((slot for slot in keys.slots if (slot.account, slot.device) == (account, device)), None)


def open_slot(header: bytes, slot: Slot, prekey_seed: bytes) -> bytes:
    """The seed of an epoch. Raises :exc:`UnreadableSlot` or :exc:`BadCommitment`.

    ``header`` is the packed one, whose signature has been checked.
    """
    info = slot_info(header, slot.account, slot.device, slot.prekey)
    seed = xwing.unseal(prekey_seed, info, slot.encapsulated, slot.sealed)
    if len(seed) != ratchet.SEED_BYTES:
        raise UnreadableSlot()
    if not hmac.compare_digest(ratchet.commitment(seed), read_header(header).commitment):
        raise BadCommitment()
    return seed


def slot_info(header: bytes, account: str, device: str, prekey: int) -> bytes:
    """HPKE's ``info`` of a slot: which header it belongs to, and whose it is."""
    return b"rapport/v1/slot\0" + digest(header) + pack((account, device, prekey))


def names_of(lists: Mapping[str, tuple[int, bytes]]) -> tuple[ListName, ...]:
    """``{account: (number, digest)}`` in the order of a header."""
    return tuple(ListName(account, *lists[account]) for account in sorted(lists))


def _seal_slot(header: bytes, seed: bytes, to: Recipient) -> Slot:
    info = slot_info(header, to.account, to.device, to.prekey)
    return Slot(to.account, to.device, to.prekey, *xwing.seal(to.public, info, seed))

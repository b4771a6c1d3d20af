"""What a store keeps of the keys of devices: lists, requests to be listed, prekeys and claims of them.

Rows, writes and the reading part of the Store port. The store verifies nothing and does not look into bodies;
it sees to it that a list follows the one it was made after, that a one-time prekey is handed out once, and
that a sealed event is appended only while it is for those it was sealed to.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec

from relay.rows import Revocation


class DeviceListRow(msgspec.Struct, frozen=True, gc=False):
    """The current device list of an account."""

    account: str
    number: int
    body: bytes
    epoch: int  # the store's epoch in which it was written; older than the store's after a restore


class DeviceRow(msgspec.Struct, frozen=True, gc=False):
    """A device that has asked to be listed, and whether it was."""

    account: str
    device: str
    key: bytes
    name: bytes
    listed: bool
    since_ms: int


class Prekey(msgspec.Struct, frozen=True, gc=False):
    """A prekey of a device. `public` is what of `body` the digest of an inventory is made of."""

    id: int
    public: bytes
    body: bytes


class Stock(msgspec.Struct, frozen=True, gc=False):
    """What is held of a device's keys, and of its account's."""

    one_time: tuple[tuple[int, bytes], ...] = ()  # id and `public`, by id, of the store's present epoch
    highest: int = 0  # the highest id ever put in that epoch
    last_resort: int | None = None  # the id of the last-resort prekey, of whatever epoch
    listed: bool | None = None  # whether it is listed; None: it has not even asked to be
    number: int = 0  # of the account's device list
    ended: int = 0  # the number of the list that was reset, while there is no other
    pending: int = 0  # other devices of the account that ask to be listed


class ClaimedPrekey(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The prekey that a claim got of a device."""

    account: str
    device: str
    id: int
    body: bytes
    last_resort: bool
    left: int  # one-time prekeys of the device that are left after it


class PutDeviceList(msgspec.Struct, frozen=True, gc=False):
    """Replace an account's device list, if its number is `expect_number`; 0: if it has none.

    `Conflict` if another list stands there, or one was reset that had this number or a higher one. Sealed
    events that name another number than the new one are refused from here on. Outcome: `Applied`.
    """

    account: str
    number: int
    body: bytes
    expect_number: int


class RequestDevice(msgspec.Struct, frozen=True, gc=False):
    """Note that a device asks to be listed; with another key than before, its prekeys are dropped.

    `Conflict` if the device is listed with another key, `TooMany` if `max_pending` others of the account ask
    already. Outcome: `Applied`, unchanged if it stood there with the same key and name.
    """

    account: str
    device: str
    key: bytes
    name: bytes
    at_ms: int
    max_pending: int


class RestoreDevice(msgspec.Struct, frozen=True, gc=False):
    """A device is listed that the store has forgotten, because a backup was put back that is older than it.

    There are no prekeys of it until it comes. Outcome: `Applied`, unchanged if it is known.
    """

    account: str
    device: str
    key: bytes
    at_ms: int


class ListDevice(msgspec.Struct, frozen=True, gc=False):
    """A device that had asked for it is listed now.

    `NotFound` if it has not asked with this key, or there is no last-resort prekey of it. Outcome: `Applied`,
    unchanged if it was listed.
    """

    account: str
    device: str
    key: bytes


class NameDevice(msgspec.Struct, frozen=True, gc=False):
    """Give a device another name. `NotFound` without the device. Outcome: `Applied`."""

    account: str
    device: str
    name: bytes


class DropDevice(msgspec.Struct, frozen=True, gc=False):
    """Forget a device with its prekeys, listed or not. Outcome: `Applied`, unchanged if it was not there."""

    account: str
    device: str


class PutPrekeys(msgspec.Struct, frozen=True, gc=False):
    """Keep prekeys of a device. One-time prekeys come by rising id; the last-resort one replaces the last.

    Only ids higher than every one that was ever put of this device in the store's epoch are new. Others are
    passed over: they are held or were handed out; `Conflict` if one is held with another body. `NotFound`
    without the device or with another key than `key`, `TooMany` if more than `max_held` would be held.
    Outcome: `Applied`.
    """

    account: str
    device: str
    key: bytes
    one_time: tuple[Prekey, ...]
    last_resort: Prekey | None
    max_held: int


class ClaimPrekeys(msgspec.Struct, frozen=True, gc=False):
    """Take one prekey of each device: the one-time one with the lowest id, which is never handed out again,
    or else the last-resort one. Devices without any, not listed or revoked are left out.

    `claim` (16 bytes) is used once by an account: repeating it gives the first result, and `Conflict` for
    other devices. Outcome: `Claimed`.
    """

    claim: bytes
    claimer: str
    devices: tuple[tuple[str, str], ...]  # (account, device), each once
    at_ms: int


class ForgetClaims(msgspec.Struct, frozen=True, gc=False):
    """Drop the results of claims made before an instant. Outcome: `Applied`."""

    before_ms: int


class ResetKeys(msgspec.Struct, frozen=True, gc=False):
    """Forget the list and the devices of an account with their prekeys. The number of the list is kept: those
    to come are higher, so that whatever was sealed for it is out of date.

    Outcome: `Applied`, unchanged if there was no list and no device.
    """

    account: str


KeysWrite = (
    PutDeviceList
    | RequestDevice
    | RestoreDevice
    | ListDevice
    | NameDevice
    | DropDevice
    | PutPrekeys
    | ForgetClaims
    | ResetKeys
)
"""The writes whose outcome is `Applied`."""


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """What a claim got, in the order of its devices. `duplicate`: this is the first result once more."""

    prekeys: tuple[ClaimedPrekey, ...]
    duplicate: bool = False


class Sealing(msgspec.Struct, frozen=True, gc=False):
    """For whom an event was sealed: it is appended only while that is so.

    `numbers` has the number of the device list of each member that has one, and nobody else: `Outdated`
    otherwise. `epoch` is the sender epoch (16 bytes): with `opens` the event begins it, and it takes the
    place of the sending device's epoch in this room; without, it has to be that one: `UnknownEpoch`. None:
    the event belongs to no epoch.
    """

    numbers: Mapping[str, int]
    epoch: bytes | None = None
    opens: bool = False


UNSEALED = Sealing({})
"""Not sealed: taken only while no member has a device list."""


class Keys(Protocol):
    """The part of the Store port that reads keys."""

    async def device_lists(self, accounts: Collection[str]) -> Mapping[str, DeviceListRow]:
        """The lists of those accounts that have one."""

    async def device_lists_in(self, room: str) -> Mapping[str, DeviceListRow]:
        """The lists of the members of a room that have one."""

    async def devices_of(self, account: str) -> tuple[DeviceRow, ...]:
        """The devices of an account, by id."""

    async def stock(self, account: str, device: str) -> Stock:
        """What is held of a device's keys, in one snapshot."""

    async def revocations_of(self, accounts: Collection[str]) -> tuple[Revocation, ...]:
        """The revocations of these accounts and of their devices."""

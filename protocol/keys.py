"""What is asked and told of keys: devices and their signed lists, prekeys, claims, sender epochs, the vault.

What is signed travels as the exact bytes that were signed; what stands inside them is :mod:`protocol.e2ee`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from protocol.base import Frame, Request
from protocol.e2ee.devices import SignedList
from protocol.e2ee.epochs import MAX_HEADER_BYTES, MAX_SLOTS, Slot
from protocol.e2ee.prekeys import SignedPrekey
from protocol.e2ee.structures import Bytes32, Signature
from protocol.fields import AccountId, DeviceId, MessageId, Milliseconds, RoomId

PREKEYS_AT_ONCE = 128
CLAIMS_AT_ONCE = 512
VAULT_BYTES = 16 * 1024

SealedName: TypeAlias = Annotated[bytes, Meta(max_length=256)]
"""What a device is called; only the devices of its account can read it."""

Addressee: TypeAlias = Annotated[str, Meta(max_length=128)]
AddresseeDevice: TypeAlias = Annotated[str, Meta(max_length=64)]
ListNumber: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]


DeviceState: TypeAlias = Literal["pending", "listed", "barred"]
KeysPart: TypeAlias = Literal["devices", "prekeys", "vault"]
"""What of an account's keys may change."""


class _Array(Struct, frozen=True, gc=False, array_like=True):
    """Base of what travels as an array: the fields in their order."""


class DevicePlace(_Array, frozen=True, order=True):
    """Which device of which account."""

    account: AccountId
    """Whose."""
    device: DeviceId
    """Which of theirs."""


class SlotPlace(_Array, frozen=True, order=True):
    """What a slot is for."""

    account: Addressee
    """Whose device or archive; empty: the archive of the organisation."""
    device: AddresseeDevice
    """Which device; empty: an archive."""


class KeyInventory(Struct, frozen=True, gc=False, omit_defaults=True):
    """What the server has of this device's keys, so that drift is found at once."""

    generation: int
    """Goes up whenever the server was restored from a backup: then prekeys of before are good for nothing."""
    digest: bytes
    """SHA-256 over the one-time prekeys held, in order: see the page on encryption."""
    count: int = 0
    """How many one-time prekeys are left."""
    lowest: int | None = None
    """The lowest id among them, which is handed out next."""
    highest: int = 0
    """The highest id ever taken from this device in this generation: the next ones have to be higher."""
    last_resort: int | None = None
    """The id of its last-resort prekey."""
    list: ListNumber = 0
    """The number of the account's device list; 0: it has none."""
    first: ListNumber = 1
    """The number that its first list is to have: a higher one after its keys were reset."""
    state: Literal["unknown", "pending", "listed"] = "unknown"
    """Whether this device is in the list, asks to be, or neither."""
    pending: int = 0
    """How many other devices of the account ask to be listed."""
    vault: int = 0
    """The revision of the account's vault; 0: it has none."""


class Mismatch(Struct, frozen=True, gc=False, omit_defaults=True):
    """Why something was not made for the devices there are: everything that is needed to make it again."""

    missing: tuple[SlotPlace, ...] = ()
    """Devices and archives that have to get it, and were not thought of."""
    extra: tuple[SlotPlace, ...] = ()
    """Devices and archives that it was made for, and that must not get it."""
    stale: tuple[AccountId, ...] = ()
    """Accounts of whose devices it names another list than the current one, or of which it should name
    none."""
    barred: tuple[DevicePlace, ...] = ()
    """Listed devices that nothing may be sealed to, because they were barred."""
    members: tuple[AccountId, ...] = ()
    """All members of the room, also those without a list."""
    lists: tuple[SignedList, ...] = ()
    """The current lists of all members that have one, by account."""


# --- Requests -------------------------------------------------------------------------------------------


class DeviceRequest(Request, frozen=True, tag="device.request"):
    """Ask to be listed among the devices of the account, with the key that this device has made.

    The devices there are, are told by ``keys.changed``. Next come this device's prekeys; then a device that
    holds the account key signs a list with it. The account's first device signs that list itself.
    """

    key: Bytes32
    """The device's own key. Asking again with the same changes nothing, with another replaces the request."""
    sealed_name: SealedName = b""
    """What it is called."""


class DevicesGet(Request, frozen=True, tag="device.list"):
    """The account's own devices: those that are listed, and those that ask to be."""


class DeviceRename(Request, frozen=True, tag="device.rename"):
    """Give one of the account's devices another name."""

    device: DeviceId
    """Which."""
    sealed_name: SealedName
    """The new one."""


class DeviceDismiss(Request, frozen=True, tag="device.dismiss"):
    """Turn down a device that asks to be listed. One that is listed goes by a list without it."""

    device: DeviceId
    """Which."""


class KeysInventory(Request, frozen=True, tag="keys.inventory"):
    """What ``welcome`` told of keys, as it is now."""


class KeysListPut(Request, frozen=True, tag="keys.list.put"):
    """Replace the account's device list by the next one.

    Its number is one higher than that of the current list, whose digest it names. Every device that is new in
    it has asked to be, and has a last-resort prekey here. A device that is no longer in it is cut off at once
    and cannot come back. After a lost reply send the same again.
    """

    list: SignedList
    """The new one."""


class KeysListGet(Request, frozen=True, tag="keys.list.get"):
    """The current device lists of the members of a room, or that of the own account."""

    room: RoomId | None = None
    """Which room; none: the own account."""


class KeysPrekeysPut(Request, frozen=True, tag="keys.prekeys.put"):
    """Put prekeys of this device there for others to claim, all of them or none.

    One-time prekeys that are held already with the same bytes are passed over, so that the same can be sent
    again after a lost reply.
    """

    one_time: Annotated[tuple[SignedPrekey, ...], Meta(max_length=PREKEYS_AT_ONCE)] = ()
    """With ids that go up, and are higher than ``highest`` of the inventory."""
    last_resort: SignedPrekey | None = None
    """The one that is handed out when no other is left, in place of the one before."""


class KeysClaim(Request, frozen=True, tag="keys.claim"):
    """Take one prekey of each of these devices, to start a sender epoch with.

    After a lost reply send the same again: it gives the same prekeys. Devices that are not listed, are barred
    or have no prekey are left out of the answer.
    """

    claim: MessageId
    """UUIDv7, made once for this claim."""
    room: RoomId
    """The room that the devices' accounts are members of, as this one is."""
    devices: Annotated[tuple[DevicePlace, ...], Meta(min_length=1, max_length=CLAIMS_AT_ONCE)]
    """Which devices; each once."""


class KeysSend(Request, frozen=True, tag="keys.send"):
    """Open a sender epoch of this device: its seed, sealed to everyone who is to read what follows.

    There is exactly one slot for each listed device of each member, for this device itself if it likes, and
    for each archive. ``device_mismatch`` tells what is not so. The reply comes when it is durable; after a
    lost reply send the same again.
    """

    room: RoomId
    """Which room."""
    mid: MessageId
    """UUIDv7, made once for this event."""
    header: Annotated[bytes, Meta(min_length=1, max_length=MAX_HEADER_BYTES)]
    """What was signed: it names room, sender, epoch, and the device lists that the epoch is for."""
    signature: Signature
    """By the device's key, with the label `keys`."""
    slots: Annotated[tuple[Slot, ...], Meta(max_length=MAX_SLOTS)]
    """For whom."""


class VaultGet(Request, frozen=True, tag="vault.get"):
    """The account's vault."""


class VaultPut(Request, frozen=True, tag="vault.put"):
    """Replace the account's vault, if it still stands at a revision."""

    blob: Annotated[bytes, Meta(min_length=1, max_length=VAULT_BYTES)]
    """The account's secrets under a key of the person's passphrase. Opaque to the server."""
    revision: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
    """The revision that it takes the place of; 0: there is none yet."""


KeysRequest: TypeAlias = (
    DeviceRequest
    | DevicesGet
    | DeviceRename
    | DeviceDismiss
    | KeysInventory
    | KeysListPut
    | KeysListGet
    | KeysPrekeysPut
    | KeysClaim
    | KeysSend
    | VaultGet
    | VaultPut
)


# --- Results --------------------------------------------------------------------------------------------


class OwnDevice(Struct, frozen=True, gc=False, omit_defaults=True):
    """One device of the own account."""

    device: DeviceId
    """Which."""
    state: DeviceState
    """Whether it asks to be listed, is listed, or is listed and was barred by the platform."""
    key: Bytes32
    """Its key."""
    since_ms: Milliseconds
    """Since when it is known."""
    sealed_name: SealedName = b""
    """What it is called."""


class Devices(Struct, frozen=True, gc=False, tag_field="of", tag="device.list"):
    """The devices of the own account."""

    devices: tuple[OwnDevice, ...]
    """By their ids."""


class Inventory(Struct, frozen=True, gc=False, tag_field="of", tag="keys.inventory"):
    """The keys of this device."""

    keys: KeyInventory
    """As they are now."""


class KeyLists(Struct, frozen=True, gc=False, tag_field="of", tag="keys.list.get", omit_defaults=True):
    """Device lists."""

    members: tuple[AccountId, ...] = ()
    """All members of the room, also those without a list; or the own account."""
    lists: tuple[SignedList, ...] = ()
    """The lists of those that have one, by account."""
    barred: tuple[DevicePlace, ...] = ()
    """Listed devices that nothing may be sealed to, because they were barred."""


class ClaimedPrekey(Struct, frozen=True, gc=False, omit_defaults=True):
    """The prekey of one device."""

    account: AccountId
    """Whose."""
    device: DeviceId
    """Which of theirs."""
    prekey: SignedPrekey
    """The prekey, to be verified with the device's key."""
    last_resort: bool = False
    """There was no one-time prekey left."""


class Claimed(Struct, frozen=True, gc=False, tag_field="of", tag="keys.claim", omit_defaults=True):
    """Prekeys, in the order in which their devices were named."""

    prekeys: tuple[ClaimedPrekey, ...] = ()
    """One for each device that has one."""


class Vault(Struct, frozen=True, gc=False, tag_field="of", tag="vault", omit_defaults=True):
    """The vault, as it stands now."""

    revision: int
    """Goes up with every change; 0: there is none."""
    blob: bytes = b""
    """What stands in it. Left out of the answer to ``vault.put``."""


KeysResult: TypeAlias = Devices | Inventory | KeyLists | Claimed | Vault


# --- Told without being asked ---------------------------------------------------------------------------


class KeysChanged(Frame, frozen=True, tag="keys.changed"):
    """Something about the keys of the own account has changed; ``keys.inventory`` tells how they stand."""

    what: KeysPart
    """Its devices, or those that ask to be; this device's prekeys, which run out; its vault."""

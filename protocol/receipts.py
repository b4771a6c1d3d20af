"""What the members of a room have received and read, as far as they let others see it."""

from __future__ import annotations

from msgspec import Struct

from protocol.base import Request
from protocol.fields import AccountId, DeviceId, Epoch, Offset, RoomId


class RoomReceipts(Request, frozen=True, tag="room.receipts"):
    """How far have the members of a room received and read its log?

    What a member does not let others see is left out; see ``preferences.set``. The signals ``delivered`` and
    ``read`` keep it current.
    """

    room: RoomId
    """Which room."""


class DeviceReceipt(Struct, frozen=True):
    """How far a device holds a log."""

    device: DeviceId
    """Which device."""
    offset: Offset
    """The last event that it has acknowledged."""


class MemberReceipts(Struct, frozen=True, omit_defaults=True):
    """What a member has received and read."""

    account: AccountId
    """Who."""
    read: Offset | None = None
    """The last event read, 0 for none; left out if they do not let others see it."""
    devices: tuple[DeviceReceipt, ...] | None = None
    """Their devices that have received anything; left out if they do not let others see it."""


class Receipts(Struct, frozen=True, tag_field="of", tag="room.receipts"):
    """What the members of a room have received and read. One's own account is always told in full."""

    epoch: Epoch
    """The epoch of the log."""
    members: tuple[MemberReceipts, ...]
    """Every member of the room."""

"""The bodies of the API about the devices and keys of accounts."""

from __future__ import annotations

from protocol.fields import Milliseconds
from protocol.keys import DeviceState
from signaling.http.schemas import Body


class DeviceItem(Body, frozen=True):
    """A device of an account. What its person calls it, only their devices can read."""

    device: str
    """Its id, which `revoke` takes."""
    state: DeviceState
    """Whether it asks to be listed, is listed, or is listed and was revoked."""
    since_ms: Milliseconds
    """Since when it is known."""


class DevicesItem(Body, frozen=True):
    """The devices of an account."""

    account: str
    """Whose."""
    list: int
    """The number of the device list that the account has signed last; 0: none yet."""
    devices: tuple[DeviceItem, ...]
    """By their ids."""


class KeysResetSpec(Body, frozen=True):
    """Nothing is to be said about a reset but whose keys it is about."""


class KeysResetItem(Body, frozen=True):
    """An account that begins anew."""

    account: str
    """The account."""

"""Whether a device list may take the place of the one there is. Pure."""

from __future__ import annotations

import msgspec

from protocol import errors
from protocol.e2ee.devices import DeviceEntry, DeviceList, SignedList, check_archive, verify_list
from protocol.e2ee.errors import E2eeError
from protocol.e2ee.structures import pack, unpack
from protocol.errors import ProtocolError
from protocol.keys import Mismatch
from relay.keys import DeviceListRow, PutDeviceList

_SIGNED = msgspec.msgpack.Decoder(SignedList)


def kept(row: DeviceListRow) -> tuple[SignedList, DeviceList]:
    """A list as the store has it; its signature was verified as it came."""
    signed = _SIGNED.decode(row.body)
    return signed, unpack(DeviceList, signed.body)


def is_forgotten(entry: DeviceEntry, epoch: int) -> bool:
    """Whether a store of this epoch may have forgotten a device: epochs begin with a restore, and are the
    second of it.
    """
    return entry.added_ms < epoch * 1000


def next_list(
    account: str, signed: SignedList, row: DeviceListRow | None, epoch: int
) -> tuple[DeviceList, PutDeviceList] | None:
    """A list and the write that makes it the current one; None if it is that already.

    ``epoch`` is the store's: after a restore an account may have signed lists that the store has never heard
    of. ``list_invalid``, ``list_outdated``, ``account_key_changed``.
    """
    try:
        devices = verify_list(signed, account)
        check_archive(devices)
    except E2eeError as error:
        raise ProtocolError(errors.LIST_INVALID, f"the list is {error.name}") from None
    if row is not None:
        current, before = kept(row)
        if signed == current:
            return None
        if signed.account_key != current.account_key:
            raise ProtocolError(errors.ACCOUNT_KEY_CHANGED)
        follows = devices.number == before.number + 1 and devices.previous == current.digest
        if not follows and (row.epoch == epoch or devices.number <= before.number):
            raise ProtocolError(errors.LIST_OUTDATED, mismatch=Mismatch(lists=(current,)))
    put = PutDeviceList(account, devices.number, pack(signed), row.number if row is not None else 0)
    return devices, put

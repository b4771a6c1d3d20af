"""Devices of accounts: those that ask to be listed, the lists that accounts sign, and the end of devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from config.settings import KeySettings
from protocol import errors
from protocol.e2ee.devices import DeviceList, SignedList
from protocol.errors import ProtocolError
from protocol.keys import (
    DeviceDismiss,
    DevicePlace,
    DeviceRename,
    DeviceRequest,
    Devices,
    DeviceState,
    Mismatch,
    OwnDevice,
)
from relay.documents import PutDocument
from relay.errors import Conflict, NotFound, TooMany
from relay.keys import DeviceRow, DropDevice, ListDevice, NameDevice, RequestDevice, ResetKeys, RestoreDevice
from relay.store import Store
from relay.writes import Revoke, Write
from signaling.caller import Caller
from signaling.keys.directory import Directory
from signaling.keys.lists import is_forgotten, next_list
from signaling.keys.notices import account_notice
from signaling.keys.ports import Doorbell, Tell
from signaling.keys.vault import EMPTY, VAULT
from signaling.sessions.ports import Ledger
from signaling.timebase import Timebase


class DeviceService:
    """What accounts do with their devices. Raises :exc:`ProtocolError`, :exc:`relay.errors.StoreError`.

    ``ring`` tells the devices of an account that something has changed, ``tell`` gives the writes that have
    back ends told of something.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        timebase: Timebase,
        settings: KeySettings,
        ring: Doorbell,
        tell: Tell,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._timebase = timebase
        self._settings = settings
        self._ring = ring
        self._tell = tell
        self._directory = Directory(store)

    async def request(self, caller: Caller, request: DeviceRequest) -> None:
        """Note that the caller's device asks to be listed. ``already_exists``, ``too_many_devices``."""
        assert caller.device is not None
        write = RequestDevice(
            caller.account,
            caller.device,
            request.key,
            request.sealed_name,
            self._timebase.now_ms(),
            self._settings.pending_devices,
        )
        try:
            await self._ledger.commit(write)
        except Conflict:
            raise ProtocolError(errors.ALREADY_EXISTS, "the device is listed with another key") from None
        except TooMany:
            raise ProtocolError(errors.TOO_MANY_DEVICES) from None
        self._ring(caller.account, None, "devices")

    async def devices(self, account: str) -> Devices:
        """An account's devices."""
        members = await self._directory.of_account(account)
        rows = await self._store.devices_of(account)
        return Devices(tuple(_entry(row, barred=_place(row) in members.barred) for row in rows))

    async def rename(self, caller: Caller, request: DeviceRename) -> None:
        """Give a device of the account another name. ``device_unlisted``, ``no_such_device``."""
        if request.device != caller.device:
            await self.check_listed(caller)
        await self._change(NameDevice(caller.account, request.device, request.sealed_name))

    async def dismiss(self, caller: Caller, request: DeviceDismiss) -> None:
        """Turn down a device that asks to be listed. ``device_unlisted``, ``no_such_device``."""
        if request.device != caller.device:
            await self.check_listed(caller)
        row = await self._row(caller.account, request.device)
        if row is None or row.listed:
            raise ProtocolError(errors.NO_SUCH_DEVICE, "no such device asks to be listed")
        await self._change(DropDevice(caller.account, request.device))

    async def put_list(self, caller: Caller, signed: SignedList) -> None:
        """Replace the account's list: what is new in it is listed, what is gone from it is cut off.

        ``list_invalid``, ``list_outdated``, ``account_key_changed``, ``no_such_device``, ``prekeys_missing``.
        """
        account = caller.account
        row = (await self._store.device_lists([account])).get(account)
        found = next_list(account, signed, row, self._store.epoch)
        if found is None:
            return
        devices, put = found
        rows = {one.device: one for one in await self._store.devices_of(account)}
        listing = list(self._listing(account, devices, rows))
        added = [write.device for write in listing]
        here = {one.device for one in devices.devices}
        gone = [one.device for one in rows.values() if one.listed and one.device not in here]
        try:
            await self._ledger.commit(
                put, *listing, *self._cut_off(account, gone), *self._told_of(account, added, gone)
            )
        except NotFound:
            raise ProtocolError(errors.PREKEYS_MISSING) from None
        except Conflict:
            raise await self._outdated(account) from None
        self._ring(account, None, "devices")

    async def reset(self, account: str, also: Sequence[Write]) -> None:
        """Forget the keys of an account, so that it can begin anew; its listed devices are cut off.

        ``also`` is written in the same step.
        """
        now_ms = self._timebase.now_ms()
        listed = [one.device for one in await self._store.devices_of(account) if one.listed]
        vaults = await self._store.documents(VAULT, [account])
        await self._ledger.commit(
            ResetKeys(account),
            *(Revoke(account, device, now_ms) for device in listed),
            *(PutDocument(VAULT, account, EMPTY) for _ in vaults),
            *self._tell([account_notice("account.keys_reset", account, None, now_ms)]),
            *also,
        )
        self._ring(account, None, "devices")

    async def check_listed(self, caller: Caller) -> DeviceRow:
        """The caller's device. ``device_unlisted`` if it is not in its account's list."""
        assert caller.device is not None
        row = await self._row(caller.account, caller.device)
        if row is None or not row.listed:
            raise ProtocolError(errors.DEVICE_UNLISTED)
        return row

    async def row(self, caller: Caller) -> DeviceRow:
        """The caller's device, listed or not. ``no_such_device``."""
        assert caller.device is not None
        row = await self._row(caller.account, caller.device)
        if row is None:
            raise ProtocolError(errors.NO_SUCH_DEVICE)
        return row

    # --- Inside ---

    async def _row(self, account: str, device: str) -> DeviceRow | None:
        return next((one for one in await self._store.devices_of(account) if one.device == device), None)

    async def _change(self, write: NameDevice | DropDevice) -> None:
        try:
            await self._ledger.commit(write)
        except NotFound:
            raise ProtocolError(errors.NO_SUCH_DEVICE) from None
        self._ring(write.account, None, "devices")

    async def _outdated(self, account: str) -> ProtocolError:
        """What to tell who was overtaken."""
        members = await self._directory.of_account(account)
        current = tuple(signed for signed, _ in members.lists.values())
        return ProtocolError(errors.LIST_OUTDATED, mismatch=Mismatch(lists=current))

    def _listing(
        self, account: str, devices: DeviceList, rows: Mapping[str, DeviceRow]
    ) -> Iterator[ListDevice | RestoreDevice]:
        """What lists the devices that are new in a list. ``no_such_device``."""
        for entry in devices.devices:
            row = rows.get(entry.device)
            if row is None and is_forgotten(entry, self._store.epoch):
                yield RestoreDevice(account, entry.device, entry.key, self._timebase.now_ms())
            elif row is None or row.key != entry.key:
                raise ProtocolError(errors.NO_SUCH_DEVICE, "a device of the list has not asked with this key")
            elif not row.listed:
                yield ListDevice(account, entry.device, entry.key)

    def _cut_off(self, account: str, devices: Sequence[str]) -> list[Write]:
        writes: list[Write] = []
        for device in devices:
            writes += [Revoke(account, device, self._timebase.now_ms()), DropDevice(account, device)]
        return writes

    def _told_of(self, account: str, added: Sequence[str], gone: Sequence[str]) -> Sequence[Write]:
        now_ms = self._timebase.now_ms()
        return self._tell(
            [account_notice("account.device_added", account, device, now_ms) for device in added]
            + [account_notice("account.device_removed", account, device, now_ms) for device in gone]
        )


def _place(row: DeviceRow) -> DevicePlace:
    return DevicePlace(row.account, row.device)


def _entry(row: DeviceRow, *, barred: bool) -> OwnDevice:
    state: DeviceState = "barred" if barred else "listed" if row.listed else "pending"
    return OwnDevice(row.device, state, row.key, row.since_ms, row.name)

"""The device lists there are, read from the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from protocol.e2ee.devices import DeviceList, SignedList
from protocol.keys import DevicePlace
from relay.keys import DeviceListRow
from relay.store import Store
from signaling.keys.lists import kept
from signaling.keys.sealing import Members


class Directory:
    """Reads lists. Raises :exc:`relay.errors.StoreError`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of_room(self, room: str) -> Members:
        """The devices of the members of a room."""
        accounts = tuple(member.account for member in await self._store.members(room))
        return await self._members(accounts, await self._store.device_lists_in(room))

    async def of_account(self, account: str) -> Members:
        """The devices of one account, as those of members."""
        return await self._members((account,), await self._store.device_lists([account]))

    async def _members(self, accounts: tuple[str, ...], rows: Mapping[str, DeviceListRow]) -> Members:
        lists = {account: kept(row) for account, row in rows.items()}
        barred: set[DevicePlace] = set()
        if lists:
            for one in await self._store.revocations_of(lists):
                barred.update(_barred(one.account, one.device, lists))
        return Members(accounts, lists, frozenset(barred))


def _barred(
    account: str, device: str | None, lists: Mapping[str, tuple[SignedList, DeviceList]]
) -> Iterable[DevicePlace]:
    """The listed devices that a revocation bars."""
    _, devices = lists[account]
    return [DevicePlace(account, each.device) for each in devices.devices if device in {None, each.device}]

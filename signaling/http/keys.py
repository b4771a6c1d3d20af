"""Devices and keys of accounts, for back ends."""

from __future__ import annotations

from signaling.http.endpoint import Call, Reply, Services
from signaling.http.keys_schemas import DeviceItem, DevicesItem, KeysResetItem, KeysResetSpec


async def list_devices(services: Services, call: Call[None]) -> Reply:
    """The devices of an account."""
    call.caller.check_unbound()
    account = call.path["account"]
    lists = await services.store.device_lists([account])
    told = await services.keys.devices.devices(account)
    devices = tuple(DeviceItem(one.device, one.state, one.since_ms) for one in told.devices)
    return Reply(200, DevicesItem(account, lists[account].number if account in lists else 0, devices))


async def reset_keys(services: Services, call: Call[KeysResetSpec]) -> Reply:
    """Forget the keys of an account, and cut its devices off."""
    call.caller.check_unbound()
    account = call.path["account"]
    reply = Reply(200, KeysResetItem(account))
    await services.keys.devices.reset(account, call.keep(reply))
    return reply

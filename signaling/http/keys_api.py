"""The endpoints about the devices and keys of accounts."""

from __future__ import annotations

from signaling.http import keys
from signaling.http.endpoint import AnyEndpoint, Endpoint
from signaling.http.keys_schemas import DevicesItem, KeysResetItem, KeysResetSpec

KEYS: tuple[AnyEndpoint, ...] = (
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/devices",
        name="listDevices",
        summary="List the devices of an account: those that are listed, and those that ask to be.",
        scope="accounts",
        handle=keys.list_devices,
        status=200,
        result=DevicesItem,
    ),
    Endpoint(
        method="POST",
        path="/v1/accounts/{account}/keys/reset",
        name="resetKeys",
        summary="Let an account begin anew that has lost its keys; its devices are cut off for good.",
        scope="accounts",
        handle=keys.reset_keys,
        body=KeysResetSpec,
        status=200,
        result=KeysResetItem,
    ),
)

"""The errors of keys, devices and encrypted messages: rows of the table in :mod:`protocol.errors`."""

from __future__ import annotations

from protocol.error_table import kind as _kind

# Keys and devices.
DEVICE_MISMATCH = _kind(
    1410,
    "device_mismatch",
    409,
    "this was not made for the devices that the members have now",
    "`mismatch` tells everything: verify the lists, start a new sender epoch, and send it again",
)
ENCRYPTION_REQUIRED = _kind(
    1411,
    "encryption_required",
    409,
    "a member of the room has a device list: messages are encrypted here",
    "encrypt the message, and name the device lists that it is for",
)
LIST_OUTDATED = _kind(
    1412,
    "list_outdated",
    409,
    "the account has another device list than the one that this is the next of",
    "get the current list, and sign the next one after it",
)
LIST_INVALID = _kind(
    1413,
    "list_invalid",
    400,
    "the bytes are not a device list of this account, signed with its key",
    "`detail` names what is wrong with it",
)
ACCOUNT_KEY_CHANGED = _kind(
    1414,
    "account_key_changed",
    409,
    "the device list is signed with another account key than those before it",
    "sign it with the account's key; if that is lost, the platform has to reset the account's keys",
)
NO_SUCH_DEVICE = _kind(
    1415,
    "no_such_device",
    404,
    "the account has no such device, or it has not asked to be listed",
    "send `device.request` from the device first",
)
TOO_MANY_DEVICES = _kind(
    1416,
    "too_many_devices",
    409,
    "as many devices as allowed ask to be listed already",
    "dismiss one of them with `device.dismiss`",
)
PREKEYS_INVALID = _kind(
    1417,
    "prekeys_invalid",
    400,
    "one of these is no prekey of this device that can be taken",
    "`detail` names what is wrong with it; the inventory tells the generation and the ids that come next",
)
PREKEYS_MISSING = _kind(
    1418,
    "prekeys_missing",
    409,
    "a device that is new in the list has no last-resort prekey here, so that nothing could be sealed to it",
    "let it send `keys.prekeys.put` before it is listed",
)
TOO_MANY_PREKEYS = _kind(
    1419,
    "too_many_prekeys",
    409,
    "the server would hold more prekeys of this device than it keeps",
    "put more when fewer are left",
)
CLAIM_DIFFERS = _kind(
    1420,
    "claim_differs",
    409,
    "this claim was already used for other devices",
    "make a new UUIDv7 for every claim",
)
VAULT_CHANGED = _kind(
    1421,
    "vault_changed",
    409,
    "the vault stands at another revision",
    "get it, and put the new one at that revision",
)
DEVICE_UNLISTED = _kind(
    1422,
    "device_unlisted",
    409,
    "this device is not in its account's list",
    "ask to be listed with `device.request`, or sign a list with this device in it",
)

# Encrypted messages.
ENVELOPE_INVALID = _kind(
    1450,
    "envelope_invalid",
    400,
    "the bytes are no encrypted message, or say something else than the request or the connection",
    "`detail` names what is wrong with it",
)
EPOCH_UNKNOWN = _kind(
    1451,
    "epoch_unknown",
    409,
    "this device has not opened that sender epoch in this room, or another one since",
    "open a new one with `keys.send`, and encrypt the message again",
)

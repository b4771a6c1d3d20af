"""Whether prekeys are what they should be: verified as they come, so that none is broken. Pure."""

from __future__ import annotations

import itertools

import msgspec

from protocol import errors
from protocol.e2ee import prekeys
from protocol.e2ee.errors import E2eeError
from protocol.e2ee.prekeys import SignedPrekey, inventory_digest
from protocol.e2ee.structures import pack
from protocol.errors import ProtocolError
from protocol.keys import KeyInventory, KeysPrekeysPut
from relay.keys import DeviceRow, Prekey, PutPrekeys, Stock

_SIGNED = msgspec.msgpack.Decoder(SignedPrekey)


def kept(body: bytes) -> SignedPrekey:
    """A prekey as the store has it."""
    return _SIGNED.decode(body)


def put_of(device: DeviceRow, request: KeysPrekeysPut, generation: int, max_held: int) -> PutPrekeys:
    """The write that keeps a device's prekeys: 120 us for each of them. ``prekeys_invalid``."""
    one_time = [_verified(device, one, generation, last_resort=False) for one in request.one_time]
    if any(one.id >= following.id for one, following in itertools.pairwise(one_time)):
        raise ProtocolError(errors.PREKEYS_INVALID, "the ids do not go up")
    last = request.last_resort
    last_resort = _verified(device, last, generation, last_resort=True) if last is not None else None
    return PutPrekeys(device.account, device.device, device.key, tuple(one_time), last_resort, max_held)


def inventory_of(stock: Stock, generation: int, vault: int) -> KeyInventory:
    """What a device is told of its keys."""
    held = stock.one_time
    return KeyInventory(
        generation,
        inventory_digest(held),
        count=len(held),
        lowest=held[0][0] if held else None,
        highest=stock.highest,
        last_resort=stock.last_resort,
        list=stock.number,
        first=stock.ended + 1,
        state="unknown" if stock.listed is None else "listed" if stock.listed else "pending",
        pending=stock.pending,
        vault=vault,
    )


def _verified(device: DeviceRow, signed: SignedPrekey, generation: int, *, last_resort: bool) -> Prekey:
    try:
        prekey = prekeys.verify_prekey(signed, device.account, device.device, device.key)
    except E2eeError as error:
        raise ProtocolError(errors.PREKEYS_INVALID, f"a prekey is {error.name}") from None
    if prekey.generation != generation:
        raise ProtocolError(errors.PREKEYS_INVALID, "a prekey is of another generation")
    if prekey.last_resort is not last_resort:
        raise ProtocolError(errors.PREKEYS_INVALID, "one-time and last-resort prekeys are mixed up")
    return Prekey(prekey.id, prekey.public, pack(signed))

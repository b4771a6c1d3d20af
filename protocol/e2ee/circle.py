"""Whose keys are whose, as far as this device has seen: pinned account keys and the latest device lists."""

from __future__ import annotations

from protocol.e2ee.devices import MAX_LIST_BYTES, DeviceList, SignedList, advance
from protocol.e2ee.epochs import EpochHeader, sender_list
from protocol.e2ee.errors import IdentityChanged, ListForked
from protocol.e2ee.state import FORMER_KEPT, OWN_LISTS_KEPT, State
from protocol.e2ee.structures import unpack


def latest(state: State, account: str) -> SignedList | None:
    """The latest list seen of an account, which was verified then."""
    if account == state.account:
        return state.own_lists[-1] if state.own_lists else None
    return state.known.get(account)


def read(signed: SignedList) -> DeviceList:
    """What stands in a list that was verified before."""
    return unpack(DeviceList, signed.body, MAX_LIST_BYTES)


def learn(state: State, account: str, shown: SignedList) -> DeviceList:
    """Take a list as the account's current one. Raises what :func:`devices.advance` raises."""
    known = latest(state, account)
    try:
        devices = advance(known, shown, account)
    except IdentityChanged:
        state.suspects[account] = shown
        raise
    if known is None or shown.body != known.body:
        _remember(state, account, shown, devices)
    return devices


def recognise(state: State, header: EpochHeader, *, again: bool) -> DeviceList:
    """The sender's list that an epoch brings: the latest one, an earlier one, or news.

    ``again``: the log is read again, and it may be from before the account had other keys.

    Raises :exc:`IdentityChanged`, :exc:`ListForked`, or what :func:`epochs.sender_list` raises. Lists of
    other accounts that the header names are held against those known: two with one number are a fork.
    """
    devices = sender_list(header)
    known = latest(state, header.account)
    if known is None or devices.number >= read(known).number:
        learn(state, header.account, header.own)
    elif header.own.account_key not in (known.account_key, *(_former(state, header) if again else ())):
        raise IdentityChanged()
    for name in header.lists:
        seen = latest(state, name.account)
        if seen and read(seen).number == name.number and seen.digest != name.digest:
            raise ListForked("the sender was shown another list of the same number")
    return devices


def number_of(state: State, account: str) -> int:
    """The number of the latest list seen of an account; 0 for none."""
    known = latest(state, account)
    return read(known).number if known else 0


def trust(state: State, account: str) -> bool:
    """A person has decided that the account's new key is right; whether there was one to decide on."""
    shown = state.suspects.pop(account, None)
    if shown is None or account == state.account:
        return False
    if known := state.known.get(account):
        state.former[account] = (*state.former.get(account, ()), known.account_key)[-FORMER_KEPT:]
    state.known[account] = shown
    return True


def _former(state: State, header: EpochHeader) -> tuple[bytes, ...]:
    return state.former.get(header.account, ())


def _remember(state: State, account: str, shown: SignedList, devices: DeviceList) -> None:
    if account != state.account:
        state.known[account] = shown
        state.suspects.pop(account, None)
        return
    state.own_lists = (*state.own_lists, shown)[-OWN_LISTS_KEPT:]
    if devices.key_of(state.device) is None:
        return
    if not state.listed_from:
        state.listed_from = devices.number

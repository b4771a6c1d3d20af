"""An account's own devices: who is let in, who is put out, and what the server is brought up to date with."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from protocol.e2ee import circle, signing
from protocol.e2ee.asking import Outcome, PutList, Suspicion, Unlisted
from protocol.e2ee.devices import DeviceEntry, DeviceList, SignedList, make_list, next_list
from protocol.e2ee.errors import E2eeError, UnknownList
from protocol.e2ee.state import State


def found(state: State, now_ms: int) -> None:
    """Make the account's first list, with this device in it."""
    entry = DeviceEntry(state.device, signing.public_key(state.seed), now_ms)
    _propose(state, None, (entry,), None, now_ms)


def approve(state: State, device: str, key: bytes, now_ms: int) -> None:
    """Let a device in. :exc:`UnknownList` where the account's key is not held."""
    known = _listed(state)
    _propose(
        state, known, (*_without(known, device), DeviceEntry(device, key, now_ms)), known.archive, now_ms
    )


def revoke(state: State, device: str, now_ms: int) -> None:
    """Put a device out. :exc:`UnknownList` where the account's key is not held."""
    known = _listed(state)
    _propose(state, known, _without(known, device), known.archive, now_ms)


def keep_archive(state: State, public: bytes | None, now_ms: int) -> None:
    """Name another archive, or none. :exc:`UnknownList` where the account's key is not held."""
    known = _listed(state)
    _propose(state, known, known.devices, public, now_ms)


def is_listed(state: State) -> bool:
    """Whether this device is in the latest list."""
    own = circle.latest(state, state.account)
    return own is not None and circle.read(own).key_of(state.device) == signing.public_key(state.seed)


def take_list(state: State, signed: SignedList) -> list[Outcome]:
    """The account's current list: another one was first, if it has the number of what was proposed."""
    try:
        devices = circle.learn(state, state.account, signed)
    except E2eeError as error:
        return [Suspicion(state.account, error.name)]
    if state.proposed and circle.read(state.proposed).number <= devices.number:
        state.proposed = None
    state.server_list = devices.number
    return [] if is_listed(state) else [Unlisted(devices.number)]


def number_first(state: State, number: int) -> None:
    """The account's first list is to have this number: its keys were reset since it had others."""
    if state.proposed is None or state.own_lists or state.account_seed is None:
        return
    first = circle.read(state.proposed)
    if first.number < number and first.previous is None:
        state.proposed = make_list(state.account_seed, replace(first, number=number))


def list_stored(state: State, number: int) -> None:
    """The server has taken the list of this number."""
    state.server_list = number
    if state.proposed and circle.read(state.proposed).number == number:
        circle.learn(state, state.account, state.proposed)
        state.proposed = None


def lists_due(state: State) -> Iterator[PutList]:
    """The list that follows the one the server has: proposed here, or lost there with a restore."""
    if state.server_list < 0:
        return
    for signed in (*state.own_lists, *([state.proposed] if state.proposed else [])):
        if circle.read(signed).number == state.server_list + 1:
            yield PutList(signed)
            return


def _listed(state: State) -> DeviceList:
    own = circle.latest(state, state.account)
    if own is None:
        raise UnknownList("the account has no list yet")
    return circle.read(own)


def _without(known: DeviceList, device: str) -> tuple[DeviceEntry, ...]:
    return tuple(entry for entry in known.devices if entry.device != device)


def _propose(
    state: State,
    known: DeviceList | None,
    devices: tuple[DeviceEntry, ...],
    archive: bytes | None,
    now_ms: int,
) -> None:
    if state.account_seed is None:
        raise UnknownList("this device does not hold the account's key")
    following = next_list(known, state.account, devices, archive, now_ms)
    state.proposed = make_list(state.account_seed, following)

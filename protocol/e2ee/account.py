"""An account's own devices: who is let in, who is put out, and what the server is brought up to date with.

What a person wants waits until a list has it. One list at a time is proposed, and sent until it is answered,
so that a reply that was lost leads neither to two lists of one number nor to a wish that is forgotten; when
another device of the account was first, the next list is made from its list.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from protocol.e2ee import circle, signing
from protocol.e2ee.asking import Outcome, PutList, Suspicion, Unlisted
from protocol.e2ee.devices import MAX_DEVICES, DeviceEntry, DeviceList, SignedList, make_list, next_list
from protocol.e2ee.epochs import ARCHIVE
from protocol.e2ee.errors import E2eeError, TooManyDevices, UnknownList
from protocol.e2ee.state import Change, State


def found(state: State, now_ms: int) -> None:
    """Make the account's first list, with this device in it."""
    entry = DeviceEntry(state.device, signing.public_key(state.seed), now_ms)
    _propose(state, None, (entry,), None, now_ms)


def approve(state: State, device: str, key: bytes, now_ms: int) -> None:
    """Let a device in. :exc:`UnknownList` where the account's key is not held, :exc:`TooManyDevices`."""
    _want(state, Change(device, key, now_ms))


def revoke(state: State, device: str, now_ms: int) -> None:
    """Put a device out. :exc:`UnknownList` where the account's key is not held."""
    _want(state, Change(device, None, now_ms))


def keep_archive(state: State, public: bytes | None, now_ms: int) -> None:
    """Name another archive, or none. :exc:`UnknownList` where the account's key is not held."""
    _want(state, Change(ARCHIVE, public, now_ms))


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
    if state.account_seed and signing.public_key(state.account_seed) != signed.account_key:
        state.account_seed = None  # Another device has begun the account.
    if state.proposed and circle.read(state.proposed).number <= devices.number:
        _give_way(state, circle.read(state.proposed), devices)
    state.server_list = devices.number
    _propose_next(state)
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
    _propose_next(state)


def list_refused(state: State) -> None:
    """The server does not take the list that was proposed, and never will: what it was for is given up."""
    if state.proposed is not None and state.own_lists:
        proposed, state.proposed = circle.read(state.proposed), None
        state.wanted = tuple(change for change in state.wanted if not _is_in(change, proposed))
        _propose_next(state)


def lists_due(state: State) -> Iterator[PutList]:
    """The list that follows the one the server has: proposed here, or lost there with a restore."""
    if state.server_list < 0:
        return
    for signed in (*state.own_lists, *([state.proposed] if state.proposed else [])):
        if circle.read(signed).number == state.server_list + 1:
            yield PutList(signed)
            return


def _want(state: State, change: Change) -> None:
    known = circle.latest(state, state.account)
    if state.account_seed is None or known is None:
        raise UnknownList("this device does not hold the key of an account with a list")
    wanted = (*(each for each in state.wanted if each.device != change.device), change)
    if len(_with(circle.read(known), wanted)) > MAX_DEVICES:
        raise TooManyDevices()
    state.wanted = wanted
    _propose_next(state)


def _propose_next(state: State) -> None:
    """Make the list that has all that is wanted, unless one is on its way."""
    known = circle.latest(state, state.account)
    if state.proposed or known is None or state.account_seed is None:
        return
    devices = circle.read(known)
    state.wanted = tuple(change for change in state.wanted if not _is_in(change, devices))
    if not state.wanted:
        return
    archive = next((each.key for each in state.wanted if each.device == ARCHIVE), devices.archive)
    now_ms = max(change.at_ms for change in state.wanted)
    _propose(state, devices, _with(devices, state.wanted), archive, now_ms)


def _give_way(state: State, proposed: DeviceList, devices: DeviceList) -> None:
    """Another list of the account is current.

    What was proposed may have been stored before it, and undone: then nobody is let in once more.
    """
    if devices.number > proposed.number:
        state.wanted = tuple(
            change
            for change in state.wanted
            if change.device == ARCHIVE or change.key is None or not _is_in(change, proposed)
        )
    state.proposed = None


def _is_in(change: Change, devices: DeviceList) -> bool:
    """Whether a list is as it was wanted."""
    found = devices.archive if change.device == ARCHIVE else devices.key_of(change.device)
    return found == change.key


def _with(devices: DeviceList, wanted: tuple[Change, ...]) -> tuple[DeviceEntry, ...]:
    """The devices of a list once everything wanted is in it."""
    changed = {change.device for change in wanted}
    kept = (entry for entry in devices.devices if entry.device not in changed)
    added = (
        DeviceEntry(change.device, change.key, change.at_ms)
        for change in wanted
        if change.key and change.device != ARCHIVE
    )
    return (*kept, *added)


def _propose(
    state: State,
    known: DeviceList | None,
    devices: tuple[DeviceEntry, ...],
    archive: bytes | None,
    now_ms: int,
) -> None:
    assert state.account_seed is not None
    following = next_list(known, state.account, devices, archive, now_ms)
    state.proposed = make_list(state.account_seed, following)

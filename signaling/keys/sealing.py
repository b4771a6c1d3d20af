"""For whom something that a device sends was encrypted: what its headers say, held against what is so.

Pure. Signatures are not verified here: that is for those who open it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from protocol import errors
from protocol.e2ee import epochs, messages
from protocol.e2ee.devices import DeviceList, SignedList
from protocol.e2ee.epochs import ARCHIVE, EpochHeader
from protocol.e2ee.errors import E2eeError
from protocol.errors import ProtocolError
from protocol.frames import MessageSend
from protocol.keys import DevicePlace, KeysSend, Mismatch, SlotPlace
from relay.keys import UNSEALED, Sealing
from signaling.caller import Caller


@dataclass(frozen=True, slots=True)
class Members:
    """The devices of the members of a room."""

    accounts: tuple[str, ...]
    """All of them."""
    lists: Mapping[str, tuple[SignedList, DeviceList]]
    """The current list of each member that has one."""
    barred: frozenset[DevicePlace]
    """Listed devices that the platform has barred."""

    def mismatch(
        self,
        missing: Iterable[SlotPlace] = (),
        extra: Iterable[SlotPlace] = (),
        stale: Iterable[str] = (),
    ) -> Mismatch:
        """What somebody is told who had other devices in mind."""
        return Mismatch(
            tuple(sorted(missing)),
            tuple(sorted(extra)),
            tuple(sorted(stale)),
            tuple(sorted(self.barred)),
            self.accounts,
            tuple(signed for _, (signed, _) in sorted(self.lists.items())),
        )

    def places(self, accounts: Collection[str]) -> Iterator[SlotPlace]:
        """All that something for these accounts has to be sealed to."""
        for account in accounts:
            _, devices = self.lists[account]
            for entry in devices.devices:
                if DevicePlace(account, entry.device) not in self.barred:
                    yield SlotPlace(account, entry.device)
            if devices.archive is not None:
                yield SlotPlace(account, ARCHIVE)


def sealing_of(caller: Caller, request: MessageSend) -> Sealing:
    """For whom a message says that it is encrypted. ``envelope_invalid``."""
    if request.lists is None:
        return UNSEALED
    try:
        _, header = messages.read(request.data)
    except E2eeError as error:
        raise ProtocolError(errors.ENVELOPE_INVALID, f"the message is {error.name}") from None
    if (
        header.mid != request.mid.bytes
        or header.room != request.room
        or header.account != caller.account
        or header.device != caller.device
        or header.session != request.session
    ):
        raise ProtocolError(
            errors.ENVELOPE_INVALID, "the header names another room, sender, message or session"
        )
    return Sealing(_without_zeros(request.lists), header.epoch)


def mismatch_of(request: MessageSend, members: Members) -> ProtocolError:
    """What to tell who sent a message that is not for the devices there are."""
    named = _without_zeros(request.lists or {})
    missing = members.places([account for account in members.lists if account not in named])
    stale = _differing(named, {account: one.number for account, (_, one) in members.lists.items()})
    kind = errors.DEVICE_MISMATCH if request.lists is not None else errors.ENCRYPTION_REQUIRED
    return ProtocolError(kind, mismatch=members.mismatch(missing, (), stale))


def check_epoch(caller: Caller, request: KeysSend, members: Members) -> Sealing:
    """For whom a sender epoch is, if it is sealed to all of them and to nobody else.

    ``envelope_invalid``, ``device_unlisted``, ``device_mismatch``.
    """
    header = _header(caller, request)
    own = members.lists.get(caller.account)
    if own is None or own[1].key_of(header.device) is None:
        raise ProtocolError(errors.DEVICE_UNLISTED)
    given = {SlotPlace(slot.account, slot.device) for slot in request.slots}
    if len(given) != len(request.slots):
        raise ProtocolError(errors.ENVELOPE_INVALID, "there are two slots for one device")
    needed = set(members.places(members.lists))
    if header.organisation is not None:
        needed.add(SlotPlace(ARCHIVE, ARCHIVE))
    named = {name.account: (name.number, name.digest) for name in header.lists if name.number}
    current = {account: (one.number, signed.digest) for account, (signed, one) in members.lists.items()}
    stale = _differing(named, current)
    missing = needed - given - {SlotPlace(caller.account, header.device)}
    extra = given - needed
    if stale or missing or extra:
        raise ProtocolError(errors.DEVICE_MISMATCH, mismatch=members.mismatch(missing, extra, stale))
    return Sealing({account: number for account, (number, _) in named.items()}, header.epoch, opens=True)


def _header(caller: Caller, request: KeysSend) -> EpochHeader:
    try:
        header = epochs.read_header(request.header)
    except E2eeError as error:
        raise ProtocolError(errors.ENVELOPE_INVALID, f"the header is {error.name}") from None
    if (header.room, header.account, header.device) != (request.room, caller.account, caller.device):
        raise ProtocolError(errors.ENVELOPE_INVALID, "the header names another room or sender")
    return header


def _without_zeros(numbers: Mapping[str, int]) -> Mapping[str, int]:
    if 0 not in numbers.values():
        return numbers
    return {account: number for account, number in numbers.items() if number}


def _differing(named: Mapping[str, object], current: Mapping[str, object]) -> set[str]:
    """Accounts that are named otherwise than they are, or wrongly; not those that are not named at all."""
    return {account for account, what in named.items() if current.get(account) != what}

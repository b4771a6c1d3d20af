"""What the members of a room have received and read, told as far as each of them lets others see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

import structlog

from protocol import errors
from protocol.around import PreferencesView
from protocol.errors import ProtocolError
from protocol.receipts import DeviceReceipt, MemberReceipts, Receipts
from protocol.signals import Delivered, SignalBody
from relay.errors import StoreError
from relay.receipts import Receipt
from relay.store import Store
from relay.writes import Ack
from signaling.caller import Caller
from signaling.inbox.preferences import Preferences

RETRY_SECONDS = 1.0
"""How long after a failed read of the store it is tried again."""

_log = structlog.get_logger("rapport.inbox")
Signal = Callable[[str, Collection[str], SignalBody, str | None], None]


class ReceiptService:
    """Answers for receipts, and signals what has been received.

    Signals come after acknowledgements are durable, off their path. Of each room and device the newest waits.
    """

    def __init__(self, store: Store, preferences: Preferences, signal: Signal) -> None:
        self._store = store
        self._preferences = preferences
        self._signal = signal
        self._acked: dict[tuple[str, str, str], Ack] = {}  # by account, device, room
        self._task: asyncio.Task[None] | None = None

    async def get(self, caller: Caller, room: str) -> Receipts:
        """What the caller may see of a room's members. ``no_such_room``, :exc:`relay.errors.StoreError`."""
        caller.check_room(room)
        members = await self._store.receipts(room)
        if all(member.account != caller.account for member in members):
            raise ProtocolError(errors.NO_SUCH_ROOM)
        allowed = await self._preferences.of({member.account: member.role for member in members})
        allowed[caller.account] = PreferencesView(typing=True, receipts=True, delivered=True)
        shown = tuple(_shown(member, allowed[member.account]) for member in members)
        return Receipts(self._store.epoch, shown)

    def written(self, acks: Sequence[Ack]) -> None:
        """These acknowledgements are durable."""
        self._acked.update({(ack.account, ack.device, ack.room): ack for ack in acks})
        if self._acked and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Tell nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._acked:
                acked, self._acked = self._acked, {}
                try:
                    await self._tell(acked.values())
                except StoreError as error:
                    _log.warning("receipts_not_told", error=error.name)
                    self._acked = acked | self._acked
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._task = None

    async def _tell(self, acked: Collection[Ack]) -> None:
        allowing = await self._preferences.showing_delivered({ack.account for ack in acked})
        by_room: dict[str, list[Ack]] = {}
        for ack in acked:
            if ack.account in allowing:
                by_room.setdefault(ack.room, []).append(ack)
        for room, acks in by_room.items():
            self._tell_room(room, acks, await self._store.receipts(room))

    def _tell_room(self, room: str, acks: Sequence[Ack], members: Sequence[Receipt]) -> None:
        accounts = [member.account for member in members]
        known = {(member.account, device) for member in members for device, _ in member.devices}
        for ack in acks:
            if (ack.account, ack.device) in known:
                self._signal(room, accounts, Delivered(ack.device, ack.epoch, ack.offset), ack.account)


def _shown(member: Receipt, allowed: PreferencesView) -> MemberReceipts:
    devices = tuple(DeviceReceipt(device, offset) for device, offset in member.devices)
    return MemberReceipts(
        member.account,
        member.read if allowed.receipts else None,
        devices if allowed.delivered else None,
    )

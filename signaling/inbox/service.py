"""The inbox as people ask for it, and urgent messages being taken care of."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from protocol import errors
from protocol.around import InboxEntry, InboxGet, InboxPage
from protocol.codec import encode_body
from protocol.errors import ProtocolError
from protocol.events import AcknowledgedBody
from relay.bus import Bus
from relay.errors import Conflict, NotFound
from relay.inbox import ClearFlag, InboxRoom
from relay.store import Store
from relay.writes import Append
from signaling.caller import Caller
from signaling.hours.service import HoursService
from signaling.inbox import entries
from signaling.sessions.ports import Ledger
from signaling.sessions.states import FINAL
from signaling.timebase import Timebase

MAX_ROOMS = 4096
"""As many rooms of an account are looked at, in the order of their ids; as many are delivered, too."""

LONGEST_MS = 2 * 86_400_000
"""No session that started longer ago than this is still running."""


class InboxService:
    """Raises :exc:`ProtocolError` for what is refused and :exc:`relay.errors.StoreError`."""

    def __init__(
        self, store: Store, ledger: Ledger, bus: Bus, hours: HoursService, timebase: Timebase
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._bus = bus
        self._hours = hours
        self._timebase = timebase

    async def get(self, caller: Caller, request: InboxGet) -> InboxPage:
        """A page of the caller's inbox: one read of the store for all rooms, one for the quiet hours."""
        only = caller.claims.room
        read = await self._read(caller.account, None if only is None else [only])
        rooms = entries.ordered(read, caller.account)
        shown, more = entries.page(rooms, request.after, request.limit)
        quiet_until_ms = await self._hours.quiet_until_ms(caller.account)
        return InboxPage(await self._entries(caller.account, shown), more, quiet_until_ms)

    async def entries(self, account: str, rooms: Collection[str]) -> tuple[InboxEntry, ...]:
        """Some rooms of an account, as they stand now; those that it is not in are left out."""
        return await self._entries(account, await self._read(account, rooms))

    async def acknowledge(self, caller: Caller, room: str, offset: int) -> None:
        """Take care of an urgent message. ``forbidden``, ``no_such_room``, ``not_urgent``.

        The first to do so is noted in the log; whoever comes second finds it done.
        """
        caller.check_room(room)
        members = await self._store.members(room)
        member = next((one for one in members if one.account == caller.account), None)
        if member is None:
            raise ProtocolError(errors.NO_SUCH_ROOM)
        if member.role != "therapist" or caller.role != "therapist":
            raise ProtocolError(errors.FORBIDDEN, "only a therapist of the room acknowledges")
        now_ms = self._timebase.now_ms()
        body = encode_body(AcknowledgedBody(offset, caller.account))
        try:
            await self._ledger.commit(
                ClearFlag(room, offset, caller.account, now_ms), Append(room, None, None, None, body, now_ms)
            )
        except NotFound:
            raise ProtocolError(errors.NOT_URGENT) from None
        except Conflict:
            return  # it is acknowledged already, and the log tells by whom

    async def _read(self, account: str, rooms: Collection[str] | None) -> tuple[InboxRoom, ...]:
        starts_after_ms = self._timebase.now_ms() - LONGEST_MS
        return await self._store.inbox(
            account, rooms=rooms, starts_after_ms=starts_after_ms, over=FINAL, limit=MAX_ROOMS
        )

    async def _entries(self, account: str, rooms: Sequence[InboxRoom]) -> tuple[InboxEntry, ...]:
        online = await self._bus.online({member.account for room in rooms for member in room.members})
        return tuple(entries.entry_of(room, account, online) for room in rooms)

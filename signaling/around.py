"""What there is around sessions, as one part of a node, asked by the dispatcher and over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from config.settings import ReplySettings
from protocol import errors
from protocol.around import (
    AroundRequest,
    AroundResult,
    HoursGet,
    HoursSet,
    InboxGet,
    NotesOpen,
    NotesRoom,
    PreferencesGet,
    PreferencesSet,
    PreferencesView,
    UrgentAcknowledge,
)
from protocol.errors import ProtocolError
from protocol.receipts import RoomReceipts
from relay.bus import Bus
from relay.store import Store
from signaling.caller import Caller
from signaling.door.hub import Hub
from signaling.hours.replies import Replies
from signaling.hours.service import HoursService
from signaling.inbox.preferences import Preferences
from signaling.inbox.receipts import ReceiptService
from signaling.inbox.service import InboxService
from signaling.inbox.teller import InboxTeller
from signaling.notes import Notes
from signaling.sessions.ports import Ledger
from signaling.timebase import Timebase


@dataclass(frozen=True, slots=True)
class Around:
    """The parts, wired."""

    inbox: InboxService
    teller: InboxTeller
    hours: HoursService
    replies: Replies
    preferences: Preferences
    receipts: ReceiptService
    notes: Notes

    @classmethod
    def wired(
        cls, store: Store, ledger: Ledger, bus: Bus, hub: Hub, timebase: Timebase, settings: ReplySettings
    ) -> Around:
        """All of it for one node. The hub tells the inboxes what changes from here on."""
        hours = HoursService(store, ledger, timebase)
        inbox = InboxService(store, ledger, bus, hours, timebase)
        teller = InboxTeller(inbox.entries, hub.signal_connection)
        hub.on_room_changed(teller.changed)
        replies = Replies(store, ledger, hours, timebase, settings)
        preferences = Preferences(store, ledger)
        receipts = ReceiptService(store, preferences, hub.signal)
        notes = Notes(store, ledger, timebase)
        return cls(inbox, teller, hours, replies, preferences, receipts, notes)

    async def perform(self, caller: Caller, request: AroundRequest) -> AroundResult | None:
        """The result of a request; raises :exc:`ProtocolError`, or :exc:`relay.errors.StoreError`."""
        match request:
            case InboxGet():
                self.teller.watch(caller)  # first, so that nothing that changes meanwhile is missed
                return await self.inbox.get(caller, request)
            case RoomReceipts(room=room):
                return await self.receipts.get(caller, room)
            case HoursGet():
                return await self.hours.get(caller)
            case HoursSet(hours=hours):
                return await self.hours.set(caller, hours)
            case PreferencesGet():
                return await self.preferences.get(caller)
            case PreferencesSet(typing=typing, receipts=receipts, delivered=delivered):
                chosen = PreferencesView(typing=typing, receipts=receipts, delivered=delivered)
                return await self.preferences.set(caller, chosen)
            case NotesOpen(room=room):
                caller.check_room(room)
                if caller.role != "therapist":
                    raise ProtocolError(errors.FORBIDDEN, "only therapists keep notes")
                return NotesRoom(await self.notes.open(room, caller.account))
            case UrgentAcknowledge(room=room, offset=offset):
                await self.inbox.acknowledge(caller, room, offset)
                return None
            case _:
                assert_never(request)

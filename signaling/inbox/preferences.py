"""What an account lets others see of it: that it is writing, and how far it has read."""

from __future__ import annotations

import msgspec

from protocol.around import PreferencesView
from protocol.fields import Role
from relay.documents import PutDocument
from relay.store import Store
from signaling.caller import Caller
from signaling.sessions.ports import Ledger

PREFERENCES = "preferences"
"""The kind of the documents that hold them, by account."""

_DECODER = msgspec.msgpack.Decoder(PreferencesView)


def default_of(role: Role) -> PreferencesView:
    """What holds until something is chosen: "seen" without a reply implies that a therapist is available."""
    shown = role != "therapist"
    return PreferencesView(typing=shown, receipts=shown)


class Preferences:
    """Asked of the store each time: a change holds at once, on every node."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    async def get(self, caller: Caller) -> PreferencesView:
        """What the caller has chosen, or the default of its role."""
        kept = (await self._store.documents(PREFERENCES, [caller.account])).get(caller.account)
        return default_of(caller.role) if kept is None else _DECODER.decode(kept.body)

    async def set(self, caller: Caller, *, typing: bool, receipts: bool) -> PreferencesView:
        """Choose anew."""
        chosen = PreferencesView(typing=typing, receipts=receipts)
        write = PutDocument(PREFERENCES, caller.account, msgspec.msgpack.encode(chosen))
        await self._ledger.commit(write)
        return chosen

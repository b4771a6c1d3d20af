"""What an account lets others see of it: that it is writing, how far it has read, what has reached it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from protocol.around import PreferencesView
from relay.documents import PutDocument
from relay.store import Store
from signaling.caller import Caller
from signaling.sessions.ports import Ledger

PREFERENCES = "preferences"
"""The kind of the documents that hold them, by account."""

_DECODER = msgspec.msgpack.Decoder(PreferencesView)


def default_of(role: str) -> PreferencesView:
    """What holds until something is chosen: "seen" without a reply implies that a therapist is available.

    What a device has received tells when it is switched on, without its owner doing anything: nobody shows
    that who has not chosen to.
    """
    shown = role != "therapist"
    return PreferencesView(typing=shown, receipts=shown)


class Preferences:
    """Asked of the store each time: a change holds at once, on every node."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    async def get(self, caller: Caller) -> PreferencesView:
        """What the caller has chosen, or the default of its role."""
        return (await self.of({caller.account: caller.role}))[caller.account]

    async def of(self, roles: Mapping[str, str]) -> dict[str, PreferencesView]:
        """What accounts with these roles have chosen, or the defaults of the roles."""
        chosen = await self._chosen(roles)
        return {account: chosen.get(account) or default_of(role) for account, role in roles.items()}

    async def showing_delivered(self, accounts: Collection[str]) -> frozenset[str]:
        """Those who let others see what has reached them, which nobody does by default."""
        chosen = await self._chosen(accounts)
        return frozenset(account for account, one in chosen.items() if one.delivered)

    async def set(self, caller: Caller, chosen: PreferencesView) -> PreferencesView:
        """Choose anew."""
        write = PutDocument(PREFERENCES, caller.account, msgspec.msgpack.encode(chosen))
        await self._ledger.commit(write)
        return chosen

    async def _chosen(self, accounts: Collection[str]) -> dict[str, PreferencesView]:
        kept = await self._store.documents(PREFERENCES, accounts)
        return {account: _DECODER.decode(one.body) for account, one in kept.items()}

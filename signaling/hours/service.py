"""The hours of therapists, and the words that rooms answer with outside them: kept in the store."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from protocol import errors
from protocol.around import Hours, HoursView
from protocol.errors import ProtocolError
from relay.documents import PutDocument
from relay.store import Store
from signaling.caller import Caller
from signaling.hours import calendar
from signaling.sessions.ports import Ledger
from signaling.timebase import Timebase

HOURS = "hours"
"""The kind of the documents that hold them, by account."""

_DECODER = msgspec.msgpack.Decoder(Hours)


class HoursService:
    """Office and quiet hours. Raises :exc:`ProtocolError` and :exc:`relay.errors.StoreError`."""

    def __init__(self, store: Store, ledger: Ledger, timebase: Timebase) -> None:
        self._store = store
        self._ledger = ledger
        self._timebase = timebase

    async def get(self, caller: Caller) -> HoursView:
        """A therapist's own hours."""
        _check_therapist(caller)
        return await self.view(caller.account)

    async def set(self, caller: Caller, hours: Hours) -> HoursView:
        """Replace a therapist's own hours. ``hours_invalid``."""
        _check_therapist(caller)
        await self._ledger.commit(kept(caller.account, hours))
        return view(hours, self._timebase.now_ms())

    async def of(self, accounts: Collection[str]) -> Mapping[str, Hours]:
        """The hours of those accounts that have set some."""
        found = await self._store.documents(HOURS, accounts)
        return {account: _DECODER.decode(one.body) for account, one in found.items()}

    async def view(self, account: str) -> HoursView:
        """An account's hours, and what they say now."""
        return view((await self.of([account])).get(account), self._timebase.now_ms())

    async def quiet_until(self, accounts: Collection[str]) -> Mapping[str, int]:
        """The ends of the quiet hours of those accounts that are in some now."""
        now_ms = self._timebase.now_ms()
        ends = {one: view(hours, now_ms).quiet_until_ms for one, hours in (await self.of(accounts)).items()}
        return {account: until_ms for account, until_ms in ends.items() if until_ms is not None}

    async def quiet_until_ms(self, account: str) -> int | None:
        """The end of the quiet hours that the account is in; None when it may be disturbed."""
        return (await self.view(account)).quiet_until_ms


def kept(account: str, hours: Hours) -> PutDocument:
    """The write that replaces an account's hours. ``hours_invalid``."""
    calendar.check(hours)
    return PutDocument(HOURS, account, msgspec.msgpack.encode(hours))


def view(hours: Hours | None, now_ms: int) -> HoursView:
    """Hours with what they say at an instant."""
    if hours is None:
        return HoursView()
    quiet = calendar.quiet(hours, now_ms)
    quiet_until_ms = quiet.until_ms if quiet.within else None
    if hours.office is None:
        return HoursView(hours, quiet_until_ms=quiet_until_ms)
    office = calendar.office(hours, now_ms)
    return HoursView(hours, not office.within, office.until_ms, quiet_until_ms)


def _check_therapist(caller: Caller) -> None:
    if caller.role != "therapist":
        raise ProtocolError(errors.FORBIDDEN, "only therapists keep hours")

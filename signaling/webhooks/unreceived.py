"""Finds messages that no device of a member has received for too long, and has that told.

The logs are examined in the order in which they were written, each event once, when it has become old enough.
How far that has come is kept by the store, in the commit of what is told: so each is told once, whatever is
killed when. A member is told of again only after having received what was told of first, or for something
urgent. In quiet hours a member is told of only for what is urgent, and looked at again after them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog

from relay.errors import Conflict, StoreError
from relay.store import Store
from relay.webhooks import Held, NoteExamined, SettleHeld, Unreceived
from relay.writes import Write
from signaling.sessions.ports import Ledger
from signaling.timebase import Timebase
from signaling.webhooks.notices import Notice, undelivered

BATCH = 512
"""Events that are examined together. The deliveries that come of them form one commit."""

LONGEST_PAUSE_SECONDS = 15.0
"""How often the logs are looked at; less where messages become old sooner than that."""

LOOK_AGAIN_MS = 900_000
"""How long quiet hours are believed at most until they are looked at again: they may have been changed."""

QuietUntil = Callable[[Collection[str]], Awaitable[Mapping[str, int]]]
"""Gives until when those among the accounts that have quiet hours now are not to be disturbed."""

_log = structlog.get_logger("rapport.webhooks")


class UnreceivedSearch:
    """The search of one node. ``tell`` gives the writes that tell notices."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        timebase: Timebase,
        age_seconds: float,
        tell: Callable[[Sequence[Notice]], Sequence[Write]],
        quiet_until: QuietUntil,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._timebase = timebase
        self._age_ms = round(age_seconds * 1000)
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, age_seconds / 4)
        self._tell = tell
        self._quiet_until = quiet_until

    async def run(self) -> None:
        """Search, until cancelled."""
        while True:
            try:
                while await self.step():
                    pass
            except StoreError as error:
                _log.warning("unreceived_not_examined", error=error.name)
            await asyncio.sleep(self._pause_seconds)

    async def step(self) -> bool:
        """Examine a batch; whether there was something to examine. Raises :exc:`StoreError`."""
        examined = await self._examine()
        return await self._look_again() or examined

    async def _examine(self) -> bool:
        now_ms = self._timebase.now_ms()
        examined = await self._store.unreceived(appended_before_ms=now_ms - self._age_ms, limit=BATCH)
        if examined.through == examined.after:
            return False
        until_ms = await self._held_until({one.account for one in examined.unreceived if not one.flagged})
        held = [one for one in examined.unreceived if not one.flagged and one.account in until_ms]
        told = [one for one in examined.unreceived if one not in held]
        notes = NoteExamined(examined, tuple((one, until_ms[one.account]) for one in held))
        await self._commit(notes, told)
        return True

    async def _look_again(self) -> bool:
        """Those whose time has come: tell of them, unless they have it or are to be left alone again."""
        due = await self._store.held(until_ms=self._timebase.now_ms(), limit=BATCH)
        until_ms = await self._held_until({one.account for one in due if not one.received})
        for one in due:
            later_ms = None if one.received else until_ms.get(one.account)
            told = [] if one.received or later_ms else [_named(one)]
            await self._commit(SettleHeld(one, later_ms), told)
        return bool(due)

    async def _held_until(self, accounts: Collection[str]) -> Mapping[str, int]:
        latest_ms = self._timebase.now_ms() + LOOK_AGAIN_MS
        quiet = await self._quiet_until(accounts) if accounts else {}
        return {account: min(until_ms, latest_ms) for account, until_ms in quiet.items()}

    async def _commit(self, note: NoteExamined | SettleHeld, told: Sequence[Unreceived]) -> None:
        notices = [undelivered(one, self._timebase.now_ms()) for one in told]
        try:
            await self._ledger.commit(note, *self._tell(notices))
        except Conflict:
            _log.debug("unreceived_settled_elsewhere")


def _named(held: Held) -> Unreceived:
    return Unreceived(held.room, held.account, held.offset, held.at_ms)

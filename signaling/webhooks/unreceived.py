"""Finds messages that no device of a member has received for too long, and has that told.

The logs are examined in the order in which they were written, each event once, when it has become old enough.
How far that has come is kept by the store, in the commit of what is told: so each is told once, whatever is
killed when. A member is told of again only after having received what was told of first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from relay.errors import Conflict, StoreError
from relay.store import Store
from relay.webhooks import NoteExamined
from relay.writes import Write
from signaling.sessions.ports import Ledger
from signaling.timebase import Timebase
from signaling.webhooks.notices import Notice, undelivered

BATCH = 512
"""Events that are examined together. The deliveries that come of them form one commit."""

LONGEST_PAUSE_SECONDS = 15.0
"""How often the logs are looked at; less where messages become old sooner than that."""

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
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._timebase = timebase
        self._age_ms = round(age_seconds * 1000)
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, age_seconds / 4)
        self._tell = tell

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
        now_ms = self._timebase.now_ms()
        examined = await self._store.unreceived(appended_before_ms=now_ms - self._age_ms, limit=BATCH)
        if examined.through == examined.after:
            return False
        notices = [undelivered(one, now_ms) for one in examined.unreceived]
        try:
            await self._ledger.commit(NoteExamined(examined), *self._tell(notices))
        except Conflict:
            _log.debug("unreceived_examined_elsewhere")
        return True

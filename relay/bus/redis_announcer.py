"""Keeps the directory in Redis true for one node: its accounts as they come and go, and all of them again
before they expire, or at once when Redis has lost them.
"""

import asyncio
from collections.abc import Callable

from relay.bus.redis_directory import FIRST, NEW, RedisDirectory
from relay.bus.redis_server import UNREACHABLE
from relay.bus.timing import Timing
from relay.presence import Presence

ACCOUNTS_AT_ONCE = 512


class Announcer:
    """Announces the accounts of a node. `changed` is told whose first connection came and whose last went,
    anywhere; `missed` is called when the node cannot have been found for a while, and is found again.
    """

    def __init__(
        self,
        directory: RedisDirectory,
        presence: Presence,
        timing: Timing,
        changed: Callable[[str, bool], None],
        missed: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._presence = presence
        self._timing = timing
        self._changed = changed
        self._missed = missed
        self._due: dict[str, None] = {}  # accounts that came or went; at most the accounts there are
        self._begun = self._done = 0  # rounds of announcements
        self._ended = asyncio.Condition()
        self._wake = asyncio.Event()
        self._failing = False
        self._all_due = True
        self._in_doubt = False
        self._refresh_at = 0.0

    def note(self, account: str) -> None:
        """The account's first connection here came, or its last one went."""
        self._due[account] = None
        self._wake.set()

    def repeat(self) -> None:
        """Announce everything now, and call `missed` once that is done."""
        self._all_due = self._in_doubt = True
        self._wake.set()

    async def settle(self) -> None:
        """Wait until what was noted so far is announced, or cannot be."""
        if self._failing:
            return
        until = self._begun + 1 if self._due or self._in_doubt else self._begun
        async with self._ended:
            await self._ended.wait_for(lambda: self._done >= until or self._failing)

    async def run(self) -> None:
        """Announce until cancelled."""
        while True:
            try:
                await self._beat()
                self._failing = False
            except UNREACHABLE:
                self._failing = self._all_due = self._in_doubt = True
            async with self._ended:
                self._done = self._begun
                self._ended.notify_all()
            await self._pause()

    async def _pause(self) -> None:
        if self._failing:  # what comes meanwhile is announced with all the others
            await asyncio.sleep(self._timing.beat)
            return
        try:
            async with asyncio.timeout(self._timing.beat):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _beat(self) -> None:
        self._wake.clear()
        self._begun += 1
        due, self._due = list(self._due), {}
        try:
            await self._announce([account for account in due if account in self._presence])
            await self._withdraw([account for account in due if account not in self._presence])
        except UNREACHABLE:
            # As far as this node can tell; the others learn of it when the directory can be reached.
            for account in due:
                self._changed(account, account in self._presence)
            raise
        known = await self._directory.register()
        now = asyncio.get_running_loop().time()
        if not known:
            self._all_due = self._in_doubt = True
        if self._all_due or now >= self._refresh_at:
            await self._refresh(now)

    async def _announce(self, accounts: list[str]) -> None:
        if accounts:
            for account, answer in (await self._directory.announce(accounts)).items():
                if answer == FIRST:
                    self._changed(account, True)

    async def _withdraw(self, accounts: list[str]) -> None:
        if accounts:
            for account, gone in (await self._directory.withdraw(accounts)).items():
                if gone:
                    self._changed(account, False)

    async def _refresh(self, now: float) -> None:
        """Announce everybody; those that are noted meanwhile are announced or withdrawn after it."""
        repeated, in_doubt = self._all_due, self._in_doubt
        self._all_due = self._in_doubt = False
        accounts = [account for account in self._presence.accounts() if account not in self._due]
        lost = False
        try:
            for start in range(0, len(accounts), ACCOUNTS_AT_ONCE):
                answers = await self._directory.announce(accounts[start : start + ACCOUNTS_AT_ONCE])
                lost = lost or any(answer >= NEW for answer in answers.values())
        except UNREACHABLE:
            self._all_due, self._in_doubt = True, True
            raise
        self._refresh_at = now + self._timing.refresh
        if lost and not repeated:  # Redis has lost some, and may have lost others after they were announced
            self._all_due = self._in_doubt = True
            self._wake.set()
        elif accounts and (in_doubt or lost):
            self._missed()

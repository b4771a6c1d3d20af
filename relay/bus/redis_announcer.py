"""Keeps the directory in Redis true for one node: its accounts as they come and go, and all of them again
before they expire, or at once when Redis has lost them.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from relay.bus.redis_directory import RedisDirectory
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
        self._due: dict[str, bool] = {}  # accounts to tell of, and whether they came or went as a whole
        self._dead: set[str] = set()  # nodes whose accounts are to be told of
        self._begun = self._done = 0  # rounds of announcements
        self._ended = asyncio.Condition()
        self._wake = asyncio.Event()
        self._failing = False
        self._all_due = True
        self._in_doubt = False
        self._refresh_at = 0.0

    def note(self, account: str, *, turned: bool) -> None:
        """A connection of the account came or went here; `turned` for its first and its last."""
        self._due[account] = turned or self._due.get(account, False)
        self._wake.set()

    def gone(self, node: str) -> None:
        """Another node has died: tell of its accounts, as soon as the directory can be reached."""
        self._dead.add(node)
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
        due, self._due = self._due, {}
        try:
            await self._tell(list(due))
        except UNREACHABLE:
            # As far as this node can tell; the others learn of it when the directory can be reached.
            for account, turned in due.items():
                if turned:
                    self._changed(account, account in self._presence)
            raise
        known = await self._directory.register()
        now = asyncio.get_running_loop().time()
        if not known:
            self._all_due = self._in_doubt = True
        if self._all_due or now >= self._refresh_at:
            await self._refresh(now)
        for node in list(self._dead):
            await self._bury(node)
            self._dead.discard(node)

    async def _tell(self, accounts: Sequence[str]) -> None:
        for some in _portions(accounts):
            devices = {account: tuple(self._presence.devices(account)) for account in some}
            for account, known in (await self._directory.tell(devices)).items():
                if not known.elsewhere and not (devices[account] and known.here):
                    self._changed(account, bool(devices[account]))

    async def _bury(self, node: str) -> None:
        while accounts := await self._directory.held(node, ACCOUNTS_AT_ONCE):
            for account, known in (await self._directory.bury(node, accounts)).items():
                if not known.elsewhere:
                    self._changed(account, False)
        await self._directory.unregister(node)

    async def _refresh(self, now: float) -> None:
        """Announce everybody; those that are noted meanwhile are announced or withdrawn after it."""
        repeated, in_doubt = self._all_due, self._in_doubt
        self._all_due = self._in_doubt = False
        accounts = [account for account in self._presence.accounts() if account not in self._due]
        lost = False
        try:
            for some in _portions(accounts):
                devices = {one: tuple(self._presence.devices(one)) for one in some if one in self._presence}
                answers = await self._directory.tell(devices)
                lost = lost or not all(known.here for known in answers.values())
        except UNREACHABLE:
            self._all_due, self._in_doubt = True, True
            raise
        self._refresh_at = now + self._timing.refresh
        if lost and not repeated:  # Redis has lost some, and may have lost others after they were announced
            self._all_due = self._in_doubt = True
            self._wake.set()
        elif accounts and (in_doubt or lost):
            self._missed()


def _portions(accounts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(accounts), ACCOUNTS_AT_ONCE):
        yield accounts[start : start + ACCOUNTS_AT_ONCE]

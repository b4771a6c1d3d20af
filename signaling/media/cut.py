"""Cutting media: all that sessions ask of this package, which knows nothing of them.

The host of a session is told to compare what it forwards with the store, again and again until it says that
it has. So nothing is cut that should not be, however late a message comes; and what no message tells, the
host finds itself when it compares all it has.
"""

from __future__ import annotations

import asyncio

from signaling.media.hosts import Hosts
from signaling.media.messages import Done, Look
from signaling.media.ports import Members
from signaling.sessions.session import Session

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0


class Cut:
    """Has hosts cut what sessions do not allow any more, without waiting for it."""

    def __init__(self, hosts: Hosts, members: Members) -> None:
        self._hosts = hosts
        self._members = members
        self._wanted: set[tuple[str, str]] = set()  # by session and host: one is told once at a time
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def cut(self, session: Session) -> None:
        """Have media cut that the session, as it was stored just now, does not allow."""
        if not session.host:
            return  # it has never had any
        told = session.id, session.host
        self._wanted.add(told)
        if told not in self._tasks:
            self._tasks[told] = asyncio.create_task(self._insist(told))

    async def settle(self) -> None:
        """Return when every host that lives has done what it was told."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def stop(self) -> None:
        """Tell nobody any more."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _insist(self, told: tuple[str, str]) -> None:
        pause = FIRST_PAUSE_SECONDS
        try:
            while told in self._wanted:
                self._wanted.discard(told)
                if not await self._tell(*told):
                    self._wanted.add(told)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        finally:
            del self._tasks[told]

    async def _tell(self, session_id: str, host: str) -> bool:
        """Whether the host has done it, or lives no more: then others have its sessions."""
        done = isinstance(await self._hosts.ask(host, Look(session_id)), Done)
        return done or all(node.name != host for node in self._members.alive())

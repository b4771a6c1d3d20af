"""Runs what one node of all is to do, on the node that owns it.

For a moment two may do it, or nobody, because nodes see the others come and go at different times: whatever
is done is guarded in the store against being done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from signaling.cluster.members import BEAT_SECONDS

Work = Callable[[], Awaitable[None]]


class Duties:
    """The duties of this node: begun when they become its own, cancelled when they are no longer."""

    def __init__(self, owns: Callable[[str], bool]) -> None:
        self._owns = owns
        self._works: dict[str, Work] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def add(self, name: str, work: Work) -> None:
        """Have ``work``, which never ends by itself, run where ``duty:`` and its name is owned."""
        self._works[name] = work
        self._see_to(name)

    @property
    def own(self) -> frozenset[str]:
        """The names of those that run here."""
        return frozenset(name for name, task in self._running.items() if not task.done())

    async def run(self) -> None:
        """Wait, and look who owns what; to be called again and again."""
        await asyncio.sleep(BEAT_SECONDS)
        self.see()

    def see(self) -> None:
        """Look who owns what."""
        for name in self._works:
            self._see_to(name)

    async def end(self, name: str) -> None:
        """Have it run no more here."""
        del self._works[name]
        if task := self._running.pop(name, None):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _see_to(self, name: str) -> None:
        task = self._running.get(name)
        if not self._owns(f"duty:{name}"):
            if task is not None:
                task.cancel()
        elif task is None or task.done():  # one that was cancelled ends first
            self._running[name] = asyncio.create_task(_run(self._works[name]), name=name)


async def _run(work: Work) -> None:
    await work()

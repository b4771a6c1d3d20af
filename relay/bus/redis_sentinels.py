"""The Sentinels of a Redis, asked by several tasks at the same time.

The client library moves the one that has answered to the front of its list, by an index from before the
answer: of two questions at the same time the list can come out with one Sentinel twice and another no more.
Here each question has a list of its own.
"""

import copy
import random
from typing import Any

from redis.asyncio import Sentinel


class Sentinels(Sentinel):
    """Asks one Sentinel after the other, the one that has answered last first."""

    def __init__(self, hosts: list[tuple[str, int]], **options: Any) -> None:
        super().__init__(hosts, **options)  # type: ignore[no-untyped-call]  # has no annotations
        self._order = tuple(self.sentinels)

    async def discover_master(self, service_name: str) -> Any:
        """The address of the master."""
        asking = copy.copy(self)
        asking.sentinels = list(self._order)
        address = await Sentinel.discover_master(asking, service_name)
        self._order = tuple(asking.sentinels)
        return address

    def shuffle(self) -> None:
        """Ask them in another order from now on: the first may be stuck."""
        self._order = tuple(random.sample(self._order, len(self._order)))

    async def aclose(self) -> None:
        """Close the connections to all of them."""
        for asked in self._order:
            await asked.aclose()

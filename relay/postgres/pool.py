"""The connections that read: a bounded number, made when they are needed, given up when they fail."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

from relay.errors import Overloaded, StoreClosed, StoreError
from relay.postgres.connection import Connection
from relay.postgres.errors import FAILURES, is_lost, translated
from relay.postgres.opening import Link

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Pool:
    """Up to `size` connections, each used by one query at a time; at most `max_waiting` queries wait for one.

    A query that takes longer than `seconds`, with the wait for an answer that never comes, loses its
    connection.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[Link]], *, size: int, seconds: float, max_waiting: int = 16_384
    ) -> None:
        self._connect: Final = connect
        self._seconds: Final = seconds
        self._size: Final = size
        self._most: Final = size + max_waiting
        self._free: Final = asyncio.Semaphore(size)
        self._idle: Final[list[Link]] = []
        self._running = 0
        self._closed = False

    async def run(
        self, query: Callable[Concatenate[Connection, _P], Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Run a query; once more if the connection that was at hand has died. Raises `StoreError`."""
        if self._closed:
            raise StoreClosed("the store is not open")
        if self._running >= self._most:
            raise Overloaded("too many reads wait for the store")
        self._running += 1
        try:
            async with self._free:
                return await self._with_any(query, *args, **kwargs)
        except (*FAILURES, ValueError, OverflowError) as error:
            raise translated(error) from None
        finally:
            self._running -= 1

    async def close(self) -> None:
        """Take no more queries, and wait for those under way."""
        self._closed = True
        for _ in range(self._size):  # first in, first out: behind whoever waits
            await self._free.acquire()
        self._drop_idle()

    async def _with_any(
        self, query: Callable[Concatenate[Connection, _P], Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        if self._idle:
            loop = asyncio.get_running_loop()
            until = loop.time() + self._seconds
            try:
                return await self._on(self._idle.pop(), query, *args, **kwargs)
            except FAILURES as error:
                if not is_lost(error) or loop.time() >= until:
                    raise
            self._drop_idle()  # most of them have died with this one
        return await self._on(await self._connect(), query, *args, **kwargs)

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().terminate()

    async def _on(
        self,
        link: Link,
        query: Callable[Concatenate[Connection, _P], Awaitable[_T]],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        # The connection is closed rather than the query cancelled: a server that cannot be reached
        # cannot be asked to stop either.
        watch = asyncio.get_running_loop().call_later(self._seconds, link.terminate)
        try:
            found = await query(link, *args, **kwargs)
        except BaseException as error:
            if isinstance(error, (*FAILURES, StoreError, ValueError)) and not is_lost(error):
                self._idle.append(link)
            else:
                link.terminate()
            raise
        finally:
            watch.cancel()
        self._idle.append(link)
        return found

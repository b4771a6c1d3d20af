"""The requests that wait for their replies, across connections. No I/O.

A durable request survives the connection it was sent on and is sent again on the next; any other fails with
:exc:`Disconnected`, for whether it was carried out is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from loadtest.errors import Disconnected, LoadTestError
from loadtest.wire import Map


@dataclass(slots=True)
class Pending:
    """A request without a reply."""

    frame: Map
    reply: asyncio.Future[Map]
    durable: bool
    sent_on: object | None = None
    """The connection it was last sent on."""


class InFlight:
    """All requests of one client that wait for replies, in the order in which they were asked."""

    def __init__(self) -> None:
        self._pending: dict[int, Pending] = {}
        self._last_id = 0

    @contextmanager
    def ask(self, frame: Map, *, durable: bool) -> Iterator[Pending]:
        """Give the request an ``id``, and let it wait for as long as the context lasts."""
        self._last_id += 1
        request_id = self._last_id
        reply: asyncio.Future[Map] = asyncio.get_running_loop().create_future()
        pending = self._pending[request_id] = Pending({**frame, "id": request_id}, reply, durable)
        try:
            yield pending
        finally:
            del self._pending[request_id]
            reply.cancel()

    def next_unsent(self, connection: object) -> Pending | None:
        """The first request that was not sent on this connection yet."""
        return next((one for one in self._pending.values() if one.sent_on is not connection), None)

    def answered(self, request_id: Any, outcome: Map | LoadTestError) -> None:
        """The reply to a request has come; one that nobody waits for any more is ignored."""
        pending = self._pending.get(request_id)
        if pending is not None:
            _settle(pending, outcome)

    def lost(self, connection: object) -> None:
        """A connection is gone."""
        for pending in self._pending.values():
            if pending.sent_on is connection and not pending.durable:
                _settle(pending, Disconnected(f"cut off awaiting {pending.frame['op']}"))

    def fail(self, error: LoadTestError) -> None:
        """No replies will come any more."""
        for pending in self._pending.values():
            _settle(pending, error)


def _settle(pending: Pending, outcome: Map | LoadTestError) -> None:
    if pending.reply.done():
        return
    if isinstance(outcome, LoadTestError):
        pending.reply.set_exception(outcome)
    else:
        pending.reply.set_result(outcome)

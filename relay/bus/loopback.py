"""What a node publishes to itself: notices go through a list, once per loop turn."""

import asyncio
from typing import Final

from relay.bus import Deliver, Delivery, bounded_size


class Loopback:
    """Holds what was published in the current loop turn, for the connections of this node.

    At most `max_notices` notices that may be lost with at most `max_bytes` of bodies; beyond that such
    notices are dropped, as the port allows.
    """

    def __init__(self, *, max_notices: int, max_bytes: int) -> None:
        self._max_notices: Final = max_notices
        self._max_bytes: Final = max_bytes
        self._pending: list[Delivery] = []
        self._bounded = 0  # of those, how many count for the limit
        self._bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deliver: Deliver | None = None

    def start(self, deliver: Deliver) -> None:
        """Begin to deliver, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver

    def stop(self) -> None:
        """Deliver what is there, then nothing more."""
        if self._deliver is not None:
            try:
                self._flush()
            finally:
                self._deliver = self._loop = None

    def put(self, delivery: Delivery) -> bool:
        """Deliver it at the end of the turn; not at all before `start` and after `stop`. False if it was
        dropped at the limit.
        """
        if self._loop is None:  # nobody is there to hear it
            return True
        size = bounded_size(delivery.notice)
        if size is not None:
            if self._bounded >= self._max_notices or self._bytes + size > self._max_bytes:
                return False
            self._bounded += 1
            self._bytes += size
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(delivery)
        return True

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        self._bounded = self._bytes = 0
        if pending and self._deliver is not None:
            self._deliver(pending)

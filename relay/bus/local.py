"""The Bus of a deployment with one node: notices go through a list, once per loop turn."""

import asyncio
from collections.abc import Collection
from typing import Final

from relay.bus import Deliver, Delivery, EventNotice, Notice, PresenceNotice, SignalNotice
from relay.presence import Presence


class LocalBus:
    """`relay.bus.Bus` in this process.

    Holds what was published in the current loop turn: at most `max_notices` event and signal notices with at
    most `max_bytes` of bodies; beyond that such notices are dropped and counted, as the port allows.
    """

    def __init__(self, *, max_notices: int = 65_536, max_bytes: int = 64 << 20) -> None:
        self._max_notices: Final = max_notices
        self._max_bytes: Final = max_bytes
        self._presence = Presence()
        self._pending: list[Delivery] = []
        self._bounded = 0  # of those, how many count for the limit
        self._bytes = 0
        self._dropped = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deliver: Deliver | None = None

    async def start(self, deliver: Deliver) -> None:
        self._loop = asyncio.get_running_loop()
        self._deliver = deliver

    async def stop(self) -> None:
        if self._deliver is not None:
            try:
                self._flush()
            finally:
                self._deliver = self._loop = None

    def attach(self, account: str) -> None:
        if self._presence.attach(account):
            self._put(Delivery((account,), PresenceNotice(account, online=True)))

    def detach(self, account: str) -> None:
        if self._presence.detach(account):
            self._put(Delivery((account,), PresenceNotice(account, online=False)))

    async def online(self, accounts: Collection[str]) -> frozenset[str]:
        return frozenset(account for account in accounts if account in self._presence)

    def publish(self, accounts: Collection[str], notice: Notice) -> None:
        presence = self._presence
        here = tuple([account for account in accounts if account in presence])
        if not here or self._loop is None:
            return
        match notice:
            case EventNotice():
                size = len(notice.event.body)
            case SignalNotice():
                size = len(notice.body)
            case _:
                self._put(Delivery(here, notice))
                return
        if self._bounded >= self._max_notices or self._bytes + size > self._max_bytes:
            self._dropped += 1
            return
        self._bounded += 1
        self._bytes += size
        self._put(Delivery(here, notice))

    @property
    def dropped(self) -> int:
        return self._dropped

    def _put(self, delivery: Delivery) -> None:
        if self._loop is None:  # not started or stopped: nobody is there to hear it
            return
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(delivery)

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        self._bounded = self._bytes = 0
        if pending and self._deliver is not None:
            self._deliver(pending)

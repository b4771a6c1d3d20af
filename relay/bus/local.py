"""The Bus of a deployment with one node: nothing leaves the process."""

from collections.abc import Callable, Collection

from relay.bus import Addressed, BusStatistics, Deliver, Delivery, Notice, PresenceNotice
from relay.bus.loopback import Loopback
from relay.presence import Presence
from relay.quota import LocalQuota, Quota


class LocalBus:
    """`relay.bus.Bus` in this process: never misses anything, and is always ready."""

    def __init__(self, node: str = "local", *, max_notices: int = 65_536, max_bytes: int = 64 << 20) -> None:
        self._node = node
        self._loopback = Loopback(max_notices=max_notices, max_bytes=max_bytes)
        self._presence = Presence()
        self._quota = LocalQuota()
        self._dropped = 0

    @property
    def node(self) -> str:
        return self._node

    async def start(self, deliver: Deliver, missed: Callable[[], None]) -> None:
        self._loopback.start(deliver)

    async def stop(self) -> None:
        self._loopback.stop()

    def attach(self, account: str, device: str) -> None:
        if self._presence.attach(account, device):
            self._loopback.put(Delivery((account,), PresenceNotice(account, online=True)))

    def detach(self, account: str, device: str) -> None:
        if self._presence.detach(account, device):
            self._loopback.put(Delivery((account,), PresenceNotice(account, online=False)))

    def gone(self, node: str) -> None:
        return

    async def settle(self) -> None:
        return

    async def online(self, accounts: Collection[str]) -> frozenset[str]:
        return frozenset(account for account in accounts if account in self._presence)

    async def devices(self, account: str) -> frozenset[str]:
        return frozenset(self._presence.devices(account))

    def publish(self, accounts: Collection[str], notice: Notice) -> None:
        presence = self._presence
        here = tuple([account for account in accounts if account in presence])
        if here and not self._loopback.put(Delivery(here, notice)):
            self._dropped += 1

    def send(self, node: str, notice: Addressed) -> None:
        if node == self._node and not self._loopback.put(Delivery((), notice)):
            self._dropped += 1

    @property
    def quota(self) -> Quota:
        return self._quota

    @property
    def statistics(self) -> BusStatistics:
        return BusStatistics(ready=True, dropped=self._dropped)

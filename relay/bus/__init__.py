"""The Bus port: the doorbell between nodes, and the notices it carries.

The store is the truth. Any notice may be lost (a bounded queue was full, another process died); nothing
durable depends on one: events are in the log and the heads sent with every ping show the gap, revocations are
looked up at each hello.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Literal, Protocol

import msgspec

from relay.rows import StoredEvent


class EventNotice(msgspec.Struct, frozen=True, gc=False):
    """An event was committed. Carried whole, so that a reader that is up to date need not read the store."""

    room: str
    epoch: int
    event: StoredEvent


class SignalNotice(msgspec.Struct, frozen=True, gc=False):
    """Something short-lived of a room: typing, presence, quality, countdown. Stored nowhere.

    A later one with the same `key` replaces an earlier one that a slow receiver has not got yet.
    """

    room: str
    key: str
    sender: str | None
    body: bytes
    at_ms: int
    to_waiting: bool = False  # made for those, too, who wait to be admitted and get nothing else of the room


class PlaceNotice(msgspec.Struct, frozen=True, gc=False):
    """The account's own place in a session of a room changed: outside, waiting, or inside.

    `connections` are those that it is, or was, there with.
    """

    account: str
    room: str
    session: str
    place: Literal["outside", "waiting", "inside"]
    connections: tuple[str, ...]


class DirectNotice(msgspec.Struct, frozen=True, gc=False):
    """A message of the server to the connections of one account (`device` None: all of them).

    A later one with the same `key` replaces an earlier one that a slow receiver has not got yet.
    """

    account: str
    device: str | None
    key: str
    body: bytes


class MembershipNotice(msgspec.Struct, frozen=True, gc=False):
    """The account's own place in a room changed: its connections start or end that subscription (`role`
    None).
    """

    room: str
    account: str
    role: str | None


class RevokedNotice(msgspec.Struct, frozen=True, gc=False):
    """The account (`device` None) or device was barred: its connections are to be closed now."""

    account: str
    device: str | None


class ConnectedNotice(msgspec.Struct, frozen=True, gc=False):
    """A device connected as `connection`: every other connection of that device is replaced by it."""

    account: str
    device: str
    connection: str


class PresenceNotice(msgspec.Struct, frozen=True, gc=False):
    """The account got its first connection or lost its last. Made by the bus, for the node where that
    happened.
    """

    account: str
    online: bool


class InboxNotice(msgspec.Struct, frozen=True, gc=False):
    """A room changed in the inboxes of the addressees, and no event tells of it."""

    room: str


Notice = (
    EventNotice
    | SignalNotice
    | DirectNotice
    | MembershipNotice
    | PlaceNotice
    | RevokedNotice
    | ConnectedNotice
    | PresenceNotice
    | InboxNotice
)


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One notice for the accounts among its addressees that this node holds connections of."""

    accounts: tuple[str, ...]
    notice: Notice


Deliver = Callable[[Sequence[Delivery]], None]


class Bus(Protocol):
    """Carries notices to every node that holds a connection of an account.

    Notices of one publisher reach each node in the order they were published, those of one loop turn in one
    call of `deliver`, which is never made from inside `publish`. A node receives what it publishes itself.
    All methods belong to one event loop.
    """

    async def start(self, deliver: Deliver) -> None:
        """Begin to receive. `deliver` must not block; what it raises goes to the loop's exception handler."""

    async def stop(self) -> None:
        """Deliver what was published, then nothing more. Stopping twice is harmless."""

    def attach(self, account: str) -> None:
        """This node holds one more connection of the account. The first anywhere gives a `PresenceNotice`."""

    def detach(self, account: str) -> None:
        """This node holds one connection of the account less. The last anywhere gives a `PresenceNotice`."""

    async def online(self, accounts: Collection[str]) -> frozenset[str]:
        """Those of the accounts that have a connection on any node."""

    def publish(self, accounts: Collection[str], notice: Notice) -> None:
        """Send a notice to the nodes of those accounts. Never blocks, never fails.

        When the bounded queue is full, event and signal notices are dropped and counted; the others, which
        are few (one per request of a back end or per connection), are always kept.
        """

    @property
    def dropped(self) -> int:
        """Notices dropped at the limit since the start."""

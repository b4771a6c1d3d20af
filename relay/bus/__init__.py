"""The Bus port: the doorbell between nodes, and the notices it carries.

The store is the truth. Any notice may be lost (a bounded queue was full, another process died); nothing
durable depends on one: events are in the log and the heads sent with every ping show the gap, revocations are
looked up at each hello.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from relay.quota import Quota
from relay.rows import StoredEvent


class EventNotice(msgspec.Struct, frozen=True, gc=False, tag="event"):
    """An event was committed. Carried whole, so that a reader that is up to date need not read the store."""

    room: str
    epoch: int
    event: StoredEvent


class SignalNotice(msgspec.Struct, frozen=True, gc=False, tag="signal"):
    """Something short-lived of a room: typing, presence, quality, countdown. Stored nowhere.

    A later one with the same `key` replaces an earlier one that a slow receiver has not got yet.
    """

    room: str
    key: str
    sender: str | None
    body: bytes
    at_ms: int
    to_waiting: bool = False  # made for those, too, who wait to be admitted and get nothing else of the room


class PlaceNotice(msgspec.Struct, frozen=True, gc=False, tag="place"):
    """The account's own place in a session of a room changed: outside, waiting, or inside.

    `connections` are those that it is, or was, there with.
    """

    account: str
    room: str
    session: str
    place: Literal["outside", "waiting", "inside"]
    connections: tuple[str, ...]


class DirectNotice(msgspec.Struct, frozen=True, gc=False, tag="direct"):
    """A message of the server to the connections of one account (`device` None: all of them).

    A later one with the same `key` replaces an earlier one that a slow receiver has not got yet.
    """

    account: str
    device: str | None
    key: str
    body: bytes


class MembershipNotice(msgspec.Struct, frozen=True, gc=False, tag="membership"):
    """The account's own place in a room changed: its connections start or end that subscription (`role`
    None).
    """

    room: str
    account: str
    role: str | None


class RevokedNotice(msgspec.Struct, frozen=True, gc=False, tag="revoked"):
    """The account (`device` None) or device was barred: its connections are to be closed now."""

    account: str
    device: str | None


class ConnectedNotice(msgspec.Struct, frozen=True, gc=False, tag="connected"):
    """A device connected as `connection`: every other connection of that device is replaced by it."""

    account: str
    device: str
    connection: str


class PresenceNotice(msgspec.Struct, frozen=True, gc=False, tag="presence"):
    """The account got its first connection or lost its last. Made by the bus, for the node where that
    happened.
    """

    account: str
    online: bool


class InboxNotice(msgspec.Struct, frozen=True, gc=False, tag="inbox"):
    """A room changed in the inboxes of the addressees, and no event tells of it."""

    room: str


class ConnectionNotice(msgspec.Struct, frozen=True, gc=False, tag="connection"):
    """A signal for one connection. Sent to its node, and gone if it is."""

    connection: str
    signal: SignalNotice


class AskNotice(msgspec.Struct, frozen=True, gc=False, tag="ask"):
    """A request of one node to another. It may come again: the id tells."""

    caller: str
    """The node that is to get the reply."""
    id: str
    body: bytes


class ReplyNotice(msgspec.Struct, frozen=True, gc=False, tag="reply"):
    """The reply to the request of that id; `body` is None when it could not be carried out."""

    id: str
    body: bytes | None


Addressed = ConnectionNotice | AskNotice | ReplyNotice
"""What is sent to one node and not to accounts."""

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
    | Addressed
)


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One notice for the accounts among its addressees that this node holds connections of; for none if it
    was sent to the node.
    """

    accounts: tuple[str, ...]
    notice: Notice


def bounded_size(notice: Notice) -> int | None:
    """The bytes of a body that count for the limits of a queue; None for notices that are always kept."""
    match notice:
        case EventNotice():
            return len(notice.event.body)
        case SignalNotice():
            return len(notice.body)
        case ConnectionNotice():
            return len(notice.signal.body)
        case AskNotice():
            return len(notice.body)
        case ReplyNotice():
            return len(notice.body or b"")
        case _:
            return None


Deliver = Callable[[Sequence[Delivery]], None]


@dataclass(frozen=True, slots=True)
class BusStatistics:
    """How a bus is doing."""

    ready: bool
    """Whether notices of other nodes reach this one, as far as the last probe of it tells."""
    dropped: int = 0
    """Notices that were dropped since the start: at a limit, or because the bus could not be reached."""
    gaps: int = 0
    """How often this node found since the start that it may have missed notices."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """What others sent and was not taken since the start, by the cause."""


class Bus(Protocol):
    """Carries notices to every node that holds a connection of an account, or to one node.

    Notices of one publisher reach each node in the order they were published, none of them twice, those of
    one loop turn in one call of `deliver` (in several if they are too large to travel together), which is
    never made from inside `publish`. A node receives what it publishes itself, whatever the bus is doing.
    All methods belong to one event loop.
    """

    @property
    def node(self) -> str:
        """The name of this node, which no other has and none has had."""

    async def start(self, deliver: Deliver, missed: Callable[[], None]) -> None:
        """Begin to receive. Neither callback may block; what they raise goes to the loop's exception handler.

        `missed` is called when notices of other nodes may have been lost, once they arrive again: whatever is
        known from notices is to be compared with the store. A bus that cannot be reached is no error.
        """

    async def stop(self) -> None:
        """Deliver what was published, then nothing more. Stopping twice is harmless."""

    def attach(self, account: str, device: str) -> None:
        """This node holds one connection more of that device. The account's first anywhere gives a
        `PresenceNotice`.
        """

    def detach(self, account: str, device: str) -> None:
        """This node holds one connection of that device less. The account's last anywhere gives a
        `PresenceNotice`.
        """

    def gone(self, node: str) -> None:
        """Another node has died: whoever was connected only there gives a `PresenceNotice` here. Never fails.

        Nodes that stop say so themselves. Without this a dead node's accounts seem to be connected to it for
        half a minute, and nobody is told.
        """

    async def settle(self) -> None:
        """Return once the other nodes reach the accounts attached so far, and no longer those detached.

        What is committed after that is heard of here; what was committed before is in the store. Returns
        within seconds when the bus cannot be reached, too: then `missed` is called later.
        """

    async def online(self, accounts: Collection[str]) -> frozenset[str]:
        """Those of the accounts that have a connection on any node, as far as other nodes can be asked."""

    async def devices(self, account: str) -> frozenset[str]:
        """The devices of the account that have a connection on any node, as far as those can be asked."""

    def publish(self, accounts: Collection[str], notice: Notice) -> None:
        """Send a notice to the nodes of those accounts. Never blocks, never fails.

        When the bounded queue is full, event and signal notices and those for one node are dropped and
        counted; the others, which are few (one per request of a back end or per connection), are always kept.
        """

    def send(self, node: str, notice: Addressed) -> None:
        """Send a notice to one node, which may be this one. Never blocks, never fails.

        Nothing tells whether there is such a node, or whether it got the notice; see `relay.bus.calls`.
        """

    @property
    def quota(self) -> Quota:
        """Limits of rates on all nodes together, as far as those can be reached; else on this one."""

    @property
    def statistics(self) -> BusStatistics:
        """How the bus is doing now."""

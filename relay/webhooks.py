"""What a store keeps for webhooks: deliveries on their way to other servers, and who has not received what.

Rows, writes and the reading part of the Store port. A delivery is written together with the change that it
tells of, or neither is. The store knows no addresses and does not look into bodies.
"""

from typing import Literal, Protocol

import msgspec

DeliveryState = Literal["waiting", "delivered", "dead"]


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """Something that another server is to be told, and how far that has come.

    Deliveries of the same endpoint and lane go out one after another, in the order of `position`; only the
    first of those that wait has a `due_ms`.
    """

    id: str
    endpoint: str
    lane: str
    type: str
    body: bytes
    at_ms: int  # when what it tells of happened
    state: DeliveryState
    since_ms: int  # since when it is in that state
    attempts: int  # made since it waits, or until it ended
    due_ms: int | None
    failure: str  # how the last attempt failed, empty if it has not
    position: int


class DeliveryCursor(msgspec.Struct, frozen=True, gc=False):
    """A place in the list of the deliveries of one state, which is ordered by `since_ms`, then `position`."""

    since_ms: int
    position: int


class Backlog(msgspec.Struct, frozen=True, gc=False):
    """How much has not reached an endpoint."""

    endpoint: str
    waiting: int
    dead: int
    oldest_ms: int | None  # since when the one waits that has waited longest


class Unreceived(msgspec.Struct, frozen=True, gc=False):
    """A member none of whose devices holds an event that another member's device has sent."""

    room: str
    account: str
    offset: int
    at_ms: int  # when the event was appended
    flagged: bool = False  # whether it stands out as flagged


class Held(msgspec.Struct, frozen=True, gc=False):
    """Someone who was named as not having received an event, and is held back until an instant."""

    room: str
    account: str
    offset: int
    at_ms: int
    until_ms: int
    received: bool  # a device of theirs has come for it meanwhile, or it is kept no more


class Examined(msgspec.Struct, frozen=True, gc=False):
    """A run of all logs together, and who has not received what of it: see `Webhooks.unreceived`."""

    after: int
    through: int  # equal to `after` when there was nothing to examine
    unreceived: tuple[Unreceived, ...]


class PutDelivery(msgspec.Struct, frozen=True, gc=False):
    """A delivery that waits from now on, behind those that wait in its lane; due at once if it is the first.

    `Conflict` if the id is taken. Outcome: `Applied`.
    """

    id: str
    endpoint: str
    lane: str
    type: str
    body: bytes
    at_ms: int


class DelayDelivery(msgspec.Struct, frozen=True, gc=False):
    """An attempt has failed, and the next one is due at `due_ms`.

    `attempts` counts this one. Outcome: `Applied`, `changed=False` if another attempt has been noted
    meanwhile or the delivery is not due any more.
    """

    id: str
    attempts: int
    due_ms: int
    failure: str


class EndDelivery(msgspec.Struct, frozen=True, gc=False):
    """There will be no further attempt; the next delivery of the lane is due at once.

    Same `attempts` and outcome as for `DelayDelivery`.
    """

    id: str
    attempts: int
    state: Literal["delivered", "dead"]
    at_ms: int
    failure: str = ""


class ReplayDelivery(msgspec.Struct, frozen=True, gc=False):
    """Let a delivery that has ended wait once more, behind those of its lane, without attempts.

    Outcome: `Applied`, `changed=False` if it waits already or there is none.
    """

    id: str
    at_ms: int


class DropDelivery(msgspec.Struct, frozen=True, gc=False):
    """Remove a delivery, whatever its state; what waits behind it may be due at `at_ms`.

    Outcome: `Applied`, `changed=False` if there was none.
    """

    id: str
    at_ms: int


class HastenDeliveries(msgspec.Struct, frozen=True, gc=False):
    """What is due to an endpoint later than `at_ms` is due then. Outcome: `Applied`."""

    endpoint: str
    at_ms: int


class BuryDeliveries(msgspec.Struct, frozen=True, gc=False):
    """End as dead whatever waits for other endpoints than these. Outcome: `Applied`."""

    endpoints: tuple[str, ...]
    at_ms: int
    failure: str


class ForgetDeliveries(msgspec.Struct, frozen=True, gc=False):
    """Remove at most `limit` of the deliveries that have ended before an instant.

    Outcome: `Applied`, `changed=False` once there is none left.
    """

    before_ms: int
    limit: int


class NoteExamined(msgspec.Struct, frozen=True, gc=False):
    """What `Webhooks.unreceived` has found is dealt with: go on behind it, and do not name these again.

    `held` are those among them that are to be looked at again at an instant: see `Webhooks.held`.
    `Conflict` if someone else has gone on meanwhile. Outcome: `Applied`.
    """

    examined: Examined
    held: tuple[tuple[Unreceived, int], ...] = ()


class SettleHeld(msgspec.Struct, frozen=True, gc=False):
    """Hold someone back until another instant, or with None no longer.

    `Conflict` if they are not held like that any more. Outcome: `Applied`.
    """

    held: Held
    until_ms: int | None


DeliveryWrite = (
    PutDelivery
    | DelayDelivery
    | EndDelivery
    | ReplayDelivery
    | DropDelivery
    | HastenDeliveries
    | BuryDeliveries
    | ForgetDeliveries
)
SearchWrite = NoteExamined | SettleHeld
WebhookWrite = DeliveryWrite | SearchWrite


class Webhooks(Protocol):
    """The part of the Store port that reads deliveries."""

    async def delivery(self, delivery: str) -> Delivery | None:
        """One delivery."""

    async def deliveries(
        self,
        state: DeliveryState,
        *,
        endpoint: str | None = None,
        since_ms: int = 0,
        until_ms: int | None = None,
        after: DeliveryCursor | None = None,
        limit: int,
    ) -> tuple[Delivery, ...]:
        """Deliveries that came into a state from `since_ms` on and before `until_ms`, in that order."""

    async def due_deliveries(self, endpoint: str, *, limit: int) -> tuple[Delivery, ...]:
        """The first of each lane of an endpoint, by when they are due, whether that has come or not."""

    async def backlogs(self) -> tuple[Backlog, ...]:
        """The endpoints that something waits for or has not reached, by name."""

    async def unreceived(self, *, appended_before_ms: int, limit: int) -> Examined:
        """Who has not received the next `limit` events of all logs, as far as they are older than an instant.

        Events are examined in the order in which they were appended, each once: it begins behind the last
        `NoteExamined`. Only what devices have sent counts, and only for those who were members by then and
        not for the sender; an event is received as soon as one device of the account has acknowledged it. Of
        each room and account only the first one is named, and none as long as the one that was noted last is
        not received. What is flagged goes before: it is named instead of what is not, and although something
        that is not was noted and is not received.
        """

    async def held(self, *, until_ms: int, limit: int) -> tuple[Held, ...]:
        """Those who are held back until an instant or an earlier one, by when that is."""

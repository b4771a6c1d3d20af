"""What stands in a room's log: the bodies of durable ``event`` frames.

The store keeps a body as the MessagePack of one of these values and never looks inside.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from protocol.e2ee.epochs import Slot
from protocol.e2ee.structures import Signature
from protocol.fields import (
    AccountId,
    EndReason,
    MessageId,
    Milliseconds,
    Modality,
    Offset,
    Role,
    SessionId,
    SessionState,
)


class _Body(Struct, frozen=True, gc=False, tag_field="kind", omit_defaults=True):
    """Base of all event bodies: the ``kind`` says which one it is."""


class MessageBody(_Body, frozen=True, tag="message"):
    """A message of a member, in a session or between sessions."""

    mid: MessageId
    """The sender's id of the message; shown once per (device, mid)."""
    data: bytes
    """What the devices of the members read. Opaque to the server."""
    session: SessionId | None = None
    """The session in whose live chat it was written."""
    urgent: bool = False
    """It gets through quiet hours."""


class KeysBody(_Body, frozen=True, tag="keys"):
    """A device has opened a sender epoch: the keys of what it says from here on come of it."""

    mid: MessageId
    """The sender's id of the event."""
    header: bytes
    """What was signed: it names room, sender, epoch, and the device lists that the epoch is for."""
    signature: Signature
    """By the device's key, with the label `keys`."""
    slots: tuple[Slot, ...]
    """The seed of the epoch, sealed to each device and archive that is to have it."""


class MemberBody(_Body, frozen=True, tag="member"):
    """Someone became, or is no longer, a member of the room."""

    account: AccountId
    """Who."""
    role: Role
    """As what."""
    change: Literal["added", "removed"]
    """What happened."""


class SessionBody(_Body, frozen=True, tag="session"):
    """A session of the room came into another state, or something about it changed.

    Who comes and goes is not in the log: those inside are told by the ``countdown`` signal.
    """

    session: SessionId
    """Which session."""
    change: Literal[
        "scheduled",
        "moved",
        "opened",
        "live",
        "late",
        "modality",
        "extended",
        "urgent",
        "urgent_cleared",
        "overrun",
        "ended",
        "cancelled",
        "no_show",
    ]
    """What happened."""
    state: SessionState
    """The state after it."""
    modality: Modality
    """The modality after it."""
    starts_ms: Milliseconds
    """The start agreed."""
    ends_ms: Milliseconds
    """The end agreed."""
    account: AccountId | None = None
    """Who changed it; none when the clock or a back end did."""
    reason: EndReason | None = None
    """Why it is over, when it is."""
    due_ms: Milliseconds | None = None
    """When a change by the clock was due; the event's own time is when it was carried out."""
    minutes: int | None = None
    """By how much it was extended, or how late someone will be."""


class AutoReplyBody(_Body, frozen=True, tag="auto_reply"):
    """The answer of the platform to a client who wrote outside office hours: once until they begin again."""

    text: str
    """What the platform says then."""
    emergency: str = ""
    """Where to turn in an emergency."""
    until_ms: Milliseconds | None = None
    """When office hours begin again, as far as that is known."""


class AcknowledgedBody(_Body, frozen=True, tag="acknowledged"):
    """A therapist has taken care of an urgent message."""

    offset: Offset
    """The message's place in the log."""
    account: AccountId
    """Who did."""


EventBody: TypeAlias = MessageBody | KeysBody | MemberBody | SessionBody | AutoReplyBody | AcknowledgedBody

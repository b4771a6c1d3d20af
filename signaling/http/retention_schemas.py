"""The bodies of the API about retention."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.fields import Offset
from signaling.http.schemas import Body


class RetentionSpec(Body, frozen=True):
    """For how long the messages of a room are kept."""

    days: Annotated[int, Meta(ge=0, le=36_600)] | None = None
    """So many days, 0 for ever; as the deployment says if it is left out."""


class RetentionItem(Body, frozen=True):
    """For how long the messages of a room are kept, and what has become of them."""

    days: int
    """The days that hold for the room; 0 for ever."""
    own: bool
    """Whether the room says so itself, and not the deployment."""
    lowest: Offset
    """The lowest offset that its log still holds; one more than its head if it holds nothing."""
    expired: int
    """How many messages below it were purged."""


class ErasureSpec(Body, frozen=True):
    """Nothing is to be said about an erasure but whose it is."""


class ErasureItem(Body, frozen=True):
    """An account that is erased, and how much there is of it that stays, because it is not its alone.

    ``docs/retention.md`` says why each of it stays, and for how long.
    """

    account: str
    """The account."""
    rooms: int
    """Rooms that it was in: those who are in them know it from there."""
    events: int
    """What its devices have sent and is kept: others have received it."""
    blobs: int
    """Attachments that it has uploaded: others have received them."""
    sessions: int
    """Sessions of its rooms, and those it is invited to."""
    records: int
    """Entries of the audit trail by it or about it, of before."""

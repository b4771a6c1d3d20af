"""The bodies of the API about office hours and automatic replies."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.around import Hours
from protocol.fields import Milliseconds
from signaling.http.schemas import Body


class HoursSpec(Body, frozen=True):
    """Office and quiet hours to keep."""

    hours: Hours
    """The new ones, which take the place of the old."""


class HoursItem(Body, frozen=True):
    """Office and quiet hours, and what they say at this moment."""

    hours: Hours | None = None
    """None if none were ever set."""
    away: bool = False
    """Whether it is outside the office hours now."""
    away_changes_ms: Milliseconds | None = None
    """When that changes, as far as it can be told."""
    quiet_until_ms: Milliseconds | None = None
    """The end of the quiet hours that it is in."""


class ReplyWordsSpec(Body, frozen=True):
    """What a room answers with outside office hours."""

    text: Annotated[str, Meta(max_length=2000)] = ""
    """What a client is told; empty for no answer."""
    emergency: Annotated[str, Meta(max_length=200)] = ""
    """Where to turn in an emergency: told with it."""

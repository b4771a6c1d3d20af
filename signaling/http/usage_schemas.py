"""What the API takes and tells about usage and ratings. All spans and instants are milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.fields import EndReason, Milliseconds, Modality, SessionRole, SessionState
from signaling.http.schemas import Id
from signaling.usage.absence import Verdict
from signaling.usage.codes import Code, Modifier


class _Body(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of what is declared here."""


class UsageQuery(_Body, frozen=True):
    """Whose usage is asked for, and of when."""

    from_ms: Milliseconds
    """Sessions whose agreed start is at this instant or later."""
    until_ms: Milliseconds
    """Sessions whose agreed start is before this instant."""
    room: Id | None = None
    """Only those of this room."""
    account: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """Only those that this account was in, or was to be in."""
    format: Literal["json", "csv"] | None = None
    """Instead of an `Accept` header: `csv` gives everything at once."""


class SegmentItem(_Body, frozen=True):
    """A stretch of a session with one modality and one set of people present."""

    starts_ms: Milliseconds
    """When it began."""
    modality: Modality
    """How people talked."""
    present: tuple[str, ...]
    """Who was there."""
    ends_ms: Milliseconds | None = None
    """When it ended; left out while it goes on."""


class AttendanceItem(_Body, frozen=True):
    """How long an account was in a session."""

    account: str
    """Who."""
    role: SessionRole
    """As what."""
    came_ms: Milliseconds
    """When they came in first."""
    left_ms: Milliseconds
    """When they were in it last."""
    present_ms: Milliseconds
    """For how long in between."""


class AbsenceItem(_Body, frozen=True):
    """Whether the session is evidence that its client did not come."""

    holds: bool
    """Whether it is."""
    verdict: Verdict
    """`holds`, or why not."""
    waited_ms: dict[str, Milliseconds]
    """Who was in the waiting room, and since when."""


class ConsentItem(_Body, frozen=True):
    """A consent that somebody gave or withdrew."""

    account: str
    """Who."""
    kind: str
    """To what."""
    version: str
    """Which version of the text."""
    given: bool
    """Given, or withdrawn."""
    at_ms: Milliseconds
    """When."""


class UsageItem(_Body, frozen=True):
    """The usage of one session."""

    session: str
    """Its id."""
    room: str
    """The room it belongs to."""
    final: bool
    """Nothing of this will change any more. Until then it is as of now."""
    state: SessionState
    """Its state."""
    starts_ms: Milliseconds
    """The start agreed."""
    length_ms: Milliseconds
    """The length agreed, without extensions."""
    extended_ms: Milliseconds
    """By how much it was extended."""
    agreed_modality: Modality
    """How people were to talk."""
    both_ms: Milliseconds
    """For how long a therapist and a client were present together."""
    minutes: int
    """Whole minutes of `both_ms` that have passed completely; never rounded up."""
    video_ms: Milliseconds
    """How much of `both_ms` was video."""
    audio_ms: Milliseconds
    """How much of `both_ms` was audio."""
    chat_ms: Milliseconds
    """How much of `both_ms` was chat."""
    therapist_ms: Milliseconds
    """For how long a therapist was present, with or without a client."""
    client_ms: Milliseconds
    """For how long a client was present, with or without a therapist."""
    segments: tuple[SegmentItem, ...]
    """Who was present when, in which modality."""
    attendances: tuple[AttendanceItem, ...]
    """Everyone who was present, in the order of their coming."""
    reason: EndReason | None = None
    """Why it is over, when it is."""
    live_ms: Milliseconds | None = None
    """When a therapist and a client were first both in it."""
    ended_ms: Milliseconds | None = None
    """When it was over."""
    code: Code | None = None
    """A suggestion: the billing code for one client and so many minutes."""
    modifier: Modifier | None = None
    """A suggestion: 95 if video was the modality for more than half of `both_ms`."""
    no_show: AbsenceItem | None = None
    """For a session that has not become live: is that evidence of a client who did not come?"""
    consents: tuple[ConsentItem, ...] = ()
    """What was consented to for this session, in the order in which it was given and withdrawn."""


class RatingsQuery(_Body, frozen=True):
    """Which ratings are asked for."""

    from_ms: Milliseconds
    """Ratings given at this instant or later."""
    until_ms: Milliseconds
    """Ratings given before this instant."""
    technical: bool = False
    """True lists those that are about a technical problem, false all others; never both."""


class RatingItem(_Body, frozen=True):
    """What a participant says of a session."""

    session: str
    """Which session."""
    room: str
    """The room it belongs to."""
    account: str
    """Who rates it."""
    role: SessionRole
    """As what they took part."""
    score: int
    """From 1, very bad, to 5, very good."""
    technical: bool
    """Whether it is about a technical problem."""
    at_ms: Milliseconds
    """When it was rated."""

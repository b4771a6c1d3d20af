"""The bodies of the API, both ways. A body may hold nothing that is not declared here.

Ids that back ends give travel in addresses, so they are made of the unreserved characters of URLs (RFC 3986,
2.3). Ids are opaque to the server and must not contain personal data.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

from msgspec import Meta, Struct

from protocol.fields import EndReason, Epoch, Milliseconds, Modality, Offset, SessionState
from relay.webhooks import DeliveryState
from signaling.ids import ID_PATTERN
from signaling.sessions.terms import MAX_CONSENTS, MAX_CUES, CuesTo, WaitingRoomFor

Id: TypeAlias = Annotated[str, Meta(pattern=ID_PATTERN)]
"""An id that a back end may choose."""

MemberRole: TypeAlias = Literal["therapist", "client", "guest"]

MAX_MEMBERS = 64
"""Members that one request may name."""

MAX_ATTENDEES = 8

Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=86_400)]
"""A span; parts of a second are kept down to milliseconds."""


MAX_DELIVERIES = 200
"""Deliveries that one request may name, or make wait again."""


class Body(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all bodies."""


class MemberSpec(Body, frozen=True):
    """An account and its role in a room."""

    account: Id
    """The account."""
    role: MemberRole
    """Its role."""


class ConsentSpec(Body, frozen=True):
    """A consent to ask for."""

    kind: Id
    """To what; `observer` stands for being observed, and is no condition for joining oneself."""
    version: Id
    """Which version of the text."""


class PolicySpec(Body, frozen=True):
    """What holds for the sessions of a room, or for one session, instead of what the deployment says."""

    join_window_seconds: Seconds | None = None
    """How long before its start a session can be joined."""
    grace_seconds: Seconds | None = None
    """Absence that is bridged and not counted as leaving."""
    overrun_seconds: Seconds | None = None
    """How long after its agreed end a session ends for all."""
    hard_end: bool | None = None
    """Whether it ends at its agreed end, whatever overrun is allowed."""
    waiting_room: WaitingRoomFor | None = None
    """Who waits to be admitted: all but therapists, all but therapists and clients, or nobody."""
    cues_to: CuesTo | None = None
    """Who is told how much of a session is left."""
    cue_seconds: Annotated[tuple[Seconds, ...], Meta(max_length=MAX_CUES)] | None = None
    """How long before the agreed end they are told."""
    cap_cue_seconds: Annotated[tuple[Seconds, ...], Meta(max_length=MAX_CUES)] | None = None
    """How long before the end for all they are told, once the agreed end has passed."""
    consents: Annotated[tuple[ConsentSpec, ...], Meta(max_length=MAX_CONSENTS)] | None = None
    """What clients, guests and interpreters have to consent to before they come in."""


NO_POLICY = PolicySpec()


class RoomSpec(Body, frozen=True):
    """A room to create."""

    room: Id | None = None
    """Its id; the server chooses one if it is left out."""
    members: Annotated[tuple[MemberSpec, ...], Meta(max_length=MAX_MEMBERS)] = ()
    """Its first members."""
    policy: PolicySpec = NO_POLICY
    """What holds for its sessions."""


class RoomChange(Body, frozen=True):
    """What is to be different about a room."""

    policy: PolicySpec
    """What holds for the sessions scheduled from now on, in the place of all that the room said before."""


class AttendeeSpec(Body, frozen=True):
    """Someone invited to one session: they see the session, and nothing of the room's log."""

    account: Id
    """The account; it need not be a member of the room."""
    role: Literal["guest", "interpreter", "observer"]
    """As what they take part. An observer comes in only with the consent of everyone there."""


class ZonesSpec(Body, frozen=True):
    """The IANA time zones that both sides think of a session in. For display only."""

    therapist: Annotated[str, Meta(max_length=64)] = ""
    """That of the therapist, as in `Europe/Berlin`; empty if it is not known."""
    client: Annotated[str, Meta(max_length=64)] = ""
    """That of the client."""


class SessionSpec(Body, frozen=True):
    """A session to schedule."""

    length_seconds: Annotated[int, Meta(ge=1, le=86_400)]
    """How long it is; the deployment sets bounds of its own."""
    modality: Modality
    """How people talk in it."""
    starts_ms: Milliseconds | None = None
    """When it starts; now if it is left out."""
    session: Id | None = None
    """Its id; the server chooses one if it is left out."""
    invited: Annotated[tuple[Id, ...], Meta(max_length=MAX_MEMBERS)] = ()
    """The members who may join; all members of the room if it is empty."""
    attendees: Annotated[tuple[AttendeeSpec, ...], Meta(max_length=MAX_ATTENDEES)] = ()
    """Who may join besides."""
    zones: ZonesSpec | None = None
    """The time zones to show its times in."""
    policy: PolicySpec = NO_POLICY
    """What holds for this session instead of what the room and the deployment say."""


class RevocationSpec(Body, frozen=True):
    """Whom to cut off, or to let in again."""

    device: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """One device of the account; the whole account if it is left out."""


class NotesSpec(Body, frozen=True):
    """Whose private notes about a room."""

    account: Id
    """A therapist of the room."""


class MemberItem(Body, frozen=True):
    """A member of a room."""

    account: str
    """The account."""
    role: str
    """Its role in the room."""
    since_ms: Milliseconds
    """Since when."""


class RoomReference(Body, frozen=True):
    """The room that was created."""

    room: str
    """Its id."""


class RoomItem(Body, frozen=True):
    """A room."""

    room: str
    """Its id."""
    created_ms: Milliseconds
    """When it was created."""
    epoch: Epoch
    """The epoch of its log."""
    head: Offset
    """The offset of the last event of its log."""
    policy: PolicySpec = NO_POLICY
    """What holds for its sessions instead of what the deployment says."""


class OverlapItem(Body, frozen=True):
    """Another session of a therapist at the same time."""

    session: str
    """Its id."""
    starts_ms: Milliseconds
    """Its start."""
    ends_ms: Milliseconds
    """Its agreed end."""


class SessionItem(Body, frozen=True):
    """A session."""

    session: str
    """Its id."""
    room: str
    """The room it belongs to."""
    state: SessionState
    """Its state."""
    modality: Modality
    """How people talk in it."""
    starts_ms: Milliseconds
    """The start agreed."""
    opens_ms: Milliseconds
    """From when on it can be joined."""
    agreed_end_ms: Milliseconds
    """The end agreed, with what it was extended by."""
    cap_ms: Milliseconds
    """When it ends for all, whatever they do."""
    invited: tuple[str, ...] = ()
    """The members who may join; empty for all members of the room."""
    attendees: tuple[AttendeeSpec, ...] = ()
    """Who may join besides."""
    zones: ZonesSpec | None = None
    """The time zones to show its times in."""
    present: tuple[str, ...] = ()
    """Who is in it now."""
    waiting: tuple[str, ...] = ()
    """Who waits to be admitted."""
    urgent: bool = False
    """Whether it is marked as urgent, and so does not end by itself."""
    live_ms: Milliseconds | None = None
    """When a therapist and a client were first both in it."""
    ended_ms: Milliseconds | None = None
    """When it was over."""
    reason: EndReason | None = None
    """Why it was over."""
    warnings: tuple[OverlapItem, ...] = ()
    """What the therapists have at the same time; told when it is scheduled or moved."""


class RevocationItem(Body, frozen=True):
    """Who is cut off, or was let in again."""

    account: str
    """The account."""
    device: str | None = None
    """The device, if it is only this one."""


class DeliveryItem(Body, frozen=True):
    """A delivery to a webhook."""

    delivery: str
    """Its id, which the receiver gets as `Rapport-Id`."""
    endpoint: str
    """Whom it is for."""
    type: str
    """What it tells of."""
    state: DeliveryState
    """Whether it waits, was delivered, or was given up."""
    at_ms: Milliseconds
    """When what it tells of happened."""
    since_ms: Milliseconds
    """Since when it is in its state."""
    attempts: int
    """How often it has been attempted since it was put or replayed."""
    room: str = ""
    """The room it tells of; left out if it is none."""
    due_ms: Milliseconds | None = None
    """When the next attempt is due; left out while it waits behind another of its room."""
    failure: str = ""
    """How the last attempt failed."""


class ReplaySpec(Body, frozen=True):
    """Deliveries to be made again: those with these ids, or all that came into a state at some time."""

    deliveries: Annotated[tuple[Id, ...], Meta(max_length=MAX_DELIVERIES)] = ()
    """Their ids; those that wait already stay as they are."""
    state: Literal["dead", "delivered"] | None = None
    """All in this state, when no ids are given."""
    endpoint: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """With a state: only those for this endpoint."""
    since_ms: Milliseconds = 0
    """With a state: only those that came into it from this instant on."""
    until_ms: Milliseconds | None = None
    """With a state: only those that came into it before this instant; now if it is left out."""


class ReplayItem(Body, frozen=True):
    """How many deliveries are to be made again."""

    replayed: int
    """So many wait now. They go out behind what waits in their rooms."""
    until_ms: Milliseconds
    """The instant before which they came into their state."""
    more: bool = False
    """There are more of them: repeat the request with this `until_ms`, and another key."""


class DropSpec(Body, frozen=True):
    """Deliveries to be forgotten, whatever their state."""

    deliveries: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=MAX_DELIVERIES)]
    """Their ids."""


class DropItem(Body, frozen=True):
    """How many deliveries are forgotten."""

    dropped: int
    """So many."""


ItemT = TypeVar("ItemT")


class Page(Body, Generic[ItemT], frozen=True):
    """Part of a list."""

    items: tuple[ItemT, ...]
    """In the order of the list."""
    next: str | None = None
    """The ``cursor`` of the next page; left out on the last one."""


class Problem(Struct, frozen=True, omit_defaults=True):
    """A refusal (RFC 9457)."""

    type: str
    """A URI reference that names the kind of problem."""
    title: str
    """What this kind of problem is."""
    status: int
    """The HTTP status."""
    detail: str
    """What it is in this case; for people."""
    code: int
    """Stable; see the table of errors."""
    name: str
    """Stable; see the table of errors."""
    temporary: bool
    """The same request may succeed later."""
    hint: str
    """What to do about it."""
    retry_after_ms: int | None = None
    """When to try again."""

"""What is asked and told of a session: its requests, how it is seen, and the parts of both.

The signals of a session are in :mod:`protocol.signals`, its place in a room's log in :mod:`protocol.events`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from protocol.base import Request
from protocol.fields import (
    AccountId,
    EndReason,
    MessageId,
    Milliseconds,
    Modality,
    Place,
    RoomId,
    SessionId,
    SessionRole,
    SessionState,
)

ConsentName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
"""The kind of a consent or the version of its text, as the platform names them."""


class ConsentTerm(Struct, frozen=True, gc=False, order=True):
    """A consent that a session asks for."""

    kind: ConsentName
    """To what; `observer` stands for being observed."""
    version: ConsentName
    """Which version of the text."""


class Waiter(Struct, frozen=True, gc=False, omit_defaults=True):
    """Someone in the waiting room."""

    account: AccountId
    """Who."""
    role: SessionRole
    """As what they would come in."""
    since_ms: Milliseconds
    """Since when they wait."""
    silent: bool = False
    """They were denied twice before: they can be let in, but nothing rings for them."""


class Withdrawal(Struct, frozen=True, gc=False):
    """A consent that was withdrawn and is not given again."""

    account: AccountId
    """Who has withdrawn it."""
    kind: ConsentName
    """To what."""
    version: ConsentName
    """Which version of the text."""


class Proposal(Struct, frozen=True, gc=False):
    """A modality that one side has proposed and the other has not answered."""

    modality: Modality
    """What was proposed."""
    account: AccountId
    """By whom."""


class Lateness(Struct, frozen=True, gc=False):
    """Someone has said that they are running late."""

    role: SessionRole
    """As what they take part. Who it is, is not told, because those who wait are told too."""
    minutes: int
    """How late they will be, counted from ``at_ms``."""
    at_ms: Milliseconds
    """When they said so."""


# --- Requests -------------------------------------------------------------------------------------------


class SessionGet(Request, frozen=True, tag="session.get"):
    """How does a session stand?"""

    session: SessionId
    """Which session."""


class SessionJoin(Request, frozen=True, tag="session.join"):
    """Come into a session with this connection, or into its waiting room.

    Joining again is the same as having joined.
    """

    session: SessionId
    """Which session."""


class SessionLeave(Request, frozen=True, tag="session.leave"):
    """Go out of a session or of its waiting room; the session itself goes on."""

    session: SessionId
    """Which session."""


class SessionEnd(Request, frozen=True, tag="session.end"):
    """End a session for everyone, now. For therapists."""

    session: SessionId
    """Which session."""


class SessionAdmit(Request, frozen=True, tag="session.admit"):
    """Let people in from the waiting room: all of them, or none. For therapists who are in the session."""

    session: SessionId
    """Which session."""
    accounts: Annotated[tuple[AccountId, ...], Meta(min_length=1, max_length=8)]
    """Who comes in; who is in already stays in."""


class SessionDeny(Request, frozen=True, tag="session.deny"):
    """Turn someone in the waiting room away. For therapists who are in the session."""

    session: SessionId
    """Which session."""
    account: AccountId
    """Who."""


class SessionSendBack(Request, frozen=True, tag="session.send_back"):
    """Put someone who is in the session back into its waiting room. For therapists who are in the session."""

    session: SessionId
    """Which session."""
    account: AccountId
    """Who."""


class SessionExtend(Request, frozen=True, tag="session.extend"):
    """Move the agreed end, and the cap with it. For therapists.

    After a lost reply send the same again: it is extended once.
    """

    session: SessionId
    """Which session."""
    minutes: Literal[5, 10, 15]
    """By how much."""
    mid: MessageId
    """UUIDv7, made once for this extension."""


class SessionUrgent(Request, frozen=True, tag="session.urgent"):
    """Mark a session as urgent, so that it does not end by itself. Only therapists clear the mark."""

    session: SessionId
    """Which session."""
    active: bool
    """Whether it is urgent."""


class SessionLate(Request, frozen=True, tag="session.late"):
    """Tell everyone invited that one is running late; from an hour before the join window to the end."""

    session: SessionId
    """Which session."""
    minutes: Annotated[int, Meta(ge=0, le=120)]
    """How late, from now; 0: not late after all."""


class SessionModality(Request, frozen=True, tag="session.modality"):
    """Change how people talk from now on. For therapists and clients who are in the session."""

    session: SessionId
    """Which session."""
    modality: Modality
    """How."""


class SessionPropose(Request, frozen=True, tag="session.propose"):
    """Propose another modality, for example on a bad link; the other side accepts or declines."""

    session: SessionId
    """Which session."""
    modality: Modality
    """What is proposed. It takes the place of an earlier proposal."""


class SessionAccept(Request, frozen=True, tag="session.accept"):
    """Change to the modality that someone else has proposed."""

    session: SessionId
    """Which session."""
    modality: Modality
    """What was proposed; something else has not been accepted by this."""


class SessionDecline(Request, frozen=True, tag="session.decline"):
    """Turn a proposal down, or take one's own back."""

    session: SessionId
    """Which session."""
    modality: Modality
    """What was proposed."""


class SessionConsent(Request, frozen=True, tag="session.consent"):
    """Give a consent that a session asks for, or withdraw it. Both are kept, with their time."""

    session: SessionId
    """Which session."""
    kind: ConsentName
    """To what."""
    version: ConsentName
    """Which version of the text."""
    given: bool
    """Given, or withdrawn."""


class SessionRate(Request, frozen=True, tag="session.rate"):
    """Rate a session that is over and that one was in; once. Nobody else of the room is told.

    After a lost reply send the same again: it has been stored if the answer is ``already_rated``.
    """

    session: SessionId
    """Which session."""
    score: Annotated[int, Meta(ge=1, le=5)]
    """From 1, very bad, to 5, very good."""
    technical: bool = False
    """Whether the problem was a technical one."""


SessionRequest: TypeAlias = (
    SessionGet
    | SessionJoin
    | SessionLeave
    | SessionEnd
    | SessionAdmit
    | SessionDeny
    | SessionSendBack
    | SessionExtend
    | SessionUrgent
    | SessionLate
    | SessionModality
    | SessionPropose
    | SessionAccept
    | SessionDecline
    | SessionConsent
)


# --- Results --------------------------------------------------------------------------------------------


class Zones(Struct, frozen=True, gc=False, omit_defaults=True):
    """The IANA time zones that both sides think of a session in: for display, it is held at an instant."""

    therapist: Annotated[str, Meta(max_length=64)] = ""
    """That of the therapist, as in ``Europe/Berlin``; empty if it is not known."""
    client: Annotated[str, Meta(max_length=64)] = ""
    """That of the client."""


class SessionView(Struct, frozen=True, gc=False, tag_field="of", tag="session", omit_defaults=True):
    """A session as the caller may see it.

    Therapists and those inside see it as it stands. All others see what was agreed on: until it is over, its
    state is ``scheduled`` or ``open``, and neither who is in it nor what has changed in it is shown.
    """

    session: SessionId
    """Which session."""
    room: RoomId
    """The room it belongs to."""
    state: SessionState
    """Its state."""
    modality: Modality
    """Its modality now."""
    starts_ms: Milliseconds
    """The start agreed."""
    opens_ms: Milliseconds
    """When the join window opens."""
    agreed_end_ms: Milliseconds
    """The end agreed."""
    cap_ms: Milliseconds
    """When it ends for all, whatever they do."""
    server_now_ms: Milliseconds
    """The server's time, for the countdown."""
    place: Place = "outside"
    """Where the caller is."""
    zones: Zones | None = None
    """The time zones to show its times in."""
    present: tuple[AccountId, ...] = ()
    """Who is in it now."""
    roles: dict[AccountId, SessionRole] = {}
    """As what each of them takes part."""
    waiting: tuple[Waiter, ...] = ()
    """Who waits to be admitted, in the order of their coming; for therapists only."""
    both_ms: Milliseconds = 0
    """How long a therapist and a client have been present together until now, in milliseconds."""
    urgent: bool = False
    """Marked as urgent: it does not end by itself until a therapist clears the mark."""
    proposal: Proposal | None = None
    """A modality that was proposed and is not answered yet."""
    late: tuple[Lateness, ...] = ()
    """Who has said that they are running late."""
    consents: tuple[ConsentTerm, ...] = ()
    """What the caller is asked to consent to, and has not. All but `observer` are needed to come in."""
    consented: tuple[ConsentTerm, ...] = ()
    """What the caller is asked to consent to and has: each can be withdrawn."""
    withdrawn: tuple[Withdrawal, ...] = ()
    """What others have consented to and withdrawn; for therapists."""
    live_ms: Milliseconds | None = None
    """When it became live."""
    ended_ms: Milliseconds | None = None
    """When it was over."""
    reason: EndReason | None = None
    """Why it was over."""


class SessionExtended(
    Struct, frozen=True, gc=False, tag_field="of", tag="session.extend", omit_defaults=True
):
    """The session has been extended."""

    view: SessionView
    """The session after it."""
    overlaps_ms: Milliseconds | None = None
    """A warning: the therapist's next session starts at this time, before this one's new agreed end."""
    duplicate: bool = False
    """It had been extended before, by an earlier request with the same ``mid``."""

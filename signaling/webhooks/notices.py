"""What there is to tell, as values, and what of a room's log is told.

A notice has ids and times, and never the content of a message, a name or an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

import msgspec
from msgspec import Struct

from config.webhooks import WebhookType
from protocol.codec import decode_body
from protocol.events import (
    AcknowledgedBody,
    AutoReplyBody,
    EventBody,
    KeysBody,
    MemberBody,
    MessageBody,
    SessionBody,
)
from protocol.fields import EndReason, Modality, Role, SessionRole, SessionState
from protocol.sessions import ConsentTerm
from relay.audit_trail import Grant
from relay.webhooks import Unreceived
from relay.writes import Append
from signaling.sessions.commands import Happened
from signaling.sessions.session import Session


class _Data(Struct, frozen=True, omit_defaults=True):
    """Base of what notices say beside their type, time and room."""


class SessionData(_Data, frozen=True):
    """The session that something happened to, as it stands after it."""

    session: str
    """Its id."""
    state: SessionState
    """Its state."""
    modality: Modality
    """How people talk in it."""
    starts_ms: int
    """The start agreed."""
    ends_ms: int
    """The end agreed."""
    account: str | None = None
    """Who did it; left out when the clock or a back end did."""
    reason: EndReason | None = None
    """Why it is over, when it is."""
    due_ms: int | None = None
    """When it was due, if the clock did it."""
    minutes: int | None = None
    """By how much it was extended, or how late someone will be."""
    consent: ConsentTerm | None = None
    """What was withdrawn."""


class MemberData(_Data, frozen=True):
    """Who became, or is no longer, a member of the room."""

    account: str
    """Who."""
    role: Role
    """As what."""


class UndeliveredData(_Data, frozen=True):
    """A member for whom messages wait, and no device of theirs has come for them."""

    account: str
    """Who."""
    offset: int
    """The offset of the first of those messages in the room's log."""
    sent_ms: int
    """When it was sent."""
    urgent: bool = False
    """Whether it is urgent, and no therapist has acknowledged it: then quiet hours do not delay this."""


class DoorbellData(_Data, frozen=True):
    """A device that is to be told that something waits for it, and nothing else."""

    account: str
    """Whose."""
    device: str
    """Which of its devices."""
    urgent: bool = False
    """Whether an urgent message is among what waits."""


class RatingData(_Data, frozen=True):
    """What a participant says of a session that is over."""

    session: str
    """Its id."""
    account: str
    """Who rates it."""
    role: SessionRole
    """As what they took part."""
    score: int
    """From 1, very bad, to 5, very good."""
    technical: bool
    """Whether it is about a technical problem."""


class BreakGlassData(_Data, frozen=True):
    """Somebody reads what their token is not good for; why is in the audit trail."""

    account: str
    """Who, and by which key: `account@key`."""
    scope: str
    """What they may read."""
    until_ms: int
    """Until when."""


class AccountData(_Data, frozen=True):
    """What has happened to the keys of an account."""

    account: str
    """Whose."""
    device: str | None = None
    """Which of its devices, if it is about one."""


Data: TypeAlias = (
    SessionData | MemberData | UndeliveredData | DoorbellData | RatingData | BreakGlassData | AccountData
)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened, to be told."""

    type: WebhookType
    at_ms: int
    """When it happened."""
    room: str
    """Where; notices of a room are told in their order. Empty for what belongs to no room."""
    data: Data


class Envelope(Struct, frozen=True, omit_defaults=True):
    """The body of a delivery, in JSON."""

    id: str
    """The delivery's id: the same in every attempt, another for each endpoint."""
    type: WebhookType
    """What it tells of."""
    at_ms: int
    """When that happened, in milliseconds since 1970."""
    data: Data
    """What there is to say, by type."""
    room: str = ""
    """Where it happened; left out for what belongs to no room."""


SESSION_TYPES: Mapping[str, WebhookType] = {
    "opened": "session.opened",
    "live": "session.started",
    "overrun": "session.overrun",
    "late": "session.late",
    "modality": "session.modality_changed",
    "extended": "session.extended",
    "ended": "session.ended",
    "cancelled": "session.ended",
    "no_show": "session.ended",
}
"""The changes of a session that are told, and as what; other changes are not."""


UNLOGGED_TYPES: Mapping[str, WebhookType] = {
    "waiting": "session.waiting",
    "sent_back": "session.waiting",
    "consent_withdrawn": "session.consent_withdrawn",
}
"""The same for what the room's log does not tell."""


def notice_of(append: Append) -> Notice | None:
    """What an event that is appended to a room's log gives to tell; None for most, and for all messages."""
    if append.sender is not None:
        return None
    return _notice(decode_body(append.body), append.room, append.at_ms)


def unlogged(session: Session, happened: Happened, at_ms: int) -> Notice | None:
    """What happened to a session, if it is told and does not stand in the room's log."""
    told = UNLOGGED_TYPES.get(happened.change)
    if told is None:
        return None
    data = SessionData(
        session=session.id,
        state=happened.state,
        modality=happened.modality,
        starts_ms=happened.starts_ms,
        ends_ms=happened.ends_ms,
        account=happened.account or happened.by,
        consent=happened.term,
    )
    return Notice(told, at_ms, session.room, data)


def undelivered(found: Unreceived, at_ms: int) -> Notice:
    """That somebody has not received a message; ``at_ms`` is when that was found."""
    data = UndeliveredData(found.account, found.offset, found.at_ms, found.flagged)
    return Notice("message.undelivered", at_ms, found.room, data)


def doorbell(account: str, device: str, *, urgent: bool, at_ms: int) -> Notice:
    """That the platform is to ring a device."""
    return Notice("push.doorbell", at_ms, "", DoorbellData(account, device, urgent))


def break_glass(grant: Grant, at_ms: int) -> Notice:
    """That somebody has opened a scope."""
    return Notice("audit.break_glass", at_ms, "", BreakGlassData(grant.account, grant.scope, grant.until_ms))


def encode(notice: Notice, delivery: str) -> bytes:
    """The body of the delivery with that id."""
    return msgspec.json.encode(Envelope(delivery, notice.type, notice.at_ms, notice.data, notice.room))


def _notice(body: EventBody, room: str, at_ms: int) -> Notice | None:
    match body:
        case MessageBody() | KeysBody() | AutoReplyBody() | AcknowledgedBody():
            return None
        case MemberBody(account, role, change):
            kind: WebhookType = "room.member_added" if change == "added" else "room.member_removed"
            return Notice(kind, at_ms, room, MemberData(account, role))
        case SessionBody():
            told = SESSION_TYPES.get(body.change)
            return Notice(told, at_ms, room, _session(body)) if told else None
        case _:
            assert_never(body)


def _session(body: SessionBody) -> SessionData:
    return SessionData(
        session=body.session,
        state=body.state,
        modality=body.modality,
        starts_ms=body.starts_ms,
        ends_ms=body.ends_ms,
        account=body.account,
        reason=body.reason,
        due_ms=body.due_ms,
        minutes=body.minutes,
    )

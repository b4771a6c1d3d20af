"""What is recorded: which writes and refusals become entries of the audit trail, and under which names.

Names are stable: they are searched for years later. ``docs/audit-actions.md`` is generated from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import get_args, get_type_hints

from protocol import errors
from protocol.codec import decode_body
from protocol.errors import ErrorKind
from protocol.events import AcknowledgedBody, AutoReplyBody, MemberBody, SessionBody
from protocol.fields import Role
from relay.accounts import EraseAccount
from relay.audit_chain import AuditEntry
from relay.audit_trail import HoldAudit, ReleaseAudit
from relay.blob_rows import BlobRow, DropBlob, FinishBlob
from relay.documents import PutDocument
from relay.keys import DropDevice, ListDevice, PutDeviceList, RequestDevice, ResetKeys, RestoreDevice
from relay.push import DropDoorbell, PutDoorbell
from relay.ratings import PutRating
from relay.retention import DropRoom, Purge, RetentionWrite
from relay.scheduling import CalendarFeed, DropCalendar, PutCalendar, PutSeries
from relay.webhooks import DropDelivery, ReplayDelivery
from relay.writes import Append, CreateRoom, Reinstate, Revoke, SetRoomBody, Trim, Write
from signaling.audit.origin import Origin
from signaling.hours.replies import WORDS
from signaling.hours.service import HOURS
from signaling.inbox.preferences import PREFERENCES
from signaling.keys.vault import VAULT
from signaling.ratings import rating as ratings
from signaling.retention.service import RETENTION
from signaling.sessions.commands import Happened, Unlogged
from signaling.sessions.session import Session

OK = "ok"

BREAK_GLASS = "break-glass"
"""The reason of what was read only because the glass was broken."""

MAX_REASON_CHARACTERS = 500

REFUSALS: frozenset[ErrorKind] = frozenset(
    {
        errors.FORBIDDEN,
        errors.TOKEN_SCOPE,
        errors.REVOKED,
        errors.NO_SUCH_ROOM,
        errors.NO_SUCH_SESSION,
    }
)
"""Refusals of requests that are recorded: of what somebody may not do, or may not know of."""

ACTIONS: Mapping[str, str] = {
    "server.started": "A server has started; the object is its version.",
    "server.stopped": "A server was stopped as planned.",
    "node.drained": "An operator had a node hand over what it does, and end.",
    "login": "A token was refused; the outcome says why. Nobody is proven, unless it was `revoked`.",
    "room.created": "A room was created.",
    "room.changed": "The settings of a room were changed.",
    "room.trimmed": "The beginning of a room's log was deleted.",
    "room.deleted": "A room was deleted with everything in it, and its id is not used again.",
    "room.purged": "So many messages of a room were deleted: their retention has passed.",
    "retention.set": "Another time was set for which a room keeps its messages.",
    **{
        f"member.added.{role}": f"The subject became a member of the room, or from another role, as `{role}`."
        for role in get_args(Role)
    },
    **{
        f"member.removed.{role}": f"The subject, a `{role}`, is no member any more."
        for role in get_args(Role)
    },
    "account.revoked": "An account was barred.",
    "account.erased": "What there was of an account alone was deleted; it is barred and in no room any more.",
    "account.reinstated": "An account was let in again.",
    "device.revoked": "A device of the subject was barred.",
    "device.reinstated": "A device of the subject was let in again.",
    **{
        f"session.{change}": f"`{change}` happened to a session, as in its events."
        for change in get_args(get_type_hints(SessionBody)["change"])
    },
    **{
        f"session.{change}": f"`{change}` happened to the subject, or to the actor, in a session."
        for change in get_args(Unlogged)
    },
    "device.requested": "A device of the subject has asked to be listed among its devices.",
    "device.listed": "A device of the subject was added to the device list that the account signed.",
    "device.dropped": "The keys of a device of the subject were deleted.",
    "keys.listed": "The subject has signed a device list; the object is its number.",
    "keys.reset": "A back end has reset the keys of an account: it begins anew, with another identity.",
    "vault.put": "An account has replaced its vault.",
    "hours.set": "The office and quiet hours of an account were replaced.",
    "preferences.set": "An account has chosen what others see of its typing, receiving and reading.",
    "push.set": "A device of the subject is rung while it is away; by whom is not here.",
    "push.cleared": "A device of the subject is not rung any more.",
    "reply.worded": "A room got other words to answer with outside office hours.",
    "reply.sent": "A client who wrote to a closed room was answered automatically.",
    "urgent.acknowledged": "A therapist has taken care of an urgent message; the object is its offset.",
    "blob.stored": "The subject has uploaded a blob, such as an attachment, to the room.",
    "blob.read": "A member of the room has got a blob, or a part of it.",
    "blob.deleted": "A blob that the subject had uploaded was deleted; by the server when its time had come.",
    "series.planned": "A series of sessions was planned.",
    "series.cut": "A series of sessions was ended from one of its sessions on.",
    "calendar.given": "An account's calendar feed got a new address.",
    "calendar.taken": "An account's calendar feed was closed.",
    "webhook.replayed": "A delivery to a webhook is to be made once more.",
    "webhook.dropped": "A delivery to a webhook was deleted.",
    "session.rated": "A participant has rated a session; what they say of it is not here.",
    "hold.placed": "A legal hold, for the reason given: what the object is about is not purged or pruned.",
    "hold.released": "The end of a legal hold.",
    "break_glass.opened": "The actor opened the scope that is the object, with the reason given.",
    "break_glass.ended": "The access of the subject to the scope has run out.",
    "audit.pruned": "So many entries past their time were deleted, up to the one that is the object.",
    "audit.exported": "The trail was exported on the server's machine.",
    "audit.searched": "The trail was searched on the server's machine.",
    "audit.key_rotated": "Another key signs from now on; the object is its id.",
    "audit.broken": "A server that started found the entry, which is the object, not as it was signed.",
    "audit.overflow": "So many entries of refusals and reads were left out, because they came too fast.",
}
"""Every action but ``http.*`` and ``request.*``, which are made of the names of operations and requests."""


_DOCUMENTS: Mapping[str, tuple[str, str]] = {
    HOURS: ("hours.set", "account"),
    PREFERENCES: ("preferences.set", "account"),
    WORDS: ("reply.worded", "room"),
    VAULT: ("vault.put", "account"),
    RETENTION: ("retention.set", "room"),
}
"""By the kind of a document: the action that writing it is, and what it belongs to."""


_DEVICES: Mapping[type, str] = {
    RequestDevice: "device.requested",
    ListDevice: "device.listed",
    RestoreDevice: "device.listed",
    DropDevice: "device.dropped",
}
"""By the kind of a write about a device: the action that it is."""


def entry_of(
    origin: Origin,
    action: str,
    object_kind: str,
    object_id: str,
    *,
    at_ms: int,
    room: str = "",
    subject: str = "",
    outcome: str = OK,
    reason: str = "",
    count: int = 1,
) -> AuditEntry:
    """An entry about what ``origin`` did. ``subject`` is left out where it is the actor."""
    return AuditEntry(
        at_ms=at_ms,
        actor=origin.actor,
        role=origin.role,
        action=action,
        object_kind=object_kind,
        object_id=object_id,
        room=room,
        subject="" if subject == origin.actor else subject,
        source=origin.source,
        outcome=outcome,
        reason=reason[:MAX_REASON_CHARACTERS],
        count=count,
    )


def entries_of(writes: Iterable[Write], origin: Origin, at_ms: int) -> Iterator[AuditEntry]:
    """The entries that belong into the commit of ``writes``."""
    for write in writes:
        # Messages of people, which nearly all writes are, are not looked at any further.
        if not isinstance(write, Append) or write.sender is None:
            yield from _entries(write, origin, at_ms)


def entries_of_session(
    session: Session, events: Iterable[Happened], origin: Origin, at_ms: int
) -> Iterator[AuditEntry]:
    """The entries about what happened to a session and does not stand in its room's log."""
    for event in events:
        if event.change in get_args(Unlogged):
            yield entry_of(
                origin,
                f"session.{event.change}",
                "session",
                session.id,
                at_ms=at_ms,
                room=session.room,
                subject=event.account or "",
                reason=f"{event.term.kind} {event.term.version}" if event.term else "",
            )


def _entries(  # noqa: C901 - one row for each kind of write
    write: Write, origin: Origin, at_ms: int
) -> Iterator[AuditEntry]:
    match write:
        case Append(room=room, body=body):
            yield from _of_event(room, body, origin, at_ms)
        case CreateRoom(room=room):
            yield entry_of(origin, "room.created", "room", room, at_ms=at_ms, room=room)
        case SetRoomBody(room=room):
            yield entry_of(origin, "room.changed", "room", room, at_ms=at_ms, room=room)
        case Trim(room=room):
            yield entry_of(origin, "room.trimmed", "room", room, at_ms=at_ms, room=room)
        case Purge() | DropRoom():
            yield _deleted(origin, write, at_ms)
        case Revoke(account=account, device=device):
            yield _barred(origin, "revoked", account, device, at_ms)
        case Reinstate(account=account, device=device):
            yield _barred(origin, "reinstated", account, device, at_ms)
        case PutDeviceList(account, number):
            yield entry_of(origin, "keys.listed", "device_list", str(number), at_ms=at_ms, subject=account)
        case (
            RequestDevice(account, device)
            | ListDevice(account, device)
            | RestoreDevice(account, device)
            | DropDevice(account, device)
        ):
            yield entry_of(origin, _DEVICES[type(write)], "device", device, at_ms=at_ms, subject=account)
        case ResetKeys(account) | EraseAccount(account):
            action = "keys.reset" if isinstance(write, ResetKeys) else "account.erased"
            yield entry_of(origin, action, "account", account, at_ms=at_ms)
        case PutDoorbell(account, device) | DropDoorbell(account, device):
            action = "push.set" if isinstance(write, PutDoorbell) else "push.cleared"
            yield entry_of(origin, action, "device", device, at_ms=at_ms, subject=account)
        case PutSeries(series, expect_version):
            action = "series.planned" if expect_version is None else "series.cut"
            yield entry_of(origin, action, "series", series.id, at_ms=at_ms, room=series.room)
        case PutCalendar(CalendarFeed(account=account)) | DropCalendar(account):
            action = "calendar.given" if isinstance(write, PutCalendar) else "calendar.taken"
            yield entry_of(origin, action, "account", account, at_ms=at_ms)
        case ReplayDelivery(delivery):
            yield entry_of(origin, "webhook.replayed", "delivery", delivery, at_ms=at_ms)
        case DropDelivery(delivery):
            yield entry_of(origin, "webhook.dropped", "delivery", delivery, at_ms=at_ms)
        case PutDocument(kind=kind, id=name) if kind in _DOCUMENTS:
            action, owner = _DOCUMENTS[kind]
            room = name if owner == "room" else ""
            yield entry_of(origin, action, owner, name, at_ms=at_ms, room=room)
        case FinishBlob(blob) | DropBlob(BlobRow(whole=True) as blob):
            action = "blob.stored" if isinstance(write, FinishBlob) else "blob.deleted"
            yield entry_of(
                origin, action, "blob", blob.digest.hex(), at_ms=at_ms, room=blob.room, subject=blob.account
            )
        case PutRating(row):
            rating = ratings.from_row(row)
            yield entry_of(
                origin,
                "session.rated",
                "session",
                rating.session,
                at_ms=at_ms,
                room=rating.room,
                subject=rating.account,
            )
        case HoldAudit(hold):
            yield _held(origin, "hold.placed", hold.kind, hold.id, at_ms, hold.reason)
        case ReleaseAudit(kind, name):
            yield _held(origin, "hold.released", kind, name, at_ms)
        case _:
            return


def _of_event(room: str, body: bytes, origin: Origin, at_ms: int) -> Iterator[AuditEntry]:
    match decode_body(body):
        case MemberBody(account, role, change):
            action = f"member.{change}.{role}"
            yield entry_of(origin, action, "room", room, at_ms=at_ms, room=room, subject=account)
        case SessionBody(session=session, change=change, account=account):
            subject = account or ""
            yield entry_of(
                origin, f"session.{change}", "session", session, at_ms=at_ms, room=room, subject=subject
            )
        case AutoReplyBody():
            yield entry_of(origin, "reply.sent", "room", room, at_ms=at_ms, room=room)
        case AcknowledgedBody(offset):
            yield entry_of(origin, "urgent.acknowledged", "message", str(offset), at_ms=at_ms, room=room)
        case _:
            return


def _deleted(origin: Origin, write: RetentionWrite, at_ms: int) -> AuditEntry:
    if isinstance(write, DropRoom):
        return entry_of(origin, "room.deleted", "room", write.room, at_ms=at_ms, room=write.room)
    room, count = write.found.room, write.found.messages
    return entry_of(origin, "room.purged", "room", room, at_ms=at_ms, room=room, count=count)


def _barred(origin: Origin, what: str, account: str, device: str | None, at_ms: int) -> AuditEntry:
    if device is None:
        return entry_of(origin, f"account.{what}", "account", account, at_ms=at_ms)
    return entry_of(origin, f"device.{what}", "device", device, at_ms=at_ms, subject=account)


def _held(origin: Origin, action: str, kind: str, name: str, at_ms: int, reason: str = "") -> AuditEntry:
    room = name if kind == "room" else ""
    return entry_of(origin, action, kind, name, at_ms=at_ms, room=room, reason=reason)


def page() -> str:
    """The table of actions, in Markdown."""
    rows = "".join(f"| `{action}` | {text} |\n" for action, text in ACTIONS.items())
    return f"{_OPENING}| action | what was done |\n|---|---|\n{rows}"


_OPENING = """\
# Actions in the audit trail

<!-- Generated from signaling/audit/actions.py by `make docs`; edit it there. -->

Every entry of the [audit trail](audit.md) has one of these actions, or

- `http.<operation>`: a back end has read something, or was refused what it asked for; operations are named as
  in the OpenAPI document, such as `http.getRoom`;
- `request.<op>`: a request over a WebSocket was refused, such as `request.session.end`.

"""

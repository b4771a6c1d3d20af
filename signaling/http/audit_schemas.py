"""The bodies and queries of the audit trail."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.fields import MAX_SAFE_INTEGER, Milliseconds
from signaling.http.schemas import Body, Id


class AuditQuery(Body, frozen=True):
    """Which entries of the audit trail are asked for; conditions hold together."""

    actor: Annotated[str, Meta(max_length=400)] = ""
    """Who acted: an account, or `account@key` for a back end."""
    action: Annotated[str, Meta(max_length=128)] = ""
    """What was done, and everything below it: `session` takes `session.live`."""
    object_kind: Annotated[str, Meta(max_length=64)] = ""
    """To what kind of object."""
    object_id: Annotated[str, Meta(max_length=128)] = ""
    """To which object: everything in a `room`, everything by or about an `account`."""
    since_ms: Milliseconds = 0
    """From this instant on."""
    until_ms: Milliseconds = MAX_SAFE_INTEGER
    """Before this instant."""


class AuditItem(Body, frozen=True):
    """An entry of the audit trail."""

    sequence: int
    """Its place; there are no gaps."""
    at_ms: Milliseconds
    """When it happened."""
    actor: str
    """Who acted: an account, `account@key` for a back end, empty for the server or who is not proven."""
    role: str
    """As what."""
    action: str
    """What was done."""
    object_kind: str
    """To what kind of object."""
    object_id: str
    """To which."""
    room: str
    """In which room; empty outside of rooms."""
    subject: str
    """Whom it concerns, if that is another than the actor."""
    source: str
    """From where: a connection, `http`, `websocket`, `clock` or `cli`."""
    outcome: str
    """`ok`, or the name of the error."""
    reason: str
    """The reason given, for break-glass access and legal holds."""
    count: int
    """How many equal ones it stands for, the first at `at_ms`."""
    digest: str
    """Its digest, in hexadecimal, over itself and everything before it."""


class CheckpointItem(Body, frozen=True):
    """A signature over the audit trail up to an entry."""

    sequence: int
    """The entry."""
    digest: str
    """The entry's digest, in hexadecimal."""
    at_ms: Milliseconds
    """When it was signed."""
    key: str
    """The id of the public key."""
    signature: str
    """The Ed25519 signature, in hexadecimal."""


class HoldSpec(Body, frozen=True):
    """What a legal hold is about."""

    kind: Literal["room", "session", "account"]
    """What kind of object."""
    id: Id
    """Which: a room with everything in it, an account with everything by and about it, or a session."""
    reason: Annotated[str, Meta(max_length=500)] = ""
    """Why; kept with the hold and in the audit trail. No names and nothing of what somebody has said."""


class HoldItem(Body, frozen=True):
    """A legal hold: what the object is about is not purged or pruned."""

    kind: str
    """What kind of object."""
    id: str
    """Which."""
    since_ms: Milliseconds
    """Since when."""
    account: str = ""
    """Who has placed it."""
    reason: str = ""
    """Why."""


class BreakGlassSpec(Body, frozen=True):
    """A scope that is to be opened in an emergency."""

    scope: Literal["audit", "rooms", "sessions", "usage"]
    """What may be read then."""
    reason: Annotated[str, Meta(min_length=8, max_length=500)]
    """Why; kept in the audit trail. No names and nothing of what somebody has said."""
    minutes: Annotated[int, Meta(ge=1, le=1440)] = 15
    """For how long; the deployment sets a bound of its own."""


class GrantItem(Body, frozen=True):
    """Access that was opened."""

    scope: str
    """What may be read."""
    until_ms: Milliseconds
    """Until when."""

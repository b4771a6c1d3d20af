"""Every frame of the protocol, declared once.

A frame is a flat map with an ``op``. A *request* has an ``id`` chosen by the client, and exactly one ``ok``
or ``error`` repeats it. Unknown keys are ignored, so that either side may be newer than the other.
Field bounds that are fixed stand in the types; those that are settings are announced in ``welcome``.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from protocol.around import AroundRequest, AroundResult
from protocol.base import Frame, Request
from protocol.events import EventBody
from protocol.fields import (
    AccountId,
    DeviceId,
    Epoch,
    MessageId,
    Milliseconds,
    Offset,
    RequestId,
    Role,
    RoomId,
    SessionId,
)
from protocol.keys import KeyInventory, KeysChanged, KeysRequest, KeysResult, ListNumber, Mismatch
from protocol.push import Push, PushRequest
from protocol.schedule import ScheduleRequest, ScheduleResult
from protocol.sessions import SessionExtended, SessionRate, SessionRequest, SessionView
from protocol.signals import ClientSignal, SignalBody

VERSION = 1
"""The protocol version spoken here."""


class Position(Struct, frozen=True):
    """How far a device has a room's log."""

    epoch: Epoch
    """The epoch the offset belongs to."""
    offset: Offset
    """The last event that is persisted on the device; 0 for none."""


# --- Client to server ---------------------------------------------------------------------------------


class Hello(Frame, frozen=True, tag="hello"):
    """The first frame of a connection, due within the time the server allows (10 s)."""

    device: DeviceId
    """Which installation of the app this is."""
    token: Annotated[str, Meta(max_length=8192)] = ""
    """A JWT; see the token reference. Without one, the answer is ``token_missing``."""
    versions: Annotated[tuple[int, ...], Meta(min_length=1, max_length=16)] = (VERSION,)
    """Protocol versions the client speaks."""
    rooms: Annotated[dict[RoomId, Position], Meta(max_length=4096)] = field(default_factory=dict)
    """Where to resume; a room that is left out goes on from the cursor the server has of this device."""


class Pong(Frame, frozen=True, tag="pong"):
    """The answer to ``ping``."""

    t_ms: Milliseconds
    """``t_ms`` of the ping, unchanged."""


class Ack(Frame, frozen=True, tag="ack"):
    """Everything up to this offset is *persisted on the device*; cumulative."""

    room: RoomId
    """Which room."""
    epoch: Epoch
    """The epoch the offset belongs to."""
    offset: Offset
    """The last event persisted."""


class TimeGet(Request, frozen=True, tag="time.get"):
    """What time is it at the server? Also the cheapest round trip."""


class TokenRefresh(Request, frozen=True, tag="token.refresh"):
    """Go on with a fresh token of the same account, role and issuer."""

    token: Annotated[str, Meta(min_length=1, max_length=8192)]
    """The new JWT."""


class RoomGet(Request, frozen=True, tag="room.get"):
    """Who is in a room, and where does its log stand?"""

    room: RoomId
    """Which room."""


class RoomHistory(Request, frozen=True, tag="room.history"):
    """A page of a room's log, oldest first, without moving any cursor."""

    room: RoomId
    """Which room."""
    after: Offset = 0
    """Begin after this offset."""
    limit: Annotated[int, Meta(ge=1, le=256)] = 256
    """At most so many events; fewer come when they are large."""


class RoomRead(Request, frozen=True, tag="room.read"):
    """The account has read the log up to an offset, on any of its devices."""

    room: RoomId
    """Which room."""
    offset: Offset
    """The last event read."""


class MessageSend(Request, frozen=True, tag="message.send"):
    """Store a message and deliver it to every device of every member.

    The reply comes when the message is durable. After a lost reply send the same again: it is stored once.
    """

    room: RoomId
    """Which room."""
    mid: MessageId
    """UUIDv7, made once for this message."""
    data: bytes
    """Opaque to the server; at most the message limit of ``welcome``."""
    session: SessionId | None = None
    """The session in whose live chat it is written."""
    urgent: bool = False
    """It gets through quiet hours. Unless a therapist sent it, it stands out until one acknowledges it."""
    lists: Annotated[dict[AccountId, ListNumber], Meta(max_length=4096)] | None = None
    """The number of each member's device list that it was encrypted for; members without one have 0 or are
    left out. None: it is not encrypted, which is taken only while no member has a list."""


class SignalSend(Request, frozen=True, tag="signal.send"):
    """Tell the members who are connected now; nothing is stored."""

    room: RoomId
    """Which room."""
    body: ClientSignal
    """What to tell."""


class MediaOffer(Request, frozen=True, tag="media.offer"):
    """An SDP offer of this participant's one peer connection; the reply carries the answer."""

    session: SessionId
    """Which session; this connection must be inside."""
    sdp: Annotated[str, Meta(min_length=1, max_length=65536)]
    """The offer, complete, as of ``setLocalDescription``. No candidates are needed."""


class MediaRelays(Request, frozen=True, tag="media.relays"):
    """The TURN servers for a participant whose network lets nothing else through; asked before each offer."""

    session: SessionId
    """Which session; this connection must be inside."""


class MediaLeave(Request, frozen=True, tag="media.leave"):
    """Close this participant's peer connection and stay in the session."""

    session: SessionId
    """Which session."""


# --- Server to client ---------------------------------------------------------------------------------


class Limits(Struct, frozen=True):
    """The limits in force on this connection."""

    frame_bytes: int
    """The largest WebSocket message taken."""
    message_bytes: int
    """The largest ``data`` of ``message.send``."""
    signal_bytes: int
    """The largest body of ``signal.send``."""
    requests_in_flight: int
    """How many requests may wait for their replies."""
    requests_per_second: float
    """The rate of the connection's token bucket."""
    requests_burst: int
    """The size of the connection's token bucket."""
    unacked_events: int
    """How many events are sent ahead of ``ack``."""
    unacked_bytes: int
    """How many bytes of events are sent ahead of ``ack``."""
    ping_ms: int
    """How often the server pings, on average."""


class RoomHead(Struct, frozen=True):
    """Where a room's log stands, for one device."""

    room: RoomId
    """Which room."""
    epoch: Epoch
    """The epoch of the log."""
    head: Offset
    """The offset of the last event."""
    cursor: Offset
    """How far this device has acknowledged."""
    read: Offset
    """How far this account has read."""


class Welcome(Frame, frozen=True, tag="welcome"):
    """The answer to a good ``hello``. Events follow by themselves."""

    connection: str
    """Names this connection in logs and support requests."""
    version: int
    """The protocol version spoken from here on."""
    server_now_ms: Milliseconds
    """The server's time."""
    account: AccountId
    """Who the token says this is."""
    role: Role
    """In which role."""
    limits: Limits
    """The limits in force."""
    rooms: tuple[RoomHead, ...]
    """Every room of the account."""
    keys: KeyInventory | None = None
    """What the server has of this device's keys."""


class Event(Frame, frozen=True, tag="event"):
    """One entry of a room's log. Per room they come in order, without gaps."""

    room: RoomId
    """Which room."""
    epoch: Epoch
    """The epoch of the log."""
    offset: Offset
    """The position in the log."""
    at_ms: Milliseconds
    """When it was stored."""
    body: EventBody
    """What happened."""
    sender: AccountId | None = None
    """Whose connection it came from; none when the server itself wrote it."""
    device: DeviceId | None = None
    """The sender's device."""


class Signal(Frame, frozen=True, tag="signal"):
    """Something short-lived."""

    room: RoomId
    """Which room."""
    body: SignalBody
    """What is told."""
    sender: AccountId | None = None
    """Who told it; none for the server."""


class CaughtUp(Frame, frozen=True, tag="caught_up"):
    """Everything stored before the connection began has been sent; what follows is live."""

    room: RoomId
    """Which room."""
    epoch: Epoch
    """The epoch of the log."""
    offset: Offset
    """The last offset sent."""


class Reset(Frame, frozen=True, tag="reset"):
    """The place to resume from does not exist in this log: the device starts again from ``lowest``."""

    room: RoomId
    """Which room."""
    epoch: Epoch
    """The epoch of the log now."""
    lowest: Offset
    """The lowest offset that is still held; delivery goes on with it."""
    reason: Literal["epoch", "beyond_head", "purged"]
    """The epoch changed; the offset lies beyond the head; events after it were purged."""
    expired: int = 0
    """How many messages below ``lowest`` have expired, ever."""


class Removed(Frame, frozen=True, tag="removed"):
    """The account is no longer a member of a room; nothing of it follows."""

    room: RoomId
    """Which room."""


class Ping(Frame, frozen=True, tag="ping"):
    """Are you there? Carries the heads of the rooms, so that a device notices what it has missed."""

    t_ms: Milliseconds
    """The server's time."""
    heads: dict[RoomId, Offset] = field(default_factory=dict)
    """The head of each room of the account in which something is not yet acknowledged."""


class Goodbye(Frame, frozen=True, tag="goodbye"):
    """A planned close follows."""

    reason: str
    """The name of the close code that follows."""
    reconnect_after_ms: int
    """When to come back; spread, so that not all come at once."""
    to: str | None = None
    """The address of another node to come back to."""


class Sent(Struct, frozen=True, gc=False, tag_field="of", tag="message.send", omit_defaults=True):
    """The message is durable."""

    epoch: Epoch
    """The epoch of the room's log."""
    offset: Offset
    """The message's place in it."""
    at_ms: Milliseconds
    """When it was stored."""
    duplicate: bool = False
    """It had been stored before, by an earlier request with the same ``mid``."""


class Member(Struct, frozen=True):
    """A member of a room."""

    account: AccountId
    """Who."""
    role: Role
    """As what."""
    online: bool = False
    """Whether any device of theirs is connected."""


class Room(Struct, frozen=True, tag_field="of", tag="room.get"):
    """A room as one of its members sees it."""

    room: RoomId
    """Which room."""
    epoch: Epoch
    """The epoch of its log."""
    head: Offset
    """The offset of the last event."""
    lowest: Offset
    """The lowest offset still held; 0 when the log is empty."""
    members: tuple[Member, ...]
    """Everyone in it."""
    expired: int = 0
    """How many messages below ``lowest`` have expired, ever."""


class History(Struct, frozen=True, tag_field="of", tag="room.history"):
    """A page of a log."""

    epoch: Epoch
    """The epoch of the log."""
    head: Offset
    """The offset of the last event."""
    lowest: Offset
    """The lowest offset still held; 0 when the log is empty."""
    events: tuple[Event, ...]
    """Oldest first."""
    expired: int = 0
    """How many messages below ``lowest`` have expired, ever."""


class Answer(Struct, frozen=True, tag_field="of", tag="media.offer"):
    """The answer to an SDP offer."""

    sdp: str
    """For ``setRemoteDescription``. The id of each stream in it is the account that publishes it."""
    generation: int
    """Which life of the session's media this belongs to."""


class Relay(Struct, frozen=True):
    """A TURN server, as ``RTCPeerConnection`` takes it among its ``iceServers``."""

    urls: tuple[str, ...]
    """Its addresses (RFC 7065)."""
    username: str
    """Says when the credential runs out, and nothing of who uses it."""
    credential: str
    """Its password. Good for the time told, and to be kept from logs like a token."""


class Relays(Struct, frozen=True, tag_field="of", tag="media.relays"):
    """The TURN servers of this deployment."""

    relays: tuple[Relay, ...]
    """None if it has none."""
    expires_ms: Milliseconds
    """Until when a new connection to them can be made."""


class Time(Struct, frozen=True, tag_field="of", tag="time.get"):
    """The server's time."""

    server_now_ms: Milliseconds
    """Milliseconds since 1970."""


class Refreshed(Struct, frozen=True, tag_field="of", tag="token.refresh"):
    """The new token is in force."""

    expires_ms: Milliseconds
    """When it runs out."""


Result: TypeAlias = (
    Sent
    | Room
    | History
    | SessionView
    | SessionExtended
    | ScheduleResult
    | Answer
    | Relays
    | Time
    | Refreshed
    | AroundResult
    | KeysResult
    | Push
)


class Ok(Frame, frozen=True, tag="ok"):
    """The request was carried out."""

    id: RequestId
    """The request's id."""
    result: Result | None = None
    """What it gave, with ``of`` saying what kind of result it is."""


class Error(Frame, frozen=True, tag="error"):
    """The request was refused, or the connection is about to be closed when there is no ``id``."""

    code: int
    """Stable; see the table of errors."""
    name: str
    """Stable; see the table of errors."""
    temporary: bool
    """The same request may succeed later."""
    detail: str
    """For people."""
    hint: str
    """What to do about it."""
    id: RequestId | None = None
    """The request's id, where one could be read."""
    retry_after_ms: int | None = None
    """When to try again."""
    mismatch: Mismatch | None = None
    """With ``device_mismatch``: what is needed to make the same again for the devices there are."""


AnyRequest: TypeAlias = (
    TimeGet
    | TokenRefresh
    | RoomGet
    | RoomHistory
    | RoomRead
    | MessageSend
    | SignalSend
    | SessionRequest
    | SessionRate
    | ScheduleRequest
    | MediaOffer
    | MediaRelays
    | MediaLeave
    | AroundRequest
    | KeysRequest
    | PushRequest
)
ClientFrame: TypeAlias = Hello | Pong | Ack | AnyRequest
ServerFrame: TypeAlias = (
    Welcome | Ok | Error | Event | Signal | CaughtUp | Reset | Removed | Ping | Goodbye | KeysChanged
)

"""What is said and forgotten: the bodies of ``signal`` frames.

A signal is never stored. One that waits for a slow reader is replaced by the next of the same room,
sender and ``kind``, and is dropped after ten seconds.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from protocol.around import InboxEntry
from protocol.fields import (
    AccountId,
    DeviceId,
    Epoch,
    Milliseconds,
    Modality,
    Offset,
    SessionId,
    SessionRole,
    SessionState,
)
from protocol.sessions import Proposal, Waiter, Withdrawal


class _Signal(Struct, frozen=True, gc=False, tag_field="kind", omit_defaults=True):
    """Base of all signal bodies: the ``kind`` says which one it is."""


class Typing(_Signal, frozen=True, tag="typing"):
    """A member is writing, or has stopped."""

    active: bool
    """Whether they are writing now."""


class Opaque(_Signal, frozen=True, tag="opaque"):
    """Something the apps agreed on among themselves."""

    data: bytes
    """Opaque to the server; at most the signal limit of ``welcome``."""


class Presence(_Signal, frozen=True, tag="presence"):
    """A member's first device connected, or the last one went."""

    online: bool
    """Whether any device of the account is connected."""


class Read(_Signal, frozen=True, tag="read"):
    """A member has read the log up to an offset. Told to others only by those who choose to."""

    epoch: Epoch
    """The epoch of the log."""
    offset: Offset
    """The last event read."""


class Delivered(_Signal, frozen=True, tag="delivered"):
    """A device of a member has received the log up to an offset. Told by those only who choose to."""

    device: DeviceId
    """Which of the member's devices."""
    epoch: Epoch
    """The epoch of the log."""
    offset: Offset
    """The last event received."""


class InboxChange(_Signal, frozen=True, tag="inbox"):
    """A room of the inbox has changed; sent to connections that have asked for ``inbox.get``."""

    entry: InboxEntry
    """The room as it stands now."""


class Countdown(_Signal, frozen=True, tag="countdown"):
    """Where a session stands, for those inside. Apps count from ``server_now_ms``, not from their own clock.

    It tells everything that can change, so that the latest one is enough.
    """

    session: SessionId
    """Which session."""
    state: SessionState
    """Its state now."""
    modality: Modality
    """Its modality now."""
    server_now_ms: Milliseconds
    """The server's time as it sent this."""
    agreed_end_ms: Milliseconds
    """When the session is to end."""
    cap_ms: Milliseconds
    """When it ends for all, whatever they do."""
    present: tuple[AccountId, ...] = ()
    """Who is in the session now."""
    roles: dict[AccountId, SessionRole] = {}
    """As what each of them takes part."""
    both_ms: Milliseconds = 0
    """How long a therapist and a client have been present together until now, in milliseconds."""
    urgent: bool = False
    """Marked as urgent: it does not end by itself until a therapist clears the mark."""
    proposal: Proposal | None = None
    """A modality that was proposed and is not answered yet."""


class Cue(_Signal, frozen=True, tag="cue"):
    """So much of a session is left. Each comes once."""

    session: SessionId
    """Which session."""
    until: Literal["agreed_end", "cap"]
    """Until which of the two ends it counts."""
    left_ms: Milliseconds
    """How much is left, counted from ``due_ms``, in milliseconds; 0: that end has come."""
    due_ms: Milliseconds
    """When the cue was due."""
    server_now_ms: Milliseconds
    """The server's time as it sent this."""


class WaitingRoom(_Signal, frozen=True, tag="waiting_room"):
    """Who waits to be admitted; for the therapists of the room. A knock is a newcomer who is not silent."""

    session: SessionId
    """Which session."""
    waiting: tuple[Waiter, ...] = ()
    """Everyone who waits, in the order of their coming."""


class Consents(_Signal, frozen=True, tag="consents"):
    """A consent was withdrawn, or given again; for the therapists of the room. The latest one is enough."""

    session: SessionId
    """Which session."""
    withdrawn: tuple[Withdrawal, ...] = ()
    """All that are withdrawn, by account."""


class Admission(_Signal, frozen=True, tag="admission"):
    """What became of someone's wish to come in; for them alone."""

    session: SessionId
    """Which session."""
    status: Literal["admitted", "denied", "sent_back", "out", "over"]
    """Let in; turned away; waits again; has left, or has been taken out; the session is over."""


class Late(_Signal, frozen=True, tag="late"):
    """Someone is running late. It reaches those who wait too, so it does not say who."""

    session: SessionId
    """Which session."""
    role: SessionRole
    """As what they take part."""
    minutes: int
    """How late they will be, from now; 0: they are not late after all."""


class Reoffer(_Signal, frozen=True, tag="reoffer"):
    """The session's media changed: send a new ``media.offer``."""

    session: SessionId
    """Which session."""
    generation: int
    """The generation of the media worker; when it has changed, offer from a new peer connection."""
    reason: Literal["roster", "worker", "modality", "disconnected"]
    """Tracks came or went; the worker was replaced; the modality changed; the path to this client broke."""


SignalBody: TypeAlias = (
    Typing
    | Opaque
    | Presence
    | Read
    | Delivered
    | InboxChange
    | Countdown
    | Cue
    | WaitingRoom
    | Consents
    | Admission
    | Late
    | Reoffer
)
ClientSignal: TypeAlias = Typing | Opaque
"""The signals a client may send itself."""

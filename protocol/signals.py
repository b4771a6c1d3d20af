"""What is said and forgotten: the bodies of ``signal`` frames.

A signal is never stored. One that waits for a slow reader is replaced by the next of the same room,
sender and ``kind``, and is dropped after ten seconds.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from protocol.around import InboxEntry
from protocol.fields import AccountId, Epoch, Milliseconds, Modality, Offset, SessionId, SessionState


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


class InboxChange(_Signal, frozen=True, tag="inbox"):
    """A room of the inbox has changed; sent to connections that have asked for ``inbox.get``."""

    entry: InboxEntry
    """The room as it stands now."""


class Countdown(_Signal, frozen=True, tag="countdown"):
    """Where a session's clock stands. Apps count down from ``server_now_ms``, not from their own clock."""

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


class Reoffer(_Signal, frozen=True, tag="reoffer"):
    """The session's media changed: send a new ``media.offer``."""

    session: SessionId
    """Which session."""
    generation: int
    """The generation of the media worker; when it has changed, offer from a new peer connection."""
    reason: Literal["roster", "worker", "modality", "disconnected"]
    """Tracks came or went; the worker was replaced; the modality changed; the path to this client broke."""


SignalBody: TypeAlias = Typing | Opaque | Presence | Read | InboxChange | Countdown | Reoffer
ClientSignal: TypeAlias = Typing | Opaque
"""The signals a client may send itself."""

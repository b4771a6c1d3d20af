"""The terms that a session is held under, and who sets them: deployment, room, session; the nearest wins.

They are settled when a session is scheduled and stay with it: what is changed later, for the room or the
deployment, holds for the sessions that are scheduled after that.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from protocol.fields import SessionRole
from protocol.sessions import ConsentTerm

WaitingRoomFor: TypeAlias = Literal["everyone", "guests", "nobody"]
"""Whom the waiting room is for: all but therapists, all but therapists and clients, or nobody."""

CuesTo: TypeAlias = Literal["therapists", "everyone", "nobody"]
"""Who is told how much of a session is left."""

MAX_CONSENTS = 8
MAX_CUES = 16

Span: TypeAlias = Annotated[int, Meta(ge=0, le=86_400_000)]
"""In milliseconds; at most a day."""


class Terms(Struct, frozen=True):
    """What holds for one session. Spans are in milliseconds."""

    join_window_ms: int
    """How long before its start it can be joined."""
    grace_ms: int
    """Absence of this length or longer is leaving."""
    overrun_ms: int
    """How long after the agreed end it ends for all; 0: at the agreed end."""
    capacity: int
    """How many people may be in it."""
    waiting_room: WaitingRoomFor
    cues_to: CuesTo
    cues_ms: tuple[int, ...]
    """How long before the agreed end there is a cue."""
    cap_cues_ms: tuple[int, ...]
    """How long before the cap there is a cue, once the agreed end has passed."""
    consents: tuple[ConsentTerm, ...] = ()
    """What those who are not therapists have to consent to."""

    def waits(self, role: SessionRole) -> bool:
        """Whether someone in this role has to be admitted."""
        match self.waiting_room:
            case "nobody":
                return False
            case "guests":
                return role not in {"therapist", "client"}
            case _:
                return role != "therapist"

    def with_wishes(self, wishes: Wishes) -> Terms:
        """These terms where nothing else is wished for."""
        wished = msgspec.structs.asdict(wishes)
        given = {name: value for name, value in wished.items() if value is not None}
        if given.pop("hard_end", False):
            given["overrun_ms"] = 0
        return msgspec.structs.replace(self, **given)


class Wishes(Struct, frozen=True, omit_defaults=True):
    """The terms that a room or a session sets itself; None leaves them as they are."""

    join_window_ms: Span | None = None
    grace_ms: Span | None = None
    overrun_ms: Span | None = None
    hard_end: bool | None = None
    """True: the session ends at the agreed end, whatever overrun is allowed elsewhere."""
    waiting_room: WaitingRoomFor | None = None
    cues_to: CuesTo | None = None
    cues_ms: Annotated[tuple[Span, ...], Meta(max_length=MAX_CUES)] | None = None
    cap_cues_ms: Annotated[tuple[Span, ...], Meta(max_length=MAX_CUES)] | None = None
    consents: Annotated[tuple[ConsentTerm, ...], Meta(max_length=MAX_CONSENTS)] | None = None


NO_WISHES = Wishes()


def encode_wishes(wishes: Wishes) -> bytes:
    """As the store keeps them with a room; nothing at all where nothing is wished for."""
    return b"" if wishes == NO_WISHES else msgspec.msgpack.encode(wishes)


def decode_wishes(body: bytes) -> Wishes:
    """The inverse of :func:`encode_wishes`; :exc:`msgspec.MsgspecError` if it was not written by it."""
    return msgspec.msgpack.decode(body, type=Wishes) if body else NO_WISHES

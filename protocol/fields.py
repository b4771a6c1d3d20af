"""Field types that frames, events and signals share, with their units and bounds."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from msgspec import Meta

MAX_SAFE_INTEGER = (1 << 53) - 1
"""The largest integer that a JavaScript number holds exactly."""

RequestId: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SAFE_INTEGER)]
"""Chosen by the client, repeated by the reply."""

AccountId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
"""The platform's opaque id of a person."""

DeviceId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
"""One installation of a client app, unique within its account."""

RoomId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
SessionId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]

Offset: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SAFE_INTEGER)]
"""Position in a room's log: the first event has 1, there are no gaps; 0 is before the first."""

Epoch: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SAFE_INTEGER)]
"""Which life of the log an offset belongs to; goes up when a store is restored from a backup."""

Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SAFE_INTEGER)]
"""An instant in milliseconds since 1970-01-01T00:00:00Z, or a span in milliseconds where the name says so."""

MessageId: TypeAlias = UUID
"""A UUIDv7 (RFC 9562, 5.7) made by the sending device, once for each durable request."""

Role: TypeAlias = Literal["therapist", "client", "guest", "operator"]
SessionRole: TypeAlias = Literal["therapist", "client", "guest", "interpreter", "observer"]
"""As what someone takes part in a session."""

Place: TypeAlias = Literal["outside", "waiting", "inside"]
"""Where an account is, seen from a session: not in it, in its waiting room, or admitted."""

Modality: TypeAlias = Literal["video", "audio", "chat"]
SessionState: TypeAlias = Literal["scheduled", "open", "live", "overrun", "ended", "cancelled", "no_show"]
EndReason: TypeAlias = Literal["completed", "cap", "left", "no_show", "cancelled", "operator"]

"""Doorbells: how a device that is away is told that something waits, and nothing else."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from protocol.base import Request

Endpoint: TypeAlias = Annotated[str, Meta(min_length=9, max_length=1024)]


class PushGet(Request, frozen=True, tag="push.get"):
    """How is this device told, and with which key does the server prove itself to push services?"""


class PushSet(Request, frozen=True, tag="push.set"):
    """Have this device told while it is away; replaces what it had. Repeat it whenever the app starts."""

    endpoint: Endpoint | None = None
    """The ``endpoint`` of a Web Push subscription (RFC 8030); without it the platform's back end tells it."""


class PushClear(Request, frozen=True, tag="push.clear"):
    """Do not tell this device any more."""


PushRequest: TypeAlias = PushGet | PushSet | PushClear


class Push(Struct, frozen=True, tag_field="of", tag="push", omit_defaults=True):
    """How a device is told."""

    key: str
    """The ``applicationServerKey`` to subscribe with: base64url of the public key (RFC 8292)."""
    by: Literal["web", "platform"] | None = None
    """By a push service, or by the platform's back end; left out if it is not told."""

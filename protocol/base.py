"""What every frame is, and every request."""

from __future__ import annotations

from msgspec import Struct

from protocol.fields import RequestId


class Frame(Struct, frozen=True, gc=False, tag_field="op", omit_defaults=True):
    """Base of every frame: ``op`` says which one it is.

    Values of the protocol never form cycles, so none of them is tracked by the garbage collector.
    """


class Request(Frame, frozen=True):
    """Base of the frames that are answered by ``ok`` or ``error``."""

    id: RequestId
    """Repeated by the reply; unique among the requests in flight."""

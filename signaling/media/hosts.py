"""Asking the host of a session's media, which is this node or another.

A question that is not answered in time can be asked again: nothing that a host is asked for does harm when it
is done twice, late, or in another order.
"""

from __future__ import annotations

from typing import Final, Protocol

from relay.bus.calls import MAX_PATIENCE_SECONDS, NoReply
from signaling.media.messages import (
    UNAVAILABLE,
    Reply,
    Request,
    Unknown,
    decode_reply,
    decode_request,
    encode,
)
from signaling.media.ports import Calls, Members

REACH_SECONDS: Final = 2.0
"""How long a request and its reply may be on their way, besides what the host needs."""


class Host(Protocol):
    """This node, as a host."""

    async def handle(self, request: Request) -> Reply:
        """What a host does about a request."""


class Hosts:
    """The nodes as hosts of media."""

    def __init__(self, members: Members, calls: Calls, worker_seconds: float) -> None:
        """``worker_seconds`` is how long a host waits for its workers."""
        self._members = members
        self._calls = calls
        self._timeout = min(worker_seconds + REACH_SECONDS, MAX_PATIENCE_SECONDS)
        self._here: Host | None = None

    def serve(self, here: Host) -> None:
        """Have this node answer, itself and others."""
        self._here = here
        self._calls.serve(self._asked)

    async def ask(self, node: str, request: Request) -> Reply:
        """The reply of a host; one that does not answer, or does not live, is unavailable."""
        if node == self._members.name:
            return await self._handled(request)
        if all(other.name != node for other in self._members.alive()):
            return UNAVAILABLE
        try:
            return decode_reply(await self._calls.ask(node, encode(request), self._timeout))
        except NoReply:
            return UNAVAILABLE

    async def _asked(self, asker: str, data: bytes) -> bytes:
        request = decode_request(data)
        return encode(Unknown() if request is None else await self._handled(request))

    async def _handled(self, request: Request) -> Reply:
        return UNAVAILABLE if self._here is None else await self._here.handle(request)

"""What media needs of others: the sessions, the nodes around, a way to ask them, someone to tell people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Protocol

from protocol.signals import SignalBody
from signaling.caller import Caller
from signaling.sessions.session import Session


class Calls(Protocol):
    """Requests between nodes: :class:`relay.bus.calls.Calls`. They may come late and out of order."""

    async def ask(self, node: str, request: bytes, timeout: float) -> bytes:
        """The reply of another node within so many seconds. Raises :exc:`relay.bus.calls.NoReply`."""

    def serve(self, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        """Have what other nodes ask carried out, given who asks and what."""


class Neighbour(Protocol):
    """A node as the others see it."""

    @property
    def name(self) -> str:
        """Its own alone: no node before or after has the same."""

    @property
    def region(self) -> str:
        """Where it is, as its operator calls it."""

    @property
    def participants(self) -> int:
        """How many its workers carried lately."""

    @property
    def draining(self) -> bool:
        """Whether it takes nothing new."""


class Members(Protocol):
    """The nodes that share the store, as far as this one can see."""

    @property
    def name(self) -> str:
        """This node."""

    @property
    def acting(self) -> bool:
        """Whether the others still count on this node."""

    def alive(self) -> Collection[Neighbour]:
        """The nodes that live, with this one."""


class JoinedSessions(Protocol):
    """The sessions, as far as media needs them."""

    async def joined(self, caller: Caller, session_id: str) -> Session:
        """The session, if the caller's connection is in it."""

    async def find(self, session_id: str) -> Session:
        """A session."""

    async def rehost(self, session_id: str, host: str, generation: int) -> Session:
        """Begin a life of a session's media on a node, if it is the next after ``generation``."""

    def running(self) -> AsyncIterator[tuple[Session, ...]]:
        """The sessions in which somebody can be, page by page."""


class ConnectionSignals(Protocol):
    """Who tells a single connection something short-lived."""

    def signal_connection(self, connection: str, room: str, body: SignalBody) -> None:
        """Tell one connection."""

"""One connection as a state machine without I/O: what may be said now, and what follows from it.

    awaiting hello --hello--> verifying --welcome()--> open --> closed
                 \\___________________\\_____ refused, too late, not a frame, revoked ... ____/

Bytes and the time come in, one effect comes out. Exactly one reply belongs to each request: this side counts
them by id, and the shell calls :meth:`Connection.finish` as it sends one. Sockets, tokens, rooms and the
carrying out of requests are the shell's; how events are sent ahead is decided in :mod:`relay.delivery`.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from msgspec import Struct

from config.settings import LimitSettings
from protocol import errors
from protocol.codec import Decoder
from protocol.errors import CloseCode, ProtocolError
from protocol.frames import Ack, AnyRequest, ClientFrame, Hello, MessageSend, Pong, SignalSend
from protocol.signals import Opaque
from relay.token_bucket import TokenBucket
from signaling.door.limits import RECEIPT_COST, REQUEST_COST, Allowance

PING_JITTER = 0.2
"""A ping comes this part of its interval earlier or later, so that those of many connections spread."""


class State(Enum):
    """Where the conversation stands."""

    AWAITING_HELLO = "awaiting hello"
    VERIFYING = "verifying"
    OPEN = "open"
    CLOSED = "closed"


class Verify(Struct, frozen=True, gc=False):
    """A ``hello`` came: find out who it is, then call ``welcome`` or ``close``."""

    hello: Hello


class Perform(Struct, frozen=True, gc=False):
    """Carry out the request, and call ``finish`` when its reply is sent."""

    request: AnyRequest


class Acknowledge(Struct, frozen=True, gc=False):
    """The device has persisted a room's log up to an offset."""

    ack: Ack


class Refuse(Struct, frozen=True, gc=False):
    """Send this error as the reply to a request that is not carried out."""

    request_id: int
    error: ProtocolError


class Probe(Struct, frozen=True, gc=False):
    """Send a ``ping``."""


class Close(Struct, frozen=True, gc=False):
    """Send the error, if any, as a frame without ``id``, and close with the code."""

    code: CloseCode
    error: ProtocolError | None = None


Effect: TypeAlias = Verify | Perform | Acknowledge | Refuse | Probe | Close

_PROBE = Probe()


class Connection:
    """The rules of one connection. All times are seconds of one monotonic clock."""

    __slots__ = (
        "_allowance",
        "_decode",
        "_expires",
        "_in_flight",
        "_limits",
        "_ping_at",
        "_pong_due",
        "_state",
    )

    def __init__(self, decoder: Decoder[ClientFrame], limits: LimitSettings, now: float) -> None:
        self._decode = decoder.decode
        self._limits = limits
        self._state = State.AWAITING_HELLO
        self._allowance = Allowance(limits.requests_per_second, limits.requests_burst, now)
        self._in_flight: set[int] = set()
        self._expires = now + limits.hello_seconds
        self._ping_at: float | None = None
        self._pong_due: float | None = None

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        return self._state

    @property
    def in_flight(self) -> int:
        """How many requests wait for their replies."""
        return len(self._in_flight)

    def receive(self, data: bytes | str, now: float) -> Effect | None:
        """One WebSocket message came in: what follows, None for nothing. Raises nothing."""
        if self._state is State.CLOSED:
            return None
        try:
            frame = self._decode(data)
        except ProtocolError as error:
            return self._not_valid(error, now)
        if self._state is not State.OPEN:
            return self._before_welcome(frame)
        if isinstance(frame, Ack):
            return self._receipt(now) or Acknowledge(frame)
        if isinstance(frame, Pong):
            self._pong_due = None
            return self._receipt(now)
        if isinstance(frame, Hello):
            return self.close(errors.NOT_A_FRAME, ProtocolError(errors.OUT_OF_ORDER, "`hello` came twice"))
        return self._request(frame, now)

    def control(self, now: float) -> Close | None:
        """A WebSocket ping came in, which is answered below this protocol: only its rate is looked at."""
        return self._receipt(now)

    def welcome(self, expires: float, account: TokenBucket, now: float, jitter: float) -> None:
        """The ``hello`` was good: requests are taken from here on, until the token ``expires``.

        ``account`` is shared by all connections of the account; ``jitter`` is random in [0, 1).
        """
        self._state = State.OPEN
        self._allowance.share(account)
        self._expires = expires
        self._plan_ping(now, jitter)

    def refresh(self, expires: float) -> None:
        """A fresh token is in force, and runs out at ``expires``."""
        self._expires = expires

    def finish(self, request_id: int) -> None:
        """The reply to a request is being sent: its id is free again."""
        self._in_flight.discard(request_id)

    def close(self, code: CloseCode, error: ProtocolError | None = None) -> Close | None:
        """End the conversation from this side; None if it has ended already."""
        if self._state is State.CLOSED:
            return None
        self._state = State.CLOSED
        return Close(code, error)

    @property
    def deadline(self) -> float:
        """When :meth:`timeout` wants to be called next; infinite once closed."""
        if self._state is State.CLOSED:
            return float("inf")
        return min(t for t in (self._expires, self._ping_at, self._pong_due) if t is not None)

    def timeout(self, now: float, jitter: float) -> Effect | None:
        """The time is ``now``: what is due, one effect at a time. ``jitter`` is random in [0, 1)."""
        if self._state is State.CLOSED:
            return None
        if now >= self._expires:
            return self._expire()
        if self._pong_due is not None and now >= self._pong_due:
            return self.close(errors.NO_PONG)
        if self._ping_at is not None and now >= self._ping_at:
            self._plan_ping(now, jitter)
            if self._pong_due is None:
                self._pong_due = now + self._limits.pong_seconds
            return _PROBE
        return None

    def _expire(self) -> Close | None:
        if self._state is State.OPEN:
            return self.close(errors.EXPIRED, ProtocolError(errors.TOKEN_EXPIRED))
        return self.close(errors.NO_HELLO, ProtocolError(errors.OUT_OF_ORDER, "no `hello` came in time"))

    def _plan_ping(self, now: float, jitter: float) -> None:
        self._ping_at = now + self._limits.ping_seconds * (1 - PING_JITTER + 2 * PING_JITTER * jitter)

    def _before_welcome(self, frame: ClientFrame) -> Effect | None:
        if isinstance(frame, Hello) and self._state is State.AWAITING_HELLO:
            self._state = State.VERIFYING
            return Verify(frame)
        return self.close(errors.NO_HELLO, ProtocolError(errors.OUT_OF_ORDER, "`hello` comes first, once"))

    def _not_valid(self, error: ProtocolError, now: float) -> Effect | None:
        if error.request_id is None or self._state is not State.OPEN:
            return self.close(errors.NOT_A_FRAME, error)
        refused = self._refused_for_rate(error.request_id, now)
        return refused or Refuse(error.request_id, error)

    def _receipt(self, now: float) -> Close | None:
        """Receipts beyond the rate are still taken: losing one would hold up what waits for it."""
        if self._allowance.take(RECEIPT_COST, now) or self._allowance.bear(RECEIPT_COST, now):
            return None
        return self.close(errors.RATE, ProtocolError(errors.RATE_LIMITED))

    def _request(self, request: AnyRequest, now: float) -> Effect | None:
        refused = self._refused_for_rate(request.id, now)
        if refused is not None:
            return refused
        if request.id in self._in_flight:
            return Refuse(request.id, ProtocolError(errors.ID_IN_USE))
        if len(self._in_flight) >= self._limits.requests_in_flight:
            return Refuse(request.id, ProtocolError(errors.TOO_MANY_IN_FLIGHT))
        if (excess := self._too_large(request)) is not None:
            return Refuse(request.id, excess)
        self._in_flight.add(request.id)
        return Perform(request)

    def _refused_for_rate(self, request_id: int, now: float) -> Effect | None:
        allowance = self._allowance
        if allowance.take(REQUEST_COST, now):
            return None
        wait_ms = int(allowance.wait(REQUEST_COST) * 1000) + 1
        error = ProtocolError(errors.RATE_LIMITED, retry_after_ms=wait_ms)
        if allowance.bear(REQUEST_COST, now):
            return Refuse(request_id, error)
        return self.close(errors.RATE, error)

    def _too_large(self, request: AnyRequest) -> ProtocolError | None:
        if isinstance(request, MessageSend):
            size, limit, what = len(request.data), self._limits.message_bytes, "message"
        elif isinstance(request, SignalSend) and isinstance(request.body, Opaque):
            size, limit, what = len(request.body.data), self._limits.signal_bytes, "signal"
        else:
            return None
        if size <= limit:
            return None
        return ProtocolError(errors.TOO_LARGE, f"the {what} has {size} bytes, {limit} are allowed")

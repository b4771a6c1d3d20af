"""What all connections of a node share."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import LimitSettings
from protocol.codec import Decoder, Subprotocol, client_decoder
from protocol.frames import ClientFrame, Limits
from relay.store import Store
from signaling.access import Access
from signaling.dispatch import Dispatcher
from signaling.door.acks import Acks
from signaling.door.hub import Hub
from signaling.door.timers import Timers
from signaling.door.writer import Turn
from signaling.timebase import Timebase


@dataclass(frozen=True, slots=True)
class Shared:
    """The parts of a node that a connection works with."""

    limits: LimitSettings
    store: Store
    hub: Hub
    access: Access
    dispatcher: Dispatcher
    timebase: Timebase
    acks: Acks
    timers: Timers = field(default_factory=Timers)
    turn: Turn = field(default_factory=Turn)

    def decoder(self, subprotocol: Subprotocol) -> Decoder[ClientFrame]:
        """The decoder of what clients send in ``subprotocol``."""
        return client_decoder(subprotocol, self.limits.frame_bytes)


def announced(limits: LimitSettings) -> Limits:
    """The limits that a client has to know."""
    return Limits(
        frame_bytes=limits.frame_bytes,
        message_bytes=limits.message_bytes,
        signal_bytes=limits.signal_bytes,
        requests_in_flight=limits.requests_in_flight,
        requests_per_second=limits.requests_per_second,
        requests_burst=limits.requests_burst,
        unacked_events=limits.unacked_events,
        unacked_bytes=limits.unacked_bytes,
        ping_ms=round(limits.ping_seconds * 1000),
    )

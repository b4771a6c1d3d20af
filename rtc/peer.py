"""One participant's connection: ICE, DTLS and SRTP in their order, and the feedback that it is sent.

A peer knows nothing of sessions. What arrives for it is taken apart in `rtc.engine`; the media it carries is
handled in `rtc.forward`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from rtc import rtcp
from rtc.address import Address
from rtc.counters import Counters, Drop
from rtc.dtls import DtlsEndpoint, DtlsState
from rtc.ice import IceAgent
from rtc.slots import SLOT_BYTES, Outbox
from rtc.srtp import SrtpContext

if TYPE_CHECKING:
    from rtc.forward import Stream, Subscription, Track

MAX_SOURCES: Final = 32
"SSRCs that one peer may send; packets of further ones are dropped."

REPORT_SECONDS: Final = 1.0
"Between receiver reports. Browsers adapt their bitrate to them."


@dataclass(frozen=True, slots=True)
class PeerId:
    """Whose connection it is."""

    session: str
    participant: str


FindTrack: TypeAlias = "Callable[[int, memoryview], Track | None]"
"The track of a source, given its first packet."


class Told(Enum):
    """What signaling was told about a connection last."""

    NOTHING = "nothing"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class Peer:
    """See the module."""

    __slots__ = (
        "counters",
        "dtls",
        "find_track",
        "ice",
        "id",
        "inbound",
        "outbound",
        "outbox",
        "reported_at",
        "ssrc",
        "streams",
        "subscriptions",
        "target",
        "told",
        "unclaimed",
    )

    def __init__(
        self,
        peer_id: PeerId,
        ice: IceAgent,
        dtls: DtlsEndpoint,
        *,
        ssrc: int,
        outbox: Outbox,
        counters: Counters,
        find_track: FindTrack,
    ) -> None:
        self.id = peer_id
        self.ice = ice
        self.dtls = dtls
        self.ssrc = ssrc
        "The server's own source in feedback to this peer."
        self.outbox = outbox
        self.counters = counters
        self.target: Address | None = None
        "Where to send, None while that is not allowed."
        self.inbound: SrtpContext | None = None
        self.outbound: SrtpContext | None = None
        self.find_track = find_track
        self.streams: dict[int, Stream] = {}  # with `unclaimed`, full at MAX_SOURCES: more are dropped
        "What the peer sends, by SSRC."
        self.unclaimed: set[int] = set()
        "Sources that belong to no track."
        self.subscriptions: dict[int, Subscription] = {}
        "What the peer is sent, by SSRC."
        self.reported_at = 0.0
        self.told: Told = Told.NOTHING

    @property
    def is_connected(self) -> bool:
        """Whether media can flow in both directions."""
        return self.target is not None and self.dtls.state is DtlsState.CONNECTED

    def may_hear(self, ssrc: int) -> bool:
        """Whether a source that has no stream yet may have one."""
        return ssrc in self.unclaimed or len(self.streams) + len(self.unclaimed) < MAX_SOURCES

    def keep_streams(self, keep: Callable[[Stream], bool]) -> None:
        """Forget the sources for which `keep` says no."""
        for stream in [stream for stream in self.streams.values() if not keep(stream)]:
            del self.streams[stream.ssrc]
            if self.inbound is not None:
                self.inbound.forget(stream.ssrc)

    def receive_dtls(self, datagram: bytes, source: Address) -> None:
        """Take a DTLS datagram from an address that has proved itself, and answer it."""
        for answer in self.dtls.receive(datagram):
            self.outbox.push(answer, source)
        if self.outbound is None and self.dtls.keys is not None:
            keys = self.dtls.keys
            self.inbound = SrtpContext(keys.profile, keys.receive, inbound=True)
            self.outbound = SrtpContext(keys.profile, keys.send, inbound=False)

    def send_rtcp(self, compound: bytes) -> None:
        """Encrypt and queue feedback; nothing happens while the peer cannot be sent to."""
        if self.target is None or self.outbound is None:
            return
        slots = self.outbox.slots
        slot = self.outbox.claim()
        start = slot * SLOT_BYTES
        slots.view[start : start + len(compound)] = compound
        size = self.outbound.protect_rtcp(slots.pointers[slot], len(compound))
        if size < 0:
            self.counters.dropped[Drop.INDEX_USED] += 1
            return
        self.outbox.commit(size, self.target)

    def tick(self, now: float) -> None:
        """Do what is due: handshake retransmissions and receiver reports."""
        timeout = self.dtls.timeout()
        if timeout is not None and timeout <= 0 and self.target is not None:
            for datagram in self.dtls.handle_timer():
                self.outbox.push(datagram, self.target)
        if now - self.reported_at >= REPORT_SECONDS:
            self.reported_at = now
            self._report(now)

    def is_over(self) -> bool:
        """Whether the connection has failed or was closed by the peer: only a new offer can help."""
        return self.dtls.state in (DtlsState.FAILED, DtlsState.CLOSED)

    def close(self) -> None:
        """Say goodbye, so that the other side need not wait for a timeout."""
        datagrams = self.dtls.close()
        if self.target is not None:
            for datagram in datagrams:
                self.outbox.push(datagram, self.target)

    def _report(self, now: float) -> None:
        blocks = [stream.reception.report(now) for stream in self.streams.values()]
        if blocks:
            report = rtcp.receiver_report(self.ssrc, blocks[: rtcp.MAX_REPORTS])
            self.send_rtcp(report + rtcp.source_description(self.ssrc, "rapport"))

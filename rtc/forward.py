"""Tracks, who is subscribed to them, and the way of a packet from one to the others.

Packets are forwarded as they come: no jitter buffer, no decoding, and payloads are never looked at. A packet
lost on the way from the publisher is missed by the subscriber, whose NACK is handed on to the publisher; the
repeated packet then takes the same way under the number that is still free. A packet lost on the way to the
subscriber is sent again from the subscription's history. Both work without RTX, which is not negotiated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rtc import rtcp
from rtc.codecs import CLOCK_RATE, Codec, MediaKind, map_payload_types
from rtc.counters import Drop
from rtc.extensions import ExtensionMap
from rtc.history import History
from rtc.peer import Peer
from rtc.reception import Reception
from rtc.rtp import EXTENSION_BIT, HEADER, HEADER_BYTES, MARKER, U32
from rtc.slots import SLOT_BYTES, Slots
from rtc.splice import Splicer

KEYFRAME_INTERVAL_SECONDS: Final = 0.5
"Between key frame requests to one publisher, however many subscribers ask."


@dataclass(frozen=True, slots=True)
class TrackId:
    """A track, named by its publisher and its media section there: it outlives connections."""

    participant: str
    mid: str


class Track:
    """What one participant publishes in one media section."""

    def __init__(self, track_id: TrackId, kind: MediaKind) -> None:
        self.id = track_id
        self.kind = kind
        self.codecs: tuple[Codec, ...] = ()
        self.extensions: Mapping[int, str] = {}
        self.publisher: Peer | None = None
        self.ssrc: int | None = None
        "The source that was heard last."
        self.subscriptions: tuple[Subscription, ...] = ()
        "Those that packets go to; empty while the session's modality excludes the track."
        self._keyframe_wanted = False
        self._keyframe_asked_at = float("-inf")
        self._fir_sequence = 0

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a key frame, at once or when the interval since the last request is over."""
        # A source that was not heard yet begins with a key frame anyway.
        if self.kind is MediaKind.VIDEO and self.ssrc is not None:
            self._keyframe_wanted = True
            self.tick(now)

    def tick(self, now: float) -> None:
        """Send the key frame request that waits, if it is due."""
        if not self._keyframe_wanted or now - self._keyframe_asked_at < KEYFRAME_INTERVAL_SECONDS:
            return
        if self.publisher is None or self.ssrc is None:
            return
        self._keyframe_wanted = False
        self._keyframe_asked_at = now
        self.publisher.send_rtcp(self._feedback_head() + self._keyframe_request(self.ssrc))

    def request_packets(self, lost: list[int]) -> None:
        """Ask the publisher to repeat packets of the current source; numbers are the publisher's."""
        if self.publisher is not None and self.ssrc is not None:
            request = rtcp.nack(self.publisher.ssrc, self.ssrc, lost)
            self.publisher.send_rtcp(self._feedback_head() + request)

    def _feedback_head(self) -> bytes:
        # RFC 3550, section 6.1: a compound packet begins with a report.
        assert self.publisher is not None
        return rtcp.receiver_report(self.publisher.ssrc, ())

    def _keyframe_request(self, ssrc: int) -> bytes:
        assert self.publisher is not None
        if any("nack pli" in codec.feedback for codec in self.codecs):
            return rtcp.picture_loss(self.publisher.ssrc, ssrc)
        self._fir_sequence += 1
        return rtcp.full_intra_request(self.publisher.ssrc, ssrc, self._fir_sequence)


class Stream:
    """One source (SSRC) of a track, as it comes from the publisher."""

    __slots__ = ("reception", "ssrc", "track")

    def __init__(self, ssrc: int, track: Track, sequence: int) -> None:
        self.ssrc = ssrc
        self.track = track
        self.reception = Reception(ssrc, CLOCK_RATE[track.kind], sequence)

    def forward(self, slots: Slots, slot: int, length: int, now: float) -> None:
        """Hand a decrypted RTP packet of this source to everyone who is to have it."""
        start = slot * SLOT_BYTES
        header = HEADER.unpack_from(slots.view, start)
        self.reception.receive(header[2], header[3], now)
        self.track.ssrc = self.ssrc
        packet = slots.view[start : start + length]
        for subscription in self.track.subscriptions:
            subscription.send(packet, header, now)

    def forward_report(self, report: rtcp.SenderReport, now: float) -> None:
        """Hand on how timestamps and time relate, so that sound and picture stay together."""
        self.reception.sender_report(report.ntp, now)
        for subscription in self.track.subscriptions:
            subscription.send_report(report)


class Subscription:
    """A media section in which one participant receives: always the same SSRC, whatever track it carries."""

    __slots__ = (
        "_extensions",
        "_history",
        "_payload_types",
        "_peer",
        "_splicer",
        "_track",
        "kind",
        "octets",
        "packets",
        "ssrc",
        "track_id",
    )

    def __init__(self, peer: Peer, kind: MediaKind, *, ssrc: int, sequence: int, timestamp: int) -> None:
        self.kind = kind
        self.ssrc = ssrc
        self.track_id: TrackId | None = None
        "What the last answer promised here, whether or not it exists at the moment."
        self.packets = 0
        self.octets = 0
        self._peer = peer
        self._track: Track | None = None
        self._splicer = Splicer(CLOCK_RATE[kind], sequence, timestamp)
        self._history = History() if kind is MediaKind.VIDEO else None
        self._payload_types: dict[int, int] = {}
        self._extensions = ExtensionMap({}, {})

    def attach(self, track: Track, codecs: tuple[Codec, ...], extensions: Mapping[int, str]) -> bool:
        """Carry `track`, under the codecs and extensions of the receiving section; whether it is new here."""
        self._payload_types = map_payload_types(track.codecs, codecs)
        self._extensions = ExtensionMap(track.extensions, extensions)
        if self._track is track:
            return False
        self.detach()
        self._track = track
        return True

    def detach(self) -> None:
        """Carry nothing for now."""
        self._track = None
        self._splicer.detach()

    def send(self, packet: memoryview, header: tuple[int, int, int, int, int], now: float) -> None:
        """Copy, renumber, encrypt and queue an RTP packet of the track."""
        peer = self._peer
        target, outbound = peer.target, peer.outbound
        if target is None or outbound is None:
            return
        first, second, sequence, timestamp, ssrc = header
        payload_type = self._payload_types.get(second & 0x7F)
        if payload_type is None:
            peer.counters.dropped[Drop.NO_PAYLOAD_TYPE] += 1
            return
        numbers = self._splicer.map(ssrc, sequence, timestamp, now)
        if numbers is None:
            peer.counters.dropped[Drop.BEFORE_SPLICE] += 1
            return
        length = len(packet)
        outbox = peer.outbox
        slot = outbox.claim()
        slots = outbox.slots
        start = slot * SLOT_BYTES
        slots.view[start : start + length] = packet
        HEADER.pack_into(slots.view, start, first, second & MARKER | payload_type, *numbers, self.ssrc)
        if (
            first & EXTENSION_BIT
            and not self._extensions.is_identity
            and not self._extensions.rewrite(slots.view[start : start + length])
        ):
            peer.counters.dropped[Drop.RTP_MALFORMED] += 1
            return
        size = outbound.protect(slots.pointers[slot], length)
        if size < 0:
            peer.counters.dropped[Drop.INDEX_USED] += 1
            return
        if self._history is not None:
            self._history.remember(numbers[0], slots.bytes_of[start : start + size])
        outbox.commit(size, target)
        self.packets += 1
        self.octets += length - HEADER_BYTES

    def send_report(self, report: rtcp.SenderReport) -> None:
        """Send the publisher's report with the numbers that this subscriber knows."""
        if report.ssrc != self._splicer.source or self._track is None:
            return
        timestamp = (report.timestamp + self._splicer.timestamp_offset) & U32
        translated = rtcp.SenderReport(
            self.ssrc, report.ntp, timestamp, self.packets & U32, self.octets & U32
        )
        description = rtcp.source_description(self.ssrc, self._track.id.participant)
        self._peer.send_rtcp(rtcp.sender_report(translated) + description)

    def receive_nack(self, lost: tuple[int, ...], now: float) -> None:
        """Send again what was sent before; ask the publisher for the rest."""
        target = self._peer.target
        if self._history is None or target is None:
            return
        missing = []
        for sequence in lost:
            packet = self._history.recall(sequence, now)
            if packet:
                self._peer.outbox.push(packet, target)
            elif packet is None:
                missing.append(self._splicer.source_sequence(sequence))
        if missing and self._track is not None and self._track.ssrc == self._splicer.source:
            self._track.request_packets(missing)

    def receive_keyframe_request(self, now: float) -> None:
        """Pass a PLI or FIR on."""
        if self._track is not None:
            self._track.request_keyframe(now)

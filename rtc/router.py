"""The way of a datagram: what it is, whose it is, and what becomes of it.

A datagram from an address that has not proved itself costs one look-up, and a second one for its user
fragment when it is a connectivity check; nothing is kept of it and nothing is answered unless its credentials
are right. From an address that has, what is malformed is counted and dropped.
"""

from typing import Final, assert_never

from rtc import stun
from rtc.address import Address
from rtc.counters import Counters, Drop
from rtc.demux import KIND_BY_FIRST_BYTE, RTCP_TYPES, Kind
from rtc.forward import Stream
from rtc.peer import Peer
from rtc.rtcp import KeyframeRequest, Nack, RtcpError, SenderReport, parse_compound
from rtc.rtp import HEADER_BYTES, SEQUENCE_AND_SSRC
from rtc.slots import MAX_DATAGRAM_BYTES, SLOT_BYTES, Outbox, Slots
from rtc.srtp import REPLAY_FAIL, REPLAY_OLD, SrtpContext

_REFUSALS: Final = {-REPLAY_FAIL: Drop.SRTP_REPLAYED, -REPLAY_OLD: Drop.SRTP_REPLAYED}


class Router:
    """Finds the peer of every datagram. `touched` collects peers whose connection may have changed."""

    def __init__(self, inbox: Slots, outbox: Outbox, counters: Counters) -> None:
        self.touched: dict[Peer, None] = {}
        self._inbox = inbox
        self._outbox = outbox
        self._counters = counters
        self._by_address: dict[Address, Peer] = {}
        self._by_ufrag: dict[str, Peer] = {}

    def expect(self, peer: Peer) -> None:
        """Recognise the peer's connectivity checks by its present user fragments, and by no others."""
        self._unname(peer)
        for ufrag in peer.ice.ufrags:
            self._by_ufrag[ufrag] = peer

    def forget(self, peer: Peer) -> None:
        """Know the peer no longer."""
        self._unname(peer)
        self.distrust(peer)
        self.touched.pop(peer, None)

    def _unname(self, peer: Peer) -> None:
        for ufrag in [ufrag for ufrag, owner in self._by_ufrag.items() if owner is peer]:
            del self._by_ufrag[ufrag]

    def distrust(self, peer: Peer) -> None:
        """Have the peer's addresses prove themselves anew."""
        for address in peer.ice.forget_paths():
            self._withdraw(address, peer)
        peer.target = None

    def receive(self, datagrams: list[tuple[int, Address]], now: float) -> None:
        """Take what is in the inbox: length and source of its slots from the first on."""
        counters, view = self._counters, self._inbox.view
        by_address = self._by_address
        counters.packets_in += len(datagrams)
        for slot, (length, source) in enumerate(datagrams):
            counters.bytes_in += length
            if not 0 < length <= MAX_DATAGRAM_BYTES:
                counters.dropped[Drop.TOO_LONG if length else Drop.EMPTY] += 1
                continue
            kind = KIND_BY_FIRST_BYTE[view[slot * SLOT_BYTES]]
            peer = by_address.get(source)
            if kind is Kind.STUN:
                self._receive_stun(slot, length, source, now)
            elif peer is None:
                counters.dropped[Drop.UNPROVEN_ADDRESS] += 1
            elif kind is Kind.MEDIA:
                self._receive_media(peer, slot, length, now)
            elif kind is Kind.DTLS:
                peer.receive_dtls(self._bytes(slot, length), source)
                self.touched[peer] = None
            else:
                counters.dropped[Drop.UNKNOWN_PROTOCOL] += 1

    def _bytes(self, slot: int, length: int) -> bytes:
        start = slot * SLOT_BYTES
        return bytes(self._inbox.view[start : start + length])

    def _receive_stun(self, slot: int, length: int, source: Address, now: float) -> None:
        dropped = self._counters.dropped
        try:
            request = stun.parse_binding_request(self._bytes(slot, length))
        except stun.StunError:
            dropped[Drop.STUN_MALFORMED] += 1
            return
        peer = self._by_ufrag.get(request.local_ufrag)
        if peer is None:
            dropped[Drop.STUN_UNKNOWN_UFRAG] += 1
            return
        check = peer.ice.receive_check(request, source, length, now=now)
        if check is None:
            dropped[Drop.STUN_WRONG_INTEGRITY] += 1
            return
        if check.response is not None:
            self._outbox.push(check.response, source)
        if check.proven:
            self._by_address[source] = peer
        if check.evicted is not None:
            self._withdraw(check.evicted, peer)
        peer.target = peer.ice.selected
        self.touched[peer] = None

    def _withdraw(self, address: Address, peer: Peer) -> None:
        # Another peer may have proved the same address since: then it is that one's.
        if self._by_address.get(address) is peer:
            del self._by_address[address]

    def _receive_media(self, peer: Peer, slot: int, length: int, now: float) -> None:
        if peer.inbound is None:
            self._counters.dropped[Drop.BEFORE_HANDSHAKE] += 1
        elif length < HEADER_BYTES:
            self._counters.dropped[Drop.RTP_MALFORMED] += 1
        elif self._inbox.view[slot * SLOT_BYTES + 1] in RTCP_TYPES:
            size = peer.inbound.unprotect_rtcp(self._inbox.pointers[slot], length)
            if size < 0:
                self._counters.dropped[_REFUSALS.get(size, Drop.SRTP_REFUSED)] += 1
            else:
                self._receive_rtcp(peer, self._bytes(slot, size), now)
        else:
            self._receive_rtp(peer, peer.inbound, slot, length, now)

    def _receive_rtp(self, peer: Peer, inbound: SrtpContext, slot: int, length: int, now: float) -> None:
        sequence, ssrc = SEQUENCE_AND_SSRC.unpack_from(self._inbox.view, slot * SLOT_BYTES)
        stream = peer.streams.get(ssrc)
        if stream is None and not peer.may_hear(ssrc):
            # Before libsrtp sees it, which would keep state for every source.
            self._counters.dropped[Drop.TOO_MANY_SOURCES] += 1
            return
        size = inbound.unprotect(self._inbox.pointers[slot], length)
        if size < 0:
            self._counters.dropped[_REFUSALS.get(size, Drop.SRTP_REFUSED)] += 1
            return
        if stream is None:
            start = slot * SLOT_BYTES
            track = peer.find_track(ssrc, self._inbox.view[start : start + size])
            if track is None:
                peer.unclaimed.add(ssrc)
                self._counters.dropped[Drop.UNKNOWN_SOURCE] += 1
                return
            peer.unclaimed.discard(ssrc)
            stream = peer.streams[ssrc] = Stream(ssrc, track, sequence)
        stream.forward(self._inbox, slot, size, now)

    def _receive_rtcp(self, peer: Peer, compound: bytes, now: float) -> None:
        try:
            packets = parse_compound(compound)
        except RtcpError:
            self._counters.dropped[Drop.RTCP_MALFORMED] += 1
            return
        for packet in packets:
            match packet:
                case SenderReport():
                    stream = peer.streams.get(packet.ssrc)
                    if stream is not None:
                        stream.forward_report(packet, now)
                case Nack():
                    subscription = peer.subscriptions.get(packet.media_ssrc)
                    if subscription is not None:
                        subscription.receive_nack(packet.lost, now)
                case KeyframeRequest():
                    subscription = peer.subscriptions.get(packet.media_ssrc)
                    if subscription is not None:
                        subscription.receive_keyframe_request(now)
                case _:
                    assert_never(packet)

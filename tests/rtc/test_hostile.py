"""Datagrams that mean harm: a call goes on through all of them, and nothing is kept or answered."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import TypeAlias

import pylibsrtp
import pytest
from aioice import stun
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc import control, rtcp
from rtc.codecs import MediaKind
from rtc.negotiation import EXTENSIONS
from rtc.peer import MAX_SOURCES
from rtc.slots import MAX_DATAGRAM_BYTES, SLOT_BYTES
from tests.rtc.rig import Guest, Rig, address
from tests.rtc.synthetic import AUDIO, OfferedMedia, SyntheticPeer, rtp

STRANGER = address(999)
Datagram: TypeAlias = Callable[[Guest], bytes]


def call() -> tuple[Rig, Guest, Guest]:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    return rig, alice, bob


class Traffic:
    """Packets of a call, each of which has to arrive."""

    def __init__(self, rig: Rig, alice: Guest, bob: Guest) -> None:
        self.rig, self.alice, self.bob = rig, alice, bob
        self._sequence = 100

    def goes_on(self) -> None:
        self.bob.rtp.clear()
        self._sequence += 1
        ssrc = self.alice.peer.media[1].ssrc
        assert ssrc is not None
        self.rig.send_rtp(self.alice, rtp(ssrc, self._sequence & 0xFFFF))
        assert len(self.bob.rtp) == 1


def check_with(guest: Guest, username: str) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = username
    assert guest.peer.answer is not None
    message.add_message_integrity(guest.peer.answer.password.encode())
    return bytes(message)


def replayed(guest: Guest) -> bytes:
    assert guest.peer.sending is not None
    assert guest.peer.media[1].ssrc is not None
    return guest.peer.sending.protect(rtp(guest.peer.media[1].ssrc, 100))


FROM_ANYWHERE: dict[str, Datagram] = {
    "empty": lambda _: b"",
    "one byte": lambda _: b"\x80",
    "over-long": lambda _: b"\x80" + bytes(MAX_DATAGRAM_BYTES),
    "over-long dtls": lambda _: b"\x16" + bytes(8000),
    "unknown protocol": lambda _: b"\x50" + bytes(40),
    "short rtp": lambda _: b"\x80\x60" + bytes(9),
    "rtp of nobody": lambda _: rtp(1, 1, payload=bytes(1000)),
    "rtp with csrcs beyond the end": lambda _: b"\x8f\x60" + bytes(30),
    "rtp with an extension beyond the end": lambda _: (
        b"\x90\x60" + bytes(10) + b"\xbe\xde\xff\xff" + bytes(8)
    ),
    "rtp with csrcs and an extension beyond the end": lambda _: b"\x9f\x60" + bytes(70) + b"\xbe\xde\xff\xff",
    "short rtcp": lambda _: b"\x80\xc8\0\1",
    "rtcp of nobody": lambda _: rtcp.picture_loss(1, 2) + bytes(30),
    "rtcp with a length beyond the end": lambda _: b"\x80\xc8\xff\xff" + bytes(60),
    "dtls garbage": lambda _: b"\x16\xfe\xfd" + bytes(200),
    "dtls hello": lambda _: SyntheticPeer("mallory").start_dtls()[0],
    "dtls alert": lambda _: b"\x15\xfe\xfd\0\0\0\0\0\0\0\x09\0\2\2\x28",
    "dtls goodbye in clear": lambda _: b"\x15\xfe\xfd\0\1\0\0\0\0\0\x09\0\2\1\0",
    "stun garbage": lambda _: b"\0\1" + bytes(60),
    "stun without fingerprint": lambda guest: guest.peer.check()[:-8],
    "stun with a wrong password": lambda guest: guest.peer.check(password="another-password-entirely"),
    "stun with an unknown ufrag": lambda guest: check_with(guest, "nobody:clientufrag"),
    "stun with a wrong remote ufrag": lambda guest: check_with(guest, f"{ufrag(guest)}:nobody"),
    "stun indication": lambda guest: b"\0\x11" + guest.peer.check()[2:],
}


def ufrag(guest: Guest) -> str:
    assert guest.peer.answer is not None
    return guest.peer.answer.ufrag


@pytest.mark.parametrize("make", FROM_ANYWHERE.values(), ids=FROM_ANYWHERE.keys())
@pytest.mark.parametrize("proven", [False, True], ids=["from a stranger", "from a proven address"])
def test_it_is_counted_and_dropped(make: Datagram, proven: bool) -> None:
    rig, alice, bob = call()
    traffic = Traffic(rig, alice, bob)
    traffic.goes_on()
    source = alice.address if proven else STRANGER
    data = make(alice)
    for _ in range(3):
        rig.datagram(data, source)
    assert rig.sent == [], "nothing is answered"
    assert rig.events == []
    # OpenSSL drops what it cannot use of DTLS without telling.
    quiet = proven and data[:1] in (b"\x15", b"\x16") and len(data) <= MAX_DATAGRAM_BYTES
    assert sum(rig.dropped().values()) == (0 if quiet else 3)
    traffic.goes_on()


@settings(deadline=None)
@given(st.binary(max_size=2500), st.booleans())
def test_any_datagram_leaves_a_call_alone(data: bytes, proven: bool) -> None:
    TRAFFIC.rig.datagram(data, TRAFFIC.alice.address if proven else STRANGER)
    assert TRAFFIC.rig.sent == []
    assert TRAFFIC.rig.events == []
    TRAFFIC.goes_on()


@settings(deadline=None)
@given(st.sampled_from([0x80, 0x90, 0x9F, 0xB0]), st.integers(0, 255), st.binary(min_size=10, max_size=100))
def test_authentic_nonsense_leaves_a_call_alone(first: int, second: int, rest: bytes) -> None:
    # A participant who has keys: the packets are authentic, and their content is anything.
    sending = TRAFFIC.alice.peer.sending
    assert sending is not None
    packet = bytes((first, second)) + rest
    try:
        protected = sending.protect_rtcp(packet) if 192 <= second <= 223 else sending.protect(packet)
    except pylibsrtp.Error:
        return  # not even libsrtp would send it
    TRAFFIC.rig.datagram(protected, TRAFFIC.alice.address)
    TRAFFIC.rig.deliver()
    TRAFFIC.goes_on()


TRAFFIC = Traffic(*call())


@pytest.mark.parametrize("first", [0x00, 0x16, 0x80])
def test_what_does_not_fit_is_never_looked_at(first: int) -> None:
    rig, alice, _ = call()
    for length in (MAX_DATAGRAM_BYTES + 1, SLOT_BYTES, SLOT_BYTES + 1, 65_507):
        rig.datagram(bytes((first,)) + bytes(length - 1), alice.address)
    assert rig.dropped() == {"too_long": 4}


def test_the_longest_packet_that_fits_is_forwarded() -> None:
    rig, alice, bob = call()
    own = alice.peer.media[1].ssrc
    assert own is not None
    # pylibsrtp's own buffer ends at 1,500 bytes with the largest trailer there is.
    rig.send_rtp(alice, rtp(own, 1, payload=bytes(1500 - 144 - 12)))
    assert len(bob.rtp) == 1


def test_replayed_packets_are_dropped() -> None:
    rig, alice, bob = call()
    assert alice.peer.media[1].ssrc is not None
    packet = replayed(alice)
    for _ in range(5):
        rig.datagram(packet, alice.address)
    rig.deliver()
    assert len(bob.rtp) == 1
    assert rig.dropped() == {"srtp_replayed": 4}


def test_a_spoofed_address_moves_nothing() -> None:
    rig, alice, bob = call()
    # Somebody repeats packets that they saw, from an address of their own.
    rig.datagram(replayed(alice), STRANGER)
    assert rig.dropped() == {"unproven_address": 1}
    assert bob.rtp == []
    Traffic(rig, alice, bob).goes_on()


def test_media_before_the_handshake_is_dropped() -> None:
    rig = Rig()
    peer = SyntheticPeer("alice")
    rig.offer(peer)
    rig.datagram(peer.check(), address(1))
    rig.datagram(rtp(1, 1), address(1))
    assert rig.dropped() == {"before_handshake": 1}


def test_a_check_in_the_wrong_role_is_answered_with_a_conflict() -> None:
    rig = Rig()
    peer = SyntheticPeer("alice")
    rig.offer(peer)
    rig.datagram(peer.check(role="ICE-CONTROLLED"), address(1))
    ((response, target),) = rig.sent
    assert target == address(1)
    assert stun.parse_message(response).error_code == 487
    rig.datagram(rtp(1, 1), address(1))
    assert rig.dropped() == {"unproven_address": 1}


def test_an_answer_is_never_longer_than_the_check() -> None:
    rig = Rig()
    peer = SyntheticPeer("alice")
    peer.ufrag = "four"
    rig.offer(peer)
    request = peer.check()
    rig.datagram(request, address(1))
    ((response, _),) = rig.sent
    assert len(response) <= len(request)


def test_thousands_of_unknown_ufrags_leave_nothing_behind() -> None:
    rig, alice, _ = call()
    checks = [check_with(alice, f"nobody{n:05}:client") for n in range(2000)]
    rig.datagram(checks[0], STRANGER)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number, check in enumerate(checks):
            rig.datagram(check, address(1000 + number))
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 10_000, "bytes; far less than one per check would be"
    assert len(rig.engine._router._by_address) == 2
    assert rig.dropped() == {"stun_unknown_ufrag": 2001}


def test_one_peer_has_a_bounded_number_of_sources() -> None:
    rig, alice, bob = call()
    for ssrc in range(1, 3 * MAX_SOURCES):
        rig.send_rtp(alice, rtp(ssrc, 1))
    assert rig.dropped() == {"unknown_source": MAX_SOURCES, "too_many_sources": 2 * MAX_SOURCES - 1}
    assert bob.rtp == []


def test_sources_that_were_heard_before_stay_when_the_table_is_full() -> None:
    rig, alice, bob = call()
    traffic = Traffic(rig, alice, bob)
    traffic.goes_on()
    for ssrc in range(1, 2 * MAX_SOURCES):
        rig.send_rtp(alice, rtp(ssrc, 1))
    traffic.goes_on()


@pytest.mark.parametrize(
    "compound",
    [
        b"\x80\xc8\0\1" + bytes(4),
        b"\x9f\xc8\0\6" + bytes(24),
        rtcp.picture_loss(1, 2) + b"\x81\xce\0\7" + bytes(8),
        b"\x80\xc9\0\x40" + bytes(8),
        b"\x80\xc9\0\1" + bytes(4) + b"\x80",
    ],
)
def test_authentic_rtcp_that_is_malformed_is_dropped_whole(compound: bytes) -> None:
    rig, alice, bob = call()
    rig.send_rtcp(bob, compound)
    assert rig.dropped() == {"rtcp_malformed": 1}
    assert alice.rtcp == []


def test_feedback_about_streams_of_others_is_ignored() -> None:
    rig, alice, bob = call()
    own = alice.peer.media[1].ssrc
    assert own is not None
    rig.send_rtp(alice, rtp(own, 1))
    alice.rtcp.clear()
    for ssrc in (own, 0, 0xFFFF_FFFF):
        rig.send_rtcp(bob, rtcp.picture_loss(1, ssrc))
        rig.send_rtcp(bob, rtcp.nack(1, ssrc, [1, 2, 3]))
        rig.send_rtcp(bob, rtcp.sender_report(rtcp.SenderReport(ssrc, 1, 1, 1, 1)))
    assert alice.rtcp == []
    assert len(bob.rtcp) == 0


def test_a_publisher_cannot_inject_extensions_that_it_did_not_negotiate() -> None:
    rig = Rig()
    level = [(3, EXTENSIONS[MediaKind.AUDIO][0])]
    alice = rig.join(SyntheticPeer("alice", [OfferedMedia(AUDIO, "0", ssrc=5)]))
    bob = rig.join(SyntheticPeer("bob", [OfferedMedia(AUDIO, "0", ssrc=6, extensions=level)]))
    rig.send_rtp(alice, rtp(5, 1, payload_type=111, extension=b"\x30\x01\x10\x05"))
    assert bob.rtp[0][12:20] == b"\xbe\xde\0\1" + bytes(4)


def test_sixty_four_at_once_from_everywhere() -> None:
    rig, alice, bob = call()
    batch = [(make(alice), source) for make in FROM_ANYWHERE.values() for source in (STRANGER, alice.address)]
    rig.datagrams(batch[:63])
    assert rig.sent == []
    assert not rig.told(control.Disconnected)
    Traffic(rig, alice, bob).goes_on()

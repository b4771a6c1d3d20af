"""Whole calls through the engine: who is sent what, under which numbers, and what signaling is told."""

from __future__ import annotations

import pytest
from aiortc import rtp as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc import control, rtcp
from rtc.codecs import MediaKind
from rtc.negotiation import EXTENSIONS, MID_URI
from tests.rtc.rig import Guest, Rig, address
from tests.rtc.synthetic import AUDIO, VIDEO, OfferedMedia, SyntheticPeer, rtp


def ssrc_of(guest: Guest, kind: str) -> int:
    section = next(section for section in guest.peer.media if section.kind == kind)
    assert section.ssrc is not None
    return section.ssrc


def sent_to(guest: Guest, mid: str) -> int:
    assert guest.peer.answer is not None
    return guest.peer.answer.sent[mid]


def requests_in(guest: Guest) -> list[rtcp.RtcpPacket]:
    return [packet for compound in guest.rtcp for packet in rtcp.parse_compound(compound)]


def test_media_goes_to_the_other_person_and_not_back() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 100, 9000, payload=b"picture", marker=True))
    rig.send_rtp(alice, rtp(ssrc_of(alice, AUDIO), 7, 480, payload=b"sound", payload_type=111))
    assert alice.rtp == []
    picture, sound = (oracle.RtpPacket.parse(packet) for packet in bob.rtp)
    assert (picture.ssrc, picture.payload_type, picture.marker) == (sent_to(bob, "1"), 96, 1)
    assert (sound.ssrc, sound.payload_type) == (sent_to(bob, "0"), 111)
    assert (picture.payload, sound.payload) == (b"picture", b"sound")


@settings(deadline=None, max_examples=25)
@given(st.one_of(st.integers(0, 0xFFFF), st.integers(0xFFF0, 0xFFFF)), st.integers(0, 0xFFFF_FFFF))
def test_numbers_go_up_by_one_across_every_wrap(start: int, timestamp: int) -> None:
    rig = RIG_OF_TWO
    alice, bob = rig.guests["alice"], rig.guests["bob"]
    bob.rtp.clear()
    ssrc = NEXT_SSRC.pop()
    assert alice.peer.media[1].ssrc is not None
    alice.peer.media[1].ssrc = ssrc
    rig.offer(alice.peer)
    for n in range(40):
        rig.send_rtp(alice, rtp(ssrc, (start + n) & 0xFFFF, (timestamp + 3000 * n) & 0xFFFF_FFFF))
    packets = [oracle.RtpPacket.parse(packet) for packet in bob.rtp]
    first = packets[0]
    for n, packet in enumerate(packets):
        assert packet.sequence_number == (first.sequence_number + n) & 0xFFFF
        assert packet.timestamp == (first.timestamp + 3000 * n) & 0xFFFF_FFFF
    assert len(packets) == 40


RIG_OF_TWO = Rig()
RIG_OF_TWO.call("alice", "bob")
NEXT_SSRC = list(range(1, 10_000))


def test_a_session_of_eight_and_no_ninth() -> None:
    rig = Rig(max_participants=8)
    guests = []
    for number in range(8):
        media = [OfferedMedia(AUDIO, "own", ssrc=number + 1)]
        media += [OfferedMedia(AUDIO, f"other{n}", direction="recvonly") for n in range(6)]
        guests.append(rig.join(SyntheticPeer(f"p{number}", media)))
    for guest in guests:
        rig.offer(guest.peer)
    rig.deliver()
    rig.send_rtp(guests[0], rtp(1, 1, payload_type=111))
    for guest in guests[1:]:
        assert len(guest.rtp) == 1
    refused = rig.ask(rig.offer_request("p8", SyntheticPeer("p8").offer()), control.Failure)
    assert refused.name == "session_full"


def test_the_second_of_two_is_known_from_the_first_answer_and_the_first_is_told() -> None:
    rig = Rig()
    alice = rig.join(SyntheticPeer("alice"))
    assert alice.peer.answer is not None
    assert alice.peer.answer.sent == {}
    bob = rig.join(SyntheticPeer("bob"))
    assert set(bob.peer.answer.sent) == {"0", "1"}  # type: ignore[union-attr]  # it has joined
    assert rig.told(control.RosterChanged) == [control.RosterChanged("session", 1, "alice", audio=1, video=1)]
    rig.offer(alice.peer)
    assert set(alice.peer.answer.sent) == {"0", "1"}
    rig.offer(alice.peer)
    rig.offer(bob.peer)
    assert len(rig.told(control.RosterChanged)) == 1, "nothing has changed since"


def test_connections_are_told() -> None:
    rig = Rig(ice_consent_seconds=30.0)
    alice = rig.join(SyntheticPeer("alice"))
    assert rig.told(control.Connected) == [control.Connected("session", 1, "alice")]
    rig.tick(31)
    lost = control.Disconnected("session", 1, "alice", control.Reason.CONSENT_LOST)
    assert rig.told(control.Disconnected) == [lost]
    rig.tick(31)
    assert rig.told(control.Disconnected) == [lost], "once"
    rig.datagram(alice.peer.check(), alice.address)
    rig.deliver()
    assert len(rig.told(control.Connected)) == 2
    for datagram in alice.peer.shut_down():
        rig.datagram(datagram, alice.address)
    assert rig.told(control.Disconnected)[1].reason is control.Reason.CLOSED


def test_a_wrong_certificate_is_told_and_gets_nothing() -> None:
    rig = Rig()
    (alice,) = rig.call("alice")
    mallory = SyntheticPeer("mallory")
    other = SyntheticPeer("other").certificate.getFingerprints()[0].value
    mallory.accept(rig.ask(rig.offer_request("mallory", mallory.offer(other)), control.Answered).sdp)
    guest = rig.guests["mallory"] = Guest(mallory, address(66))
    rig.datagram(mallory.check(), guest.address)
    for datagram in mallory.start_dtls():
        rig.datagram(datagram, guest.address)
    rig.deliver()
    assert rig.told(control.Disconnected)[0].reason is control.Reason.DTLS_FAILED
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 1))
    assert guest.rtp == []


def test_nothing_is_sent_without_consent() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    rig.now += 25
    rig.datagram(alice.peer.check(), alice.address)
    rig.tick(10)
    rig.deliver()
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 1))
    assert bob.rtp == []
    assert [event.participant for event in rig.told(control.Disconnected)] == ["bob"]


def test_media_follows_a_client_to_another_network() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    bob.address = address(77)
    rig.datagram(bob.peer.check(), bob.address)
    rig.deliver()
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 1))
    assert len(bob.rtp) == 1
    rig.send_rtp(bob, rtp(ssrc_of(bob, VIDEO), 1))
    assert len(alice.rtp) == 1


def test_an_ice_restart_keeps_keys_and_numbers() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 1))
    old = bob.peer.answer
    bob.peer.ufrag = "restarted"
    rig.offer(bob.peer)
    assert old is not None
    assert bob.peer.answer is not None
    assert bob.peer.answer.ufrag != old.ufrag
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 2))
    bob.address = address(78)
    rig.datagram(bob.peer.check(), bob.address)
    rig.deliver()
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 3))
    numbers = [oracle.RtpPacket.parse(packet).sequence_number for packet in bob.rtp]
    assert numbers == [numbers[0], (numbers[0] + 1) & 0xFFFF, (numbers[0] + 2) & 0xFFFF]
    assert rig.told(control.Connected) == [], "it was never down"


def test_who_comes_back_with_a_new_connection_goes_on_in_the_same_place() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    rig.send_rtp(bob, rtp(ssrc_of(bob, VIDEO), 60_000, 1))
    del rig.guests["bob"]
    again = rig.join(
        SyntheticPeer("bob", [OfferedMedia(AUDIO, "0", ssrc=5), OfferedMedia(VIDEO, "1", ssrc=6)])
    )
    rig.now += 0.5
    rig.send_rtp(again, rtp(6, 17, 99))
    first, second = (oracle.RtpPacket.parse(packet) for packet in alice.rtp)
    assert first.ssrc == second.ssrc
    assert second.sequence_number == (first.sequence_number + 1) & 0xFFFF
    assert (second.timestamp - first.timestamp) & 0xFFFF_FFFF == 45_000
    assert rig.stats().peers == 2
    assert rig.told(control.RosterChanged) == []


def test_a_replaced_connection_is_closed_and_forgotten() -> None:
    rig = Rig()
    (old,) = rig.call("alice")
    fresh = SyntheticPeer("alice")
    rig.offer(fresh)
    assert [target for _, target in rig.sent] == [old.address], "a goodbye"
    rig.sent.clear()
    rig.datagram(old.peer.check(), old.address)
    rig.send_rtp(old, rtp(ssrc_of(old, VIDEO), 1))
    assert rig.dropped() == {"stun_unknown_ufrag": 1, "unproven_address": 1}


def test_restarts_do_not_pile_up() -> None:
    rig = Rig()
    (alice,) = rig.call("alice")
    for number in range(20):
        alice.peer.ufrag = f"restart{number}"
        rig.offer(alice.peer)
    assert len(rig.engine._router._by_ufrag) == 2


def test_reports_of_a_source_that_was_replaced_are_not_passed_on() -> None:
    rig = Rig()
    media = [OfferedMedia(VIDEO, "1")]
    alice, bob = rig.join(SyntheticPeer("alice", media)), rig.join(SyntheticPeer("bob"))
    rig.send_rtp(alice, rtp(70, 1))
    rig.send_rtp(alice, rtp(71, 1))
    bob.rtcp.clear()
    rig.send_rtcp(alice, rtcp.sender_report(rtcp.SenderReport(70, 1, 1, 1, 1)))
    assert bob.rtcp == []
    rig.send_rtcp(alice, rtcp.sender_report(rtcp.SenderReport(71, 1, 1, 1, 1)))
    assert len(bob.rtcp) == 1


def test_what_a_modality_excludes_is_not_forwarded() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")

    def heard() -> int:
        bob.rtp.clear()
        rig.now += 1
        sequence = int(rig.now)
        rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), sequence, int(rig.now * 90_000)))
        rig.send_rtp(alice, rtp(ssrc_of(alice, AUDIO), sequence, int(rig.now * 48_000), payload_type=111))
        return len(bob.rtp)

    before = [heard(), bob.rtp[0]]
    assert before[0] == 2
    rig.set_modality("audio")
    assert heard() == 1
    rig.set_modality("chat")
    assert heard() == 0
    alice.rtcp.clear()
    rig.set_modality("video")
    assert heard() == 2
    assert rtcp.KeyframeRequest(ssrc_of(alice, VIDEO)) in requests_in(alice)


def test_a_pause_leaves_no_gap() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    for sequence in range(10):
        if sequence == 3:
            rig.set_modality("audio")
        if sequence == 7:
            rig.set_modality("video")
        rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), sequence))
    numbers = [oracle.RtpPacket.parse(packet).sequence_number for packet in bob.rtp]
    assert numbers == [(numbers[0] + n) & 0xFFFF for n in range(6)]


def test_the_modality_can_come_before_the_first_offer() -> None:
    rig = Rig()
    rig.set_modality("chat")
    alice, bob = rig.call("alice", "bob")
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 1))
    assert bob.rtp == []


def test_a_new_subscriber_has_a_key_frame_asked_for() -> None:
    rig = Rig()
    (alice,) = rig.call("alice")
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 1))
    rig.join(SyntheticPeer("bob"))
    assert requests_in(alice) == [rtcp.KeyframeRequest(ssrc_of(alice, VIDEO))]


def test_key_frame_requests_are_passed_on_but_not_each() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 1))
    rig.tick(10)
    rig.datagram(alice.peer.check(), alice.address)
    rig.datagram(bob.peer.check(), bob.address)
    rig.deliver()
    alice.rtcp.clear()
    for _ in range(20):
        rig.send_rtcp(bob, rtcp.picture_loss(1, sent_to(bob, "1")))
    wanted = rtcp.KeyframeRequest(ssrc_of(alice, VIDEO))
    assert requests_in(alice) == [wanted]
    rig.tick(0.3)
    assert requests_in(alice) == [wanted]
    rig.tick(0.3)
    assert requests_in(alice) == [wanted, wanted], "the last request was not forgotten"
    rig.tick(5)
    assert requests_in(alice) == [wanted, wanted]
    rig.send_rtcp(bob, rtcp.full_intra_request(1, sent_to(bob, "1"), 1))
    assert requests_in(alice) == [wanted, wanted, wanted]


def test_a_publisher_without_pli_is_asked_by_fir() -> None:
    rig = Rig()
    only_fir = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 ccm fir\r\n"
    alice = rig.join(SyntheticPeer("alice", [OfferedMedia(VIDEO, "1", ssrc=5, codecs=only_fir)]))
    bob = rig.join(SyntheticPeer("bob"))
    rig.send_rtp(alice, rtp(5, 1))
    rig.send_rtcp(bob, rtcp.picture_loss(1, sent_to(bob, "1")))
    compound = oracle.RtcpPacket.parse(alice.rtcp[-1])
    assert isinstance(compound[-1], oracle.RtcpPsfbPacket)
    assert compound[-1].fmt == oracle.RTCP_PSFB_FIR


def test_packets_lost_before_the_server_are_asked_of_the_publisher() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    ssrc = ssrc_of(alice, VIDEO)
    packets = {n: alice.peer.sending.protect(rtp(ssrc, n & 0xFFFF, n)) for n in range(65_530, 65_545)}  # type: ignore[union-attr]
    for n, packet in packets.items():
        if n not in (65_534, 65_537):
            rig.datagram(packet, alice.address)
    rig.deliver()
    first = oracle.RtpPacket.parse(bob.rtp[0]).sequence_number
    missing = [(first + 4) & 0xFFFF, (first + 7) & 0xFFFF]
    alice.rtcp.clear()
    rig.send_rtcp(bob, rtcp.nack(1, sent_to(bob, "1"), missing))
    assert requests_in(alice) == [rtcp.Nack(ssrc, (65_534, 1))]
    bob.rtp.clear()
    for n in (65_534, 65_537):
        rig.datagram(packets[n], alice.address)
    rig.deliver()
    assert [oracle.RtpPacket.parse(packet).sequence_number for packet in bob.rtp] == missing


def test_packets_lost_after_the_server_are_sent_again_as_they_were() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    for n in range(5):
        assert alice.peer.sending is not None
        rig.datagram(alice.peer.sending.protect(rtp(ssrc_of(alice, VIDEO), n, n)), alice.address)
    lost = rig.sent.pop(2)
    rig.deliver()
    sequence = int.from_bytes(lost[0][2:4], "big")
    alice.rtcp.clear()
    assert bob.peer.sending is not None
    nack = rtcp.nack(1, sent_to(bob, "1"), [sequence])
    rig.datagram(bob.peer.sending.protect_rtcp(nack), bob.address)
    assert rig.sent == [lost]
    rig.deliver()
    assert oracle.RtpPacket.parse(bob.rtp[-1]).sequence_number == sequence
    assert requests_in(alice) == []


def test_receiver_reports_tell_the_publisher_what_was_lost() -> None:
    rig = Rig()
    alice, _ = rig.call("alice", "bob")
    ssrc = ssrc_of(alice, VIDEO)
    alice_report = rtcp.SenderReport(ssrc, 0x1111_2222_3333_4444, 1, 1, 1)
    rig.send_rtcp(alice, rtcp.sender_report(alice_report))
    for n in range(0, 20, 2):
        rig.send_rtp(alice, rtp(ssrc, n))
    rig.send_rtcp(alice, rtcp.sender_report(alice_report))
    alice.rtcp.clear()
    rig.tick(1.0)
    report, description = oracle.RtcpPacket.parse(alice.rtcp[-1])
    assert isinstance(report, oracle.RtcpRrPacket)
    assert isinstance(description, oracle.RtcpSdesPacket)
    (block,) = report.reports
    assert (block.ssrc, block.packets_lost, block.lsr, block.dlsr) == (ssrc, 9, 0x2222_3333, 65536)


def test_sender_reports_are_rewritten_so_that_lips_fit() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    ssrc = ssrc_of(alice, VIDEO)
    for n in range(3):
        rig.send_rtp(alice, rtp(ssrc, n, 5000 + n, payload=b"12345"))
    last = oracle.RtpPacket.parse(bob.rtp[-1])
    bob.rtcp.clear()
    rig.send_rtcp(alice, rtcp.sender_report(rtcp.SenderReport(ssrc, 1 << 40, 5002 + 900, 3, 15)))
    report, description = oracle.RtcpPacket.parse(bob.rtcp[-1])
    assert isinstance(report, oracle.RtcpSrPacket)
    assert isinstance(description, oracle.RtcpSdesPacket)
    info = report.sender_info
    assert report.ssrc == sent_to(bob, "1")
    assert info.ntp_timestamp == 1 << 40
    assert info.rtp_timestamp == (last.timestamp + 900) & 0xFFFF_FFFF
    assert (info.packet_count, info.octet_count) == (3, 15)
    assert description.chunks[0].items == [(1, b"alice")]


def test_payload_types_and_extensions_are_those_of_the_subscriber() -> None:
    rig = Rig()
    level = EXTENSIONS[MediaKind.AUDIO][0]
    opus = "a=rtpmap:{0} opus/48000/2\r\n"
    alice = rig.join(
        SyntheticPeer(
            "alice",
            [
                OfferedMedia(
                    AUDIO, "a", ssrc=5, formats="100", codecs=opus.format(100), extensions=[(3, level)]
                )
            ],
        )
    )
    bob = rig.join(
        SyntheticPeer(
            "bob",
            [
                OfferedMedia(
                    AUDIO, "b", ssrc=6, formats="120", codecs=opus.format(120), extensions=[(9, level)]
                )
            ],
        )
    )
    rig.send_rtp(alice, rtp(5, 1, payload_type=100, extension=b"\x30\x55\x70\x01"))
    packet = oracle.RtpPacket.parse(bob.rtp[0])
    assert packet.payload_type == 120
    assert bob.rtp[0][12:20] == b"\xbe\xde\0\1\x90\x55\0\0"
    assert packet.payload == b"payload"


def test_sources_that_were_not_announced_are_found_by_mid_or_payload_type() -> None:
    rig = Rig()
    mid = [(1, MID_URI)]
    media = [OfferedMedia(VIDEO, "x", extensions=mid), OfferedMedia(VIDEO, "y", extensions=mid)]
    media.append(OfferedMedia(AUDIO, "z"))
    alice = rig.join(SyntheticPeer("alice", media))
    receivers = [OfferedMedia(VIDEO, "0"), OfferedMedia(VIDEO, "1"), OfferedMedia(AUDIO, "2")]
    bob = rig.join(SyntheticPeer("bob", receivers))
    rig.send_rtp(alice, rtp(70, 1, extension=b"\x10y"))
    rig.send_rtp(alice, rtp(71, 1, extension=b"\x10x"))
    rig.send_rtp(alice, rtp(72, 1, payload_type=111))
    rig.send_rtp(alice, rtp(73, 1))
    sources = [oracle.RtpPacket.parse(packet).ssrc for packet in bob.rtp]
    assert sources == [sent_to(bob, "1"), sent_to(bob, "0"), sent_to(bob, "2")]
    assert rig.dropped() == {"unknown_source": 1}
    assert b"x" not in bob.rtp[1][12:20], "a mid of the publisher means nothing to the subscriber"


def test_formats_that_the_subscriber_lacks_are_not_sent() -> None:
    rig = Rig()
    h264 = "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n"
    alice = rig.join(SyntheticPeer("alice", [OfferedMedia(VIDEO, "1", ssrc=5, codecs=h264)]))
    bob = rig.join(SyntheticPeer("bob"))
    rig.send_rtp(alice, rtp(5, 1))
    assert bob.rtp == []
    assert rig.dropped() == {"no_payload_type": 1}


def test_who_leaves_is_said_goodbye_and_heard_no_more() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    rig.remove("bob")
    rig.guests.pop("bob")
    told = rig.told(control.RosterChanged)
    assert told == [control.RosterChanged("session", 1, "alice", audio=0, video=0)]
    rig.datagram(bob.peer.check(), bob.address)
    assert bob.peer.sending is not None
    rig.datagram(bob.peer.sending.protect(rtp(ssrc_of(bob, VIDEO), 1)), bob.address)
    assert rig.sent == []
    assert alice.rtp == []
    assert rig.dropped() == {"stun_unknown_ufrag": 1, "unproven_address": 1}


def test_generations_are_kept_apart() -> None:
    rig = Rig()
    rig.call("alice", "bob")
    rig.generation = 2
    fresh = SyntheticPeer("alice")
    answer = rig.ask(rig.offer_request("alice", fresh.offer()), control.Answered)
    assert "a=msid:" not in answer.sdp, "bob belongs to the older generation"
    rig.generation = 1
    stale: list[control.RequestMessage] = [
        rig.offer_request("bob", fresh.offer()),
        control.Remove(900, "session", 1, "alice"),
        control.CloseSession(901, "session", 1),
        control.SetModality(902, "session", 1, "chat"),
    ]
    for request in stale:
        assert rig.ask(request, control.Failure).name == "stale_generation"
    assert rig.stats().sessions == 1
    assert rig.stats().peers == 1


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (control.Remove(1, "nowhere", 1, "alice"), "no_such_session"),
        (control.Remove(1, "session", 1, "nobody"), "no_such_participant"),
        (control.Remove(1, "session", 9, "alice"), "no_such_session"),
        (control.CloseSession(1, "nowhere", 1), "no_such_session"),
        (control.Offer(1, "session", 1, "carol", "garbage"), "sdp_malformed"),
        (control.Offer(1, "session", 9, "carol", "garbage"), "sdp_malformed"),
        (control.Offer(1, "session", 1, "car ol", "garbage"), "bad_name"),
        (control.Offer(1, "session", 1, "carol\r\na=x", "garbage"), "bad_name"),
        (control.Offer(1, "session", 1, "", "garbage"), "bad_name"),
    ],
)
def test_a_refused_request_changes_nothing(request_: control.RequestMessage, name: str) -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    assert rig.ask(request_, control.Failure).name == name
    rig.send_rtp(alice, rtp(ssrc_of(alice, VIDEO), 1))
    assert len(bob.rtp) == 1
    assert (rig.stats().sessions, rig.stats().peers) == (1, 2)
    assert rig.events == []


def test_a_closed_session_leaves_nothing_behind() -> None:
    rig = Rig()
    alice, _ = rig.call("alice", "bob")
    rig.ask(control.CloseSession(1, "session", 1), control.Done)
    rig.deliver()
    rig.datagram(alice.peer.check(), alice.address)
    rig.tick(1.0)
    assert rig.sent == []
    stats = rig.stats()
    assert (stats.sessions, stats.peers, stats.cpu_seconds) == (0, 0, 1.5)
    assert not rig.engine._router._by_address
    assert not rig.engine._router._by_ufrag


def test_two_publishers_at_one_address_are_told_apart_by_who_proved_it_last() -> None:
    rig = Rig()
    alice, bob = rig.call("alice", "bob")
    rig.datagram(bob.peer.check(), alice.address)
    rig.sent.clear()
    rig.remove("alice")
    rig.guests.pop("alice")
    bob.address = alice.address
    assert bob.peer.sending is not None
    rig.datagram(bob.peer.sending.protect(rtp(ssrc_of(bob, VIDEO), 1)), bob.address)
    assert rig.dropped() == {}

"""What is accepted of an offer, and the answers that are written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiortc import sdp as oracle

from rtc import errors
from rtc.codecs import MediaKind
from rtc.negotiation import EXTENSIONS, MID_URI, Negotiated, is_new_connection, negotiate
from rtc.sdp import Direction, parse_offer
from tests.rtc.rig import Rig
from tests.rtc.synthetic import AUDIO, CODECS, VIDEO, OfferedMedia, SyntheticPeer

PEER = SyntheticPeer("alice")
OFFER = PEER.offer()
H264 = "".join(
    f"a=rtpmap:{pt} H264/90000\r\na=fmtp:{pt} packetization-mode={mode};profile-level-id={profile}\r\n"
    for pt, mode, profile in ((102, 1, "42001f"), (104, 0, "42001f"), (106, 1, "42e01f"), (108, 1, "64001f"))
)


def negotiated(text: str) -> Negotiated:
    return negotiate(parse_offer(text))


def test_known_codecs_are_accepted_in_the_servers_order() -> None:
    section = OfferedMedia(
        VIDEO, "0", formats="98 102 104 106 108 96", codecs="a=rtpmap:98 VP9/90000\r\n" + H264 + CODECS[VIDEO]
    )
    (accepted,) = negotiated(SyntheticPeer("alice", [section]).offer()).sections
    assert [codec.payload_type for codec in accepted.codecs] == [96, 102, 106]
    assert accepted.codecs[0].feedback == {"nack", "nack pli", "ccm fir"}


def test_extensions_are_accepted_only_if_they_are_handed_on() -> None:
    level = EXTENSIONS[MediaKind.AUDIO][0]
    offered = ((1, MID_URI), (3, level), (5, "urn:unknown"))
    announced = OfferedMedia(AUDIO, "0", ssrc=1, extensions=offered)
    unannounced = OfferedMedia(AUDIO, "1", extensions=offered)
    one, two = negotiated(SyntheticPeer("alice", [announced, unannounced]).offer()).sections
    assert one.extensions == {3: level}
    assert two.extensions == {1: MID_URI, 3: level}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("v=0\r\no=- 1 1 IN IP4 0\r\n", errors.SdpWithoutMedia),
        (OFFER.replace("m=audio", "m=application").replace("m=video", "m=text"), errors.SdpWithoutMedia),
        (OFFER.replace("opus", "PCMU").replace("VP8", "VP9"), errors.SdpNoCommonCodec),
        (OFFER.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), errors.SdpNoCommonCodec),
        (OFFER.replace("a=ice-ufrag", "a=x"), errors.SdpWithoutIce),
        (OFFER.replace("a=ice-pwd:", "a=ice-pwd:!"), errors.SdpWithoutIce),
        (OFFER.replace("t=0 0", "t=0 0\r\na=ice-lite"), errors.SdpWithoutIce),
        (OFFER.replace("a=fingerprint", "a=x"), errors.SdpWithoutFingerprint),
        (OFFER.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"), errors.SdpWithoutBundle),
        (OFFER.replace("a=rtcp-mux\r\n", ""), errors.SdpWithoutBundle),
        (OFFER.replace("a=setup:actpass", "a=setup:passive"), errors.SdpWrongRole),
        (OFFER.replace("a=setup:actpass\r\n", ""), errors.SdpWrongRole),
    ],
)
def test_what_is_missing_is_named(text: str, error: type[errors.SdpError]) -> None:
    with pytest.raises(error):
        negotiated(text)


def test_bundle_only_sections_use_the_transport_of_the_tagged_one() -> None:
    head, audio, video = OFFER.split("m=")
    bare = "".join(
        f"{line}\r\n"
        for line in video.split("\r\n")
        if line and not line.startswith(("a=ice", "a=fing", "a=setup"))
    )
    bundle_only = "m=" + bare.replace("video 9", "video 0") + "a=bundle-only\r\n"
    accepted = negotiated(head + "m=" + audio + bundle_only)
    assert [section.kind for section in accepted.sections] == [MediaKind.AUDIO, MediaKind.VIDEO]
    # Even if the tagged section itself is of no use here.
    data = "m=" + audio.replace("audio 9", "application 9")
    assert negotiated(head + data + bundle_only).ice == accepted.ice


def test_connections_are_told_apart() -> None:
    first = negotiated(OFFER)
    assert not is_new_connection(negotiated(OFFER), first)
    restarted = negotiated(OFFER.replace(PEER.ufrag, "newufrag"))
    assert not is_new_connection(restarted, first)
    assert is_new_connection(replace(restarted, session_id="2"), first)
    assert is_new_connection(negotiated(SyntheticPeer("alice").offer()), first)


def test_sections_of_a_connection_do_not_vanish_or_change_kind() -> None:
    first = negotiated(OFFER)
    fewer = OFFER[: OFFER.index("m=video")].replace("BUNDLE 0 1", "BUNDLE 0")
    with pytest.raises(errors.SdpOrderChanged):
        negotiate(parse_offer(fewer), first)
    swapped = SyntheticPeer("alice", [OfferedMedia(VIDEO, "0"), OfferedMedia(AUDIO, "1")])
    swapped.certificate = PEER.certificate
    with pytest.raises(errors.SdpOrderChanged):
        negotiate(parse_offer(swapped.offer()), first)


def test_the_answer_reads_well_elsewhere() -> None:
    rig = Rig()
    rig.join(PEER)
    bob = SyntheticPeer("bob", [OfferedMedia(VIDEO, "v"), OfferedMedia(AUDIO, "a"), OfferedMedia(AUDIO, "b")])
    text = rig.offer(bob)
    answer = oracle.SessionDescription.parse(text)
    video, audio, second = answer.media
    assert [media.direction for media in (video, audio, second)] == ["sendrecv", "sendrecv", "recvonly"]
    assert video.ice is not None
    assert video.ice.iceLite
    assert video.dtls is not None
    assert video.dtls.role == "server"
    assert video.ice_candidates[0].port == 5000
    assert [codec.name for codec in video.rtp.codecs] == ["VP8"]
    assert {feedback.type for feedback in video.rtp.codecs[0].rtcpFeedback} == {"nack", "ccm"}
    assert "a=msid:alice alice.1\r\n" in text
    assert video.ssrc[0].ssrc == bob.answer.sent["v"]  # type: ignore[union-attr]  # there is an answer
    assert parse_offer(text).sections[0].direction is Direction.SENDRECV


def test_rejected_sections_stay_in_place() -> None:
    media = [OfferedMedia(AUDIO, "0"), OfferedMedia("application", "1", formats="7", codecs="a=x\r\n")]
    media.append(OfferedMedia(VIDEO, "2"))
    text = Rig().offer(SyntheticPeer("alice", media))
    assert "a=group:BUNDLE 0 2\r\n" in text
    assert "m=application 0 UDP/TLS/RTP/SAVPF 7\r\n" in text
    assert text.index("m=audio") < text.index("m=application") < text.index("m=video")

"""Offers read: text gives an offer or our error, nothing else."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from hypothesis import given
from hypothesis import strategies as st

from rtc.errors import SdpError, SdpMalformed, SdpTooLarge
from rtc.sdp import MAX_BYTES, MAX_SECTIONS, Direction, parse_offer
from tests.rtc.synthetic import AUDIO, VIDEO, OfferedMedia, SyntheticPeer

PEER = SyntheticPeer("alice")
OFFER = PEER.offer()


def test_an_offer_is_read() -> None:
    offer = parse_offer(OFFER)
    assert offer.session_id == "1"
    assert offer.bundle == ("0", "1")
    assert not offer.ice_lite
    audio, video = offer.sections
    assert (audio.kind, audio.mid, audio.direction) == ("audio", "0", Direction.SENDRECV)
    assert [codec.payload_type for codec in video.codecs] == [96, 97]
    assert video.codecs[0].feedback == {"nack", "nack pli", "ccm fir", "goog-remb"}
    assert video.codecs[1].parameters == {"apt": "96"}
    assert video.ssrcs == (0x1000_0002,)
    assert video.transport.ice is not None
    assert video.transport.ice.ufrag == PEER.ufrag
    assert video.transport.fingerprints[0].value == PEER.certificate.getFingerprints()[0].value
    assert video.transport.setup == "actpass"
    assert video.transport.rtcp_mux


def test_an_offer_of_aiortc_is_read() -> None:
    async def offer() -> str:
        connection = RTCPeerConnection()
        connection.addTrack(AudioStreamTrack())
        connection.addTrack(VideoStreamTrack())
        await connection.setLocalDescription(await connection.createOffer())
        text: str = connection.localDescription.sdp
        await connection.close()
        return text

    sections = parse_offer(asyncio.run(offer())).sections
    assert [section.kind for section in sections] == ["audio", "video"]
    assert all(len(section.ssrcs) == 1 for section in sections)


def test_attributes_of_the_session_hold_for_its_sections() -> None:
    head, *sections = OFFER.split("m=")
    lifted = "a=ice-ufrag:session0\r\na=ice-pwd:password-of-the-session\r\na=recvonly\r\n"
    bare = [
        "\r\n".join(line for line in section.split("\r\n") if not line.startswith(("a=ice", "a=sendrecv")))
        for section in sections
    ]
    offer = parse_offer(head + lifted + "m=" + "m=".join(bare))
    for section in offer.sections:
        assert section.transport.ice is not None
        assert section.transport.ice.ufrag == "session0"
        assert section.direction is Direction.RECVONLY


def test_retransmission_streams_are_no_sources() -> None:
    text = OFFER.rstrip("\r\n") + "\r\na=ssrc-group:FID 268435458 77\r\na=ssrc:77 cname:c\r\n"
    assert parse_offer(text).sections[1].ssrcs == (0x1000_0002,)


def test_port_zero_is_rejected_unless_bundle_only() -> None:
    assert parse_offer(OFFER.replace("m=video 9", "m=video 0")).sections[1].rejected
    bundle_only = OFFER.replace("m=video 9", "m=video 0").replace(
        "a=mid:1\r\n", "a=mid:1\r\na=bundle-only\r\n"
    )
    assert not parse_offer(bundle_only).sections[1].rejected


def test_weak_and_broken_fingerprints_do_not_count() -> None:
    value = PEER.certificate.getFingerprints()[0].value
    for broken in (f"sha-1 {value}", f"md5 {value}", "sha-256 AA:BB", "sha-256 zz", "sha-256"):
        text = OFFER.replace(f"sha-256 {value}", broken)
        assert all(section.transport.fingerprints == () for section in parse_offer(text).sections)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "v=0",
        "v=0\r\ns=-\r\n",
        OFFER.replace("o=- 1 1 IN IP4 127.0.0.1", "o=x"),
        OFFER.replace("a=mid:1\r\n", ""),
        OFFER.replace("a=mid:1\r\n", "a=mid:0\r\n"),
        OFFER.replace("a=mid:1\r\n", "a=mid:a b\r\n"),
        OFFER.replace("a=mid:1\r\n", f"a=mid:{'x' * 65}\r\n"),
        OFFER.replace("m=video 9", "m=video nine"),
        OFFER.replace("m=video 9", "m=video 99999"),
        OFFER.replace("m=video 9 UDP/TLS/RTP/SAVPF", "m=video"),
        OFFER.replace("VP8/90000", "VP8"),
        OFFER.replace("VP8/90000", "VP8/" + "9" * 4000),
        OFFER.replace("96 VP8", "96 VP8")
        .replace("SAVPF 96 97", "SAVPF 300 97")
        .replace("rtpmap:96", "rtpmap:300"),
        OFFER.replace("a=ssrc:", "a=ssrc:x"),
        OFFER.replace("a=rtcp-mux", "nonsense"),
        OFFER + "a=x:\x00\r\n",
    ],
)
def test_what_cannot_be_read_is_malformed(text: str) -> None:
    with pytest.raises(SdpMalformed):
        parse_offer(text)


def test_size_is_bounded() -> None:
    with pytest.raises(SdpTooLarge):
        parse_offer(OFFER + "a=x:" + "y" * MAX_BYTES)
    media = [OfferedMedia(AUDIO, str(mid)) for mid in range(MAX_SECTIONS + 1)]
    with pytest.raises(SdpTooLarge):
        parse_offer(SyntheticPeer("alice", media).offer())
    with pytest.raises(SdpTooLarge):
        parse_offer(OFFER + "".join(f"a=ssrc:{ssrc} cname:c\r\n" for ssrc in range(200)))


def parses_or_refuses(text: str) -> None:
    try:
        parse_offer(text)
    except SdpError:
        return


@given(st.text())
def test_any_text_gives_an_offer_or_our_error(text: str) -> None:
    parses_or_refuses(text)
    parses_or_refuses("v=0\r\no=- 1 1 IN IP4 0\r\n" + text)


LINES = OFFER.split("\r\n")
STRANGE = st.sampled_from(
    """a=rtpmap:|a=rtpmap:96|a=rtpmap:96 /|a=rtpmap:96 a/b/c/d|a=fmtp:96|a=fmtp:96 ;;=;a=b=c|m=|m=audio 9
m=audio 9/x UDP 0|a=ssrc:|a=ssrc-group:FID|a=extmap:|a=extmap:1|a=extmap:x y|a=rtcp-fb:|a=rtcp-fb:* nack
a=group:BUNDLE|a=fingerprint:|a=mid:|a=|o=|a=ssrc:-1 x|a=setup:|a=ssrc:99999999999 x|a=candidate:x
a=extmap:999999999999 urn|m=a 9 B \u0663""".replace("\n", "|").split("|")
)


@given(st.lists(st.one_of(st.sampled_from(LINES), STRANGE, st.text(max_size=30)), max_size=40))
def test_shuffled_and_strange_lines_give_an_offer_or_our_error(lines: list[str]) -> None:
    parses_or_refuses("\r\n".join([*LINES[:5], *lines]))


def test_codecs_follow_the_media_line() -> None:
    section = OfferedMedia(
        VIDEO, "0", formats="98 96 98", codecs="a=rtpmap:96 VP8/90000\r\na=rtpmap:98 H264/90000\r\n"
    )
    (read,) = parse_offer(SyntheticPeer("alice", [section]).offer()).sections
    assert [codec.payload_type for codec in read.codecs] == [98, 96]

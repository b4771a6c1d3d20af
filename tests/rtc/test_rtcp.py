"""RTCP, against aiortc's classes."""

import pytest
from aiortc import rtp as oracle
from hypothesis import given
from hypothesis import strategies as st

from rtc import rtcp
from rtc.reception import ReportBlock

U32 = st.integers(0, 0xFFFF_FFFF)
BLOCKS = st.builds(
    ReportBlock,
    U32,
    st.integers(0, 255),
    st.integers(-0x80_0000, 0x7F_FFFF),
    U32,
    U32,
    U32,
    U32,
)


@given(U32, st.lists(BLOCKS, max_size=31))
def test_receiver_reports(ssrc: int, blocks: list[ReportBlock]) -> None:
    (read,) = oracle.RtcpPacket.parse(rtcp.receiver_report(ssrc, blocks))
    assert isinstance(read, oracle.RtcpRrPacket)
    assert read.ssrc == ssrc
    assert [
        (r.ssrc, r.fraction_lost, r.packets_lost, r.highest_sequence, r.jitter, r.lsr, r.dlsr)
        for r in read.reports
    ] == [(b.ssrc, b.fraction_lost, b.lost, b.highest, b.jitter, b.lsr, b.dlsr) for b in blocks]


@given(st.builds(rtcp.SenderReport, U32, st.integers(0, 2**64 - 1), U32, U32, U32))
def test_sender_reports_come_back(report: rtcp.SenderReport) -> None:
    data = rtcp.sender_report(report)
    (read,) = oracle.RtcpPacket.parse(data)
    assert isinstance(read, oracle.RtcpSrPacket)
    assert read.sender_info.ntp_timestamp == report.ntp
    assert rtcp.parse_compound(data) == [report]


@given(U32, st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=64))
def test_source_descriptions(ssrc: int, cname: str) -> None:
    (read,) = oracle.RtcpPacket.parse(rtcp.source_description(ssrc, cname))
    assert isinstance(read, oracle.RtcpSdesPacket)
    assert read.chunks[0].ssrc == ssrc
    assert read.chunks[0].items == [(1, cname.encode())]


@given(st.integers(0, 0xFFFF), st.sets(st.integers(0, 300), min_size=1, max_size=200))
def test_nacks_come_back_across_the_wrap(start: int, steps: set[int]) -> None:
    lost = [(start + step) & 0xFFFF for step in sorted(steps)]
    data = rtcp.nack(1, 2, lost)
    (read,) = oracle.RtcpPacket.parse(data)
    assert isinstance(read, oracle.RtcpRtpfbPacket)
    # aiortc counts on beyond the wrap.
    assert [sequence & 0xFFFF for sequence in read.lost] == lost
    assert rtcp.parse_compound(data) == [rtcp.Nack(2, tuple(lost))]


def test_key_frame_requests() -> None:
    (pli,) = oracle.RtcpPacket.parse(rtcp.picture_loss(1, 2))
    assert isinstance(pli, oracle.RtcpPsfbPacket)
    assert (pli.fmt, pli.ssrc, pli.media_ssrc) == (oracle.RTCP_PSFB_PLI, 1, 2)
    fir = rtcp.full_intra_request(1, 2, 0x1FF)
    (read,) = oracle.RtcpPacket.parse(fir)
    assert isinstance(read, oracle.RtcpPsfbPacket)
    assert read.fmt == oracle.RTCP_PSFB_FIR
    assert read.fci == b"\0\0\0\2\xff\0\0\0"
    wanted = [rtcp.KeyframeRequest(2)]
    assert rtcp.parse_compound(rtcp.picture_loss(1, 2)) == rtcp.parse_compound(fir) == wanted


def test_a_compound_is_read_whole_and_the_unused_passed_over() -> None:
    compound = rtcp.receiver_report(1, ()) + rtcp.source_description(1, "c") + rtcp.picture_loss(1, 2)
    compound += bytes((0x80, 207, 0, 1, 0, 0, 0, 9))
    assert rtcp.parse_compound(compound) == [rtcp.KeyframeRequest(2)]


def test_one_nack_names_a_bounded_number_of_packets() -> None:
    entries = bytes((0, 0, 0xFF, 0xFF)) * 400
    body = bytes(8) + entries
    packet = bytes((0x81, 205)) + (len(body) // 4).to_bytes(2, "big") + body
    (nack,) = rtcp.parse_compound(packet)
    assert isinstance(nack, rtcp.Nack)
    assert len(nack.lost) == rtcp.MAX_LOST


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x80\xc8\0\xff" + bytes(8),
        b"\x40\xc8\0\1" + bytes(4),
        b"\x80\xc8\0\1" + bytes(4),
        b"\x81\xc8\0\6" + bytes(24),
        b"\x81\xce\0\1" + bytes(4),
        rtcp.picture_loss(1, 2) + b"\x81",
        rtcp.picture_loss(1, 2) + b"\x81\xce\0\7" + bytes(8),
    ],
)
def test_lengths_beyond_the_packet_are_refused(data: bytes) -> None:
    with pytest.raises(rtcp.RtcpError):
        rtcp.parse_compound(data)


@given(st.binary(max_size=300))
def test_any_bytes_give_packets_or_our_error(data: bytes) -> None:
    for candidate in (data, b"\x81\xce\0\3" + data, b"\x81\xcd\0\4" + data, b"\x9f\xc8\0\6" + data):
        try:
            rtcp.parse_compound(candidate)
        except rtcp.RtcpError:
            continue

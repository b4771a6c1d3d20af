"""RTCP packets (RFC 3550, RFC 4585, RFC 5104): those that matter for forwarding, read and written.

Reading is total: a compound packet gives values or an `RtcpError`. Packet types that are not used (APP, XR,
reports about what the server sends, estimates of bandwidth) are passed over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, TypeAlias

from rtc.reception import ReportBlock

MAX_LOST: Final = 512
"Sequence numbers that are read from one NACK; who has lost more needs a key frame."
MAX_REPORTS: Final = 31

SR: Final = 200
RR: Final = 201
SDES: Final = 202
RTPFB: Final = 205
PSFB: Final = 206

_NACK: Final = 1
_PLI: Final = 1
_FIR: Final = 4

_HEADER: Final = Struct("!BBH")
_SENDER_INFO: Final = Struct("!IQIII")
_REPORT: Final = Struct("!IIIIII")
_FEEDBACK: Final = Struct("!II")
_NACK_ENTRY: Final = Struct("!HH")
_U32: Final = Struct("!I")


class RtcpError(ValueError):
    """The bytes are not a compound RTCP packet."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """How the timestamps of a stream relate to its sender's clock (RFC 3550, section 6.4.1)."""

    ssrc: int
    ntp: int
    "64-bit NTP timestamp."
    timestamp: int
    "The same instant on the stream's clock."
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets that a receiver misses (RFC 4585, section 6.2.1)."""

    media_ssrc: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """A Picture Loss Indication or a Full Intra Request (RFC 4585, 6.3.1; RFC 5104, 4.3.1)."""

    media_ssrc: int


RtcpPacket: TypeAlias = SenderReport | Nack | KeyframeRequest


def parse_compound(data: bytes) -> list[RtcpPacket]:
    """Read a decrypted compound packet. Raises `RtcpError` when any part of it is malformed."""
    packets: list[RtcpPacket] = []
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise RtcpError("a rest that is no header")
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            raise RtcpError("wrong version or length")
        packets += _parse(first & 0x1F, kind, data[at + 4 : end])
        at = end
    return packets


def _parse(count: int, kind: int, body: bytes) -> Iterable[RtcpPacket]:
    if kind == SR:
        if len(body) < _SENDER_INFO.size + count * _REPORT.size:
            raise RtcpError("sender report too short")
        return [SenderReport(*_SENDER_INFO.unpack_from(body))]
    if kind in (RTPFB, PSFB):
        if len(body) < _FEEDBACK.size:
            raise RtcpError("feedback too short")
        return _parse_feedback(kind, count, _FEEDBACK.unpack_from(body)[1], body[_FEEDBACK.size :])
    return []


def _parse_feedback(kind: int, form: int, media_ssrc: int, entries: bytes) -> Iterable[RtcpPacket]:
    if (kind, form) == (RTPFB, _NACK):
        return [Nack(media_ssrc, _lost(entries))]
    if (kind, form) == (PSFB, _PLI):
        return [KeyframeRequest(media_ssrc)]
    if (kind, form) == (PSFB, _FIR):
        # Each entry names its own source: the media SSRC of the header is unused (RFC 5104, 4.3.1.2).
        starts = range(0, len(entries) - len(entries) % 8, 8)
        return [KeyframeRequest(_U32.unpack_from(entries, at)[0]) for at in starts]
    return []


def _lost(entries: bytes) -> tuple[int, ...]:
    lost: list[int] = []
    for base, following in _NACK_ENTRY.iter_unpack(entries):
        lost.append(base)
        lost += [(base + 1 + bit) & 0xFFFF for bit in range(16) if following >> bit & 1]
        if len(lost) >= MAX_LOST:
            break
    return tuple(lost[:MAX_LOST])


def sender_report(report: SenderReport) -> bytes:
    """A sender report without reception reports."""
    info = _SENDER_INFO.pack(report.ssrc, report.ntp, report.timestamp, report.packets, report.octets)
    return _packet(0, SR, info)


def receiver_report(ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    """A receiver report of at most `MAX_REPORTS` blocks."""
    body = _U32.pack(ssrc)
    for block in blocks:
        loss = block.fraction_lost << 24 | block.lost & 0xFF_FFFF
        body += _REPORT.pack(block.ssrc, loss, block.highest, block.jitter, block.lsr, block.dlsr)
    return _packet(len(blocks), RR, body)


def source_description(ssrc: int, cname: str) -> bytes:
    """An SDES packet with the canonical name (RFC 3550, section 6.5.1), of at most 255 bytes."""
    name = cname.encode()
    item = bytes((1, len(name))) + name
    # A chunk ends with one to four null bytes.
    return _packet(1, SDES, _U32.pack(ssrc) + item + bytes(4 - len(item) % 4))


def nack(ssrc: int, media_ssrc: int, lost: Sequence[int]) -> bytes:
    """A NACK for sequence numbers given in ascending order, going round the wrap."""
    body = _FEEDBACK.pack(ssrc, media_ssrc)
    at = 0
    while at < len(lost):
        base = lost[at]
        following = 0
        at += 1
        while at < len(lost) and 0 < (lost[at] - base) & 0xFFFF <= 16:
            following |= 1 << ((lost[at] - base - 1) & 0xFFFF)
            at += 1
        body += _NACK_ENTRY.pack(base, following)
    return _packet(_NACK, RTPFB, body)


def picture_loss(ssrc: int, media_ssrc: int) -> bytes:
    """A Picture Loss Indication."""
    return _packet(_PLI, PSFB, _FEEDBACK.pack(ssrc, media_ssrc))


def full_intra_request(ssrc: int, media_ssrc: int, sequence: int) -> bytes:
    """A Full Intra Request; `sequence` goes up with every new one."""
    body = _FEEDBACK.pack(ssrc, 0) + _FEEDBACK.pack(media_ssrc, (sequence & 0xFF) << 24)
    return _packet(_FIR, PSFB, body)


def _packet(count: int, kind: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body

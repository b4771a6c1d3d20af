"""Session descriptions (RFC 8866) as WebRTC uses them (RFC 8829): offers read, answers written.

Reading is strict about what is used and blind to the rest: text gives an `Offer` or an `SdpError`, nothing
else, in time and memory bounded by `MAX_BYTES`. What is accepted is decided in `rtc.negotiation`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rtc.codecs import Codec, answer_parameters
from rtc.dtls import HASHES, Fingerprint
from rtc.errors import SdpMalformed, SdpTooLarge
from rtc.ice import Credentials

MAX_BYTES: Final = 1 << 17
"Longest offer. A browser's offer of 8 people's media takes about 70 KiB."
MAX_SECTIONS: Final = 64
MAX_CODECS: Final = 128
"Payload types, and as many header extensions and SSRCs, per media section."

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]{1,64}", re.ASCII)
# RFC 8839 asks for 4 and 22; `-` and `_` are no ice-chars, but occur.
_ICE_UFRAG: Final = re.compile(r"[A-Za-z0-9+/\-_]{4,256}", re.ASCII)
_ICE_PWD: Final = re.compile(r"[A-Za-z0-9+/\-_]{22,256}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31,63}", re.ASCII)
_LINE: Final = re.compile(r"[a-z]=[^\x00-\x1f\x7f]*")
_NUMBER: Final = re.compile(r"[0-9]{1,10}", re.ASCII)


class Direction(Enum):
    """The direction of a media section, from the view of whoever writes the description."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether the writer of the description sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the writer of the description receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)


@dataclass(frozen=True, slots=True)
class OfferedTransport:
    """How the offerer can be reached and recognised; empty parts were not given."""

    ice: Credentials | None
    fingerprints: tuple[Fingerprint, ...]
    "Those with a hash that is strong enough."
    setup: str
    rtcp_mux: bool


@dataclass(frozen=True, slots=True)
class OfferedSection:
    """One `m=` section of an offer."""

    kind: str
    "`audio`, `video`, or whatever else was offered."
    protocol: str
    formats: tuple[str, ...]
    mid: str
    rejected: bool
    "Port zero without `a=bundle-only`: the section is not in use."
    direction: Direction
    codecs: tuple[Codec, ...]
    "In the order of preference of the offerer."
    extensions: Mapping[int, str]
    "Header extensions (RFC 8285): id -> URI."
    ssrcs: tuple[int, ...]
    "The sources that were announced (RFC 5576), retransmission streams left out."
    transport: OfferedTransport


@dataclass(frozen=True, slots=True)
class Offer:
    """What the server reads of an offer."""

    session_id: str
    "From the origin line; differs between connections, not between offers of one connection."
    ice_lite: bool
    bundle: tuple[str, ...]
    "The mids of the BUNDLE group, the tagged one first."
    sections: tuple[OfferedSection, ...]


def parse_offer(text: str) -> Offer:
    """Read an offer. Raises `SdpTooLarge` or `SdpMalformed`."""
    if len(text) > MAX_BYTES:
        raise SdpTooLarge(f"more than {MAX_BYTES} characters")
    session, *blocks = _blocks(text)
    if len(blocks) > MAX_SECTIONS:
        raise SdpTooLarge(f"more than {MAX_SECTIONS} media sections")
    sections = tuple(_section(block, session) for block in blocks)
    if len({section.mid for section in sections}) != len(sections):
        raise SdpMalformed("two media sections with the same mid")
    bundle = next((group for group in session.all("group") if group.startswith("BUNDLE ")), "BUNDLE")
    return Offer(
        session_id=session.session_id(),
        ice_lite=session.has("ice-lite"),
        bundle=tuple(bundle.split()[1:]),
        sections=sections,
    )


class _Block:
    """The lines of the session part or of one media section, its attributes by name."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self._attributes: dict[str, list[str]] = {}
        for line in lines:
            if line.startswith("a="):
                name, _, value = line[2:].partition(":")
                self._attributes.setdefault(name, []).append(value)

    def has(self, name: str) -> bool:
        return name in self._attributes

    def all(self, name: str) -> list[str]:
        return self._attributes.get(name, [])

    def first(self, name: str) -> str | None:
        values = self._attributes.get(name)
        return values[0] if values else None

    def session_id(self) -> str:
        """The second field of the origin line (RFC 8866, section 5.2)."""
        origin = next((line for line in self.lines if line.startswith("o=")), "")
        fields = origin.split(" ")
        if len(fields) != 6:
            raise SdpMalformed("origin line")
        return fields[1]


def _blocks(text: str) -> list[_Block]:
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if not lines or lines[0] != "v=0":
        raise SdpMalformed("does not begin with v=0")
    if not all(_LINE.fullmatch(line) for line in lines):
        raise SdpMalformed("a line that is not type=value")
    starts = [at for at, line in enumerate(lines) if line.startswith("m=")]
    ends = [*starts, len(lines)]
    return [_Block(lines[a:b]) for a, b in zip([0, *starts], ends, strict=True)]


def _section(block: _Block, session: _Block) -> OfferedSection:
    kind, port, protocol, *formats = block.lines[0][2:].split(" ")[: 3 + MAX_CODECS] + [""] * 3
    formats = [fmt for fmt in formats if fmt]
    mid = block.first("mid")
    if mid is None or not all(_TOKEN.fullmatch(token) for token in (kind, mid, *formats)):
        raise SdpMalformed("media line or mid")
    if not re.fullmatch(r"[A-Z/]{1,32}", protocol) or not formats:
        raise SdpMalformed("media line")
    return OfferedSection(
        kind=kind,
        protocol=protocol,
        formats=tuple(formats),
        mid=mid,
        rejected=_number(port.partition("/")[0], 0xFFFF) == 0 and not block.has("bundle-only"),
        direction=_direction(block, session),
        codecs=_codecs(block, formats),
        extensions=_extensions(block),
        ssrcs=_ssrcs(block),
        transport=_transport(block, session),
    )


def _number(text: str, most: int) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise SdpMalformed("a number")
    return int(text)


def _direction(block: _Block, session: _Block) -> Direction:
    for source in (block, session):
        for direction in Direction:
            if source.has(direction.value):
                return direction
    return Direction.SENDRECV


def _codecs(block: _Block, formats: Sequence[str]) -> tuple[Codec, ...]:
    """The payload types that have an `a=rtpmap`, in the order of the media line."""
    maps = _by_payload_type(block, "rtpmap")
    parameters = _by_payload_type(block, "fmtp")
    feedback: dict[str, set[str]] = {}
    for value in block.all("rtcp-fb"):
        payload_type, _, kind = value.partition(" ")
        feedback.setdefault(payload_type, set()).add(kind.strip())
    everyone = feedback.get("*", set())
    codecs = []
    for fmt in dict.fromkeys(formats):
        if fmt in maps:
            name, rate, *rest = [*maps[fmt].split("/"), ""]
            codecs.append(
                Codec(
                    payload_type=_number(fmt, 127),
                    name=name,
                    clock_rate=_number(rate, 1_000_000),
                    channels=_number(rest[0], 255) if rest and rest[0] else 1,
                    parameters=_parameters(parameters.get(fmt, "")),
                    feedback=frozenset(feedback.get(fmt, set()) | everyone),
                )
            )
    return tuple(codecs)


def _by_payload_type(block: _Block, attribute: str) -> dict[str, str]:
    pairs = (value.partition(" ") for value in block.all(attribute))
    return {payload_type: value.strip() for payload_type, _, value in pairs}


def _parameters(text: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in text.split(";"))
    return {key.lower(): value for key, _, value in pairs if key}


def _extensions(block: _Block) -> dict[int, str]:
    """Header extensions that are offered for both directions, under the ids of the one-byte form."""
    extensions = {}
    for value in block.all("extmap")[:MAX_CODECS]:
        number, _, rest = value.partition(" ")
        if _NUMBER.fullmatch(number) and 1 <= int(number) <= 14:
            extensions[int(number)] = rest.split(" ")[0]
    return extensions


def _ssrcs(block: _Block) -> tuple[int, ...]:
    """Announced sources in order, without the second members of FID groups (RFC 5576, RFC 4588)."""
    repairs = {
        ssrc
        for group in block.all("ssrc-group")
        if group.startswith(("FID ", "FEC-FR "))
        for ssrc in group.split(" ")[2:]
    }
    announced = dict.fromkeys(value.split(" ")[0] for value in block.all("ssrc"))
    sources = [ssrc for ssrc in announced if ssrc not in repairs]
    if len(sources) > MAX_CODECS:
        raise SdpTooLarge("too many sources in a media section")
    return tuple(_number(ssrc, 0xFFFF_FFFF) for ssrc in sources)


def _transport(block: _Block, session: _Block) -> OfferedTransport:
    def value(name: str) -> str:
        return block.first(name) or session.first(name) or ""

    ufrag, password = value("ice-ufrag"), value("ice-pwd")
    usable = _ICE_UFRAG.fullmatch(ufrag) and _ICE_PWD.fullmatch(password)
    fingerprints = []
    for text in block.all("fingerprint") or session.all("fingerprint"):
        algorithm, _, digest = text.partition(" ")
        if algorithm.lower() in HASHES and _DIGEST.fullmatch(digest):
            fingerprints.append(Fingerprint(algorithm.lower(), digest.upper()))
    return OfferedTransport(
        ice=Credentials(ufrag, password) if usable else None,
        fingerprints=tuple(fingerprints),
        setup=value("setup"),
        rtcp_mux=block.has("rtcp-mux"),
    )


@dataclass(frozen=True, slots=True)
class AnswerTransport:
    """The server's side of the transport, the same for all sections of an answer."""

    ice: Credentials
    fingerprint: Fingerprint
    candidates: tuple[tuple[str, int], ...]
    "Numeric addresses with the UDP port of the worker, the preferred one first."


@dataclass(frozen=True, slots=True)
class SentTrack:
    """What the server sends in a section (RFC 8830, RFC 5576)."""

    stream_id: str
    track_id: str
    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class AnswerSection:
    """One section of an answer; `codecs` is empty when it is rejected."""

    offered: OfferedSection
    codecs: tuple[Codec, ...]
    "Those accepted, in the server's order, each with the feedback that is accepted."
    extensions: Mapping[int, str]
    direction: Direction
    "From the view of the server."
    sent: SentTrack | None


def write_answer(
    sections: Sequence[AnswerSection], transport: AnswerTransport, *, session_id: int, version: int
) -> str:
    """The text of an answer. `session_id` and `version` are numbers for the origin line (RFC 8866, 5.2)."""
    bundle = " ".join(section.offered.mid for section in sections if section.codecs)
    lines = [
        "v=0",
        f"o=- {session_id} {version} IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=group:BUNDLE {bundle}",
        "a=msid-semantic: WMS *",
    ]
    for section in sections:
        lines += _accepted(section, transport) if section.codecs else _rejected(section)
    return "\r\n".join(lines) + "\r\n"


def _rejected(section: AnswerSection) -> list[str]:
    offered = section.offered
    return [
        f"m={offered.kind} 0 {offered.protocol} {offered.formats[0]}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{offered.mid}",
        "a=inactive",
    ]


def _accepted(section: AnswerSection, transport: AnswerTransport) -> list[str]:
    offered = section.offered
    payload_types = " ".join(str(codec.payload_type) for codec in section.codecs)
    lines = [
        f"m={offered.kind} 9 {offered.protocol} {payload_types}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=mid:{offered.mid}",
        f"a={section.direction.value}",
        "a=rtcp-mux",
        f"a=ice-ufrag:{transport.ice.ufrag}",
        f"a=ice-pwd:{transport.ice.password}",
        f"a=fingerprint:{transport.fingerprint.algorithm} {transport.fingerprint.value}",
        "a=setup:passive",
    ]
    for codec in section.codecs:
        lines += _codec_lines(codec)
    lines += [f"a=extmap:{number} {uri}" for number, uri in section.extensions.items()]
    if section.sent is not None:
        sent = section.sent
        lines += [f"a=msid:{sent.stream_id} {sent.track_id}", f"a=ssrc:{sent.ssrc} cname:{sent.cname}"]
    lines += [
        # RFC 8445, section 5.1.2.1: host candidates, type preference 126, component 1.
        f"a=candidate:{i + 1} 1 udp {(126 << 24) | ((65535 - i) << 8) | 255} {host} {port} typ host"
        for i, (host, port) in enumerate(transport.candidates)
    ]
    return [*lines, "a=end-of-candidates"]


def _codec_lines(codec: Codec) -> list[str]:
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    lines = [f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}"]
    lines += [f"a=rtcp-fb:{codec.payload_type} {kind}" for kind in sorted(codec.feedback)]
    parameters = answer_parameters(codec)
    return [*lines, f"a=fmtp:{codec.payload_type} {parameters}"] if parameters else lines

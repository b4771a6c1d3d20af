"""Which codecs are forwarded, and when two payload types of different people carry the same bytes.

Media is never decoded, so a codec is known here by its name and by those parameters alone that change the
bytes on the wire (RFC 7587 Opus, RFC 7741 VP8, RFC 6184 H.264).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class MediaKind(Enum):
    """The two kinds of media sections that are forwarded."""

    AUDIO = "audio"
    VIDEO = "video"


CLOCK_RATE: Final = {MediaKind.AUDIO: 48_000, MediaKind.VIDEO: 90_000}
"Hertz; the same for all formats of a kind."


class Format(Enum):
    """Formats whose packets may be handed from one payload type to another unchanged."""

    OPUS = "opus"
    VP8 = "VP8"
    H264_BASELINE = "H264 baseline, packetization mode 1"


PREFERENCE: Final = (Format.OPUS, Format.VP8, Format.H264_BASELINE)
"""Order in answers. Everyone is asked for the same first choice, so that two people who negotiate apart from
each other arrive at a codec that both understand."""

FEEDBACK: Final[Mapping[MediaKind, tuple[str, ...]]] = {
    MediaKind.AUDIO: (),
    MediaKind.VIDEO: ("nack", "nack pli", "ccm fir"),
}
"RTCP feedback (RFC 4585, RFC 5104) that is accepted when offered."


_BASELINE: Final = re.compile(r"42[0-9A-Fa-f]{4}", re.ASCII)
_DEFAULT_PROFILE: Final = "42000a"


@dataclass(frozen=True, slots=True)
class Codec:
    """A payload type of a media section."""

    payload_type: int
    name: str
    "As offered; names compare without regard to case."
    clock_rate: int
    "Hertz."
    channels: int = 1
    parameters: Mapping[str, str] = field(default_factory=dict)
    "The `a=fmtp` parameters, keys in lower case."
    feedback: frozenset[str] = frozenset()
    "The `a=rtcp-fb` values, for example `nack pli`."


def format_of(codec: Codec) -> Format | None:
    """The format of a codec, or None when it is not forwarded."""
    match codec.name.lower(), codec.clock_rate, codec.channels:
        case "opus", 48_000, 2:
            return Format.OPUS
        case "vp8", 90_000, 1:
            return Format.VP8
        case "h264", 90_000, 1 if _is_h264_baseline(codec.parameters):
            return Format.H264_BASELINE
    return None


def _is_h264_baseline(parameters: Mapping[str, str]) -> bool:
    # RFC 6184, section 8.1: profile_idc 66 is Baseline, constrained or not, and the default. The features
    # that tell the two apart are used by no encoder for real-time media.
    profile = parameters.get("profile-level-id", _DEFAULT_PROFILE)
    return _BASELINE.fullmatch(profile) is not None and parameters.get("packetization-mode", "0") == "1"


def answer_parameters(codec: Codec) -> str:
    """The `a=fmtp` value for an answer that accepts `codec`; empty when there is none."""
    match format_of(codec):
        case Format.OPUS:
            return "minptime=10;useinbandfec=1"
        case Format.H264_BASELINE:
            profile = codec.parameters.get("profile-level-id", _DEFAULT_PROFILE)
            return f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}"
    return ""


def map_payload_types(publisher: tuple[Codec, ...], subscriber: tuple[Codec, ...]) -> dict[int, int]:
    """Payload type of the publisher -> payload type under which the subscriber expects the same format."""
    expected: dict[Format, int] = {}
    for codec in subscriber:
        form = format_of(codec)
        if form is not None:
            expected.setdefault(form, codec.payload_type)
    mapping: dict[int, int] = {}
    for codec in publisher:
        form = format_of(codec)
        if form in expected:
            mapping[codec.payload_type] = expected[form]
    return mapping

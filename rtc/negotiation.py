"""What the server takes of an offer: the media sections it will forward and the transport it will use.

A pure function of the offer. Who is sent to whom is the session's affair (`rtc.session`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from rtc.codecs import FEEDBACK, PREFERENCE, Codec, MediaKind, format_of
from rtc.dtls import Fingerprint
from rtc.errors import (
    SdpNoCommonCodec,
    SdpOrderChanged,
    SdpWithoutBundle,
    SdpWithoutFingerprint,
    SdpWithoutIce,
    SdpWithoutMedia,
    SdpWrongRole,
)
from rtc.ice import Credentials
from rtc.sdp import Offer, OfferedSection, OfferedTransport

MID_URI: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"

EXTENSIONS: Final[Mapping[MediaKind, tuple[str, ...]]] = {
    MediaKind.AUDIO: ("urn:ietf:params:rtp-hdrext:ssrc-audio-level",),
    MediaKind.VIDEO: ("urn:3gpp:video-orientation",),
}
"Header extensions that are accepted and handed on: loudness (RFC 6464) and rotation (3GPP TS 26.114)."

_PROTOCOL: Final = "UDP/TLS/RTP/SAVPF"


@dataclass(frozen=True, slots=True)
class Section:
    """A media section and what was accepted of it."""

    offered: OfferedSection
    kind: MediaKind | None
    "None when the section is rejected."
    codecs: tuple[Codec, ...]
    extensions: Mapping[int, str]
    "Header extension id -> URI."

    @property
    def mid(self) -> str:
        """The identification of the section within its connection (RFC 5888)."""
        return self.offered.mid

    @property
    def publishes(self) -> bool:
        """Whether the client may send here."""
        return self.kind is not None and self.offered.direction.sends

    @property
    def receives(self) -> bool:
        """Whether the client is willing to receive here."""
        return self.kind is not None and self.offered.direction.receives


@dataclass(frozen=True, slots=True)
class Negotiated:
    """An offer that can be answered."""

    session_id: str
    ice: Credentials
    "The client's."
    fingerprints: tuple[Fingerprint, ...]
    sections: tuple[Section, ...]
    "As many as were offered, in the same order."


def negotiate(offer: Offer, previous: Negotiated | None = None) -> Negotiated:
    """Decide about an offer; `previous` is the last one of the same participant.

    Raises the `SdpError` that names what is missing.
    """
    sections = tuple(_negotiate_section(section) for section in offer.sections)
    accepted = [section for section in sections if section.kind is not None]
    if not accepted:
        wanted = any(section.kind in ("audio", "video") for section in offer.sections)
        raise SdpNoCommonCodec if wanted else SdpWithoutMedia
    tagged = _transport(offer, accepted)
    if offer.ice_lite:
        raise SdpWithoutIce("one side must be a full ICE agent, and the server is a lite one")
    if tagged.ice is None:
        raise SdpWithoutIce
    if not tagged.fingerprints:
        raise SdpWithoutFingerprint
    if tagged.setup not in ("actpass", "active"):
        raise SdpWrongRole
    negotiated = Negotiated(offer.session_id, tagged.ice, tagged.fingerprints, sections)
    if previous is not None and not is_new_connection(negotiated, previous):
        _check_order(negotiated, previous)
    return negotiated


def is_new_connection(offer: Negotiated, previous: Negotiated) -> bool:
    """Whether the offer comes from another `RTCPeerConnection` than the previous one.

    A certificate belongs to one connection unless it was shared on purpose; then new ICE credentials mean a
    new connection if the origin line says so too, and otherwise an ICE restart.
    """
    if set(offer.fingerprints) != set(previous.fingerprints):
        return True
    return offer.ice != previous.ice and offer.session_id != previous.session_id


def _negotiate_section(offered: OfferedSection) -> Section:
    rejected = Section(offered, None, (), {})
    if offered.rejected or offered.protocol != _PROTOCOL or offered.kind not in ("audio", "video"):
        return rejected
    kind = MediaKind(offered.kind)
    codecs = tuple(
        replace(codec, feedback=codec.feedback.intersection(FEEDBACK[kind]))
        for wanted in PREFERENCE
        for codec in offered.codecs
        if format_of(codec) is wanted
    )
    if not codecs:
        return rejected
    # A mid in every packet is needed only to tell apart sources that the offer does not announce.
    uris = EXTENSIONS[kind] if offered.ssrcs else (*EXTENSIONS[kind], MID_URI)
    extensions = {number: uri for number, uri in offered.extensions.items() if uri in uris}
    return Section(offered, kind, codecs, extensions)


def _transport(offer: Offer, accepted: list[Section]) -> OfferedTransport:
    """The transport that all sections share (RFC 9143, section 7)."""
    if len(accepted) > 1 and not all(section.mid in offer.bundle for section in accepted):
        raise SdpWithoutBundle("every media section must be in one BUNDLE group")
    order = {mid: at for at, mid in enumerate(offer.bundle)}
    transport = min(accepted, key=lambda section: order.get(section.mid, 0)).offered.transport
    if transport.ice is None and offer.bundle:
        # A bundle-only section leaves this to the one that the group names first, even if that is rejected.
        tagged = (section.transport for section in offer.sections if section.mid == offer.bundle[0])
        transport = next(tagged, transport)
    if not transport.rtcp_mux:
        raise SdpWithoutBundle("rtcp-mux is required")
    return transport


def _check_order(offer: Negotiated, previous: Negotiated) -> None:
    if len(offer.sections) < len(previous.sections):
        raise SdpOrderChanged("fewer media sections than before")
    for new, old in zip(offer.sections, previous.sections, strict=False):
        if new.mid == old.mid and new.offered.kind != old.offered.kind:
            raise SdpOrderChanged("a media section changed its kind")

"""A WebRTC client without media: offers, ICE checks, DTLS and SRTP, as bytes in and bytes out.

Made of other parts than the server (aioice's STUN, pylibsrtp's `Session`), so that the two cannot agree by
sharing a mistake. Tests make it do what real clients would not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import pack

from aioice import stun
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import SRTP_AEAD_AES_128_GCM, SRTPProtectionProfile
from OpenSSL import SSL
from pylibsrtp import Policy, Session

AUDIO = "audio"
VIDEO = "video"

CODECS = {
    AUDIO: "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n",
    VIDEO: "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 ccm fir\r\n"
    "a=rtcp-fb:96 goog-remb\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
}
FORMATS = {AUDIO: "111", VIDEO: "96 97"}


@dataclass
class OfferedMedia:
    """One media section of a synthetic offer."""

    kind: str
    mid: str
    direction: str = "sendrecv"
    ssrc: int | None = None
    codecs: str = ""
    formats: str = ""
    extensions: Sequence[tuple[int, str]] = ()

    def lines(self, transport: str) -> str:
        """The section as text."""
        ssrc = "" if self.ssrc is None else f"a=ssrc:{self.ssrc} cname:c\r\n"
        extensions = "".join(f"a=extmap:{number} {uri}\r\n" for number, uri in self.extensions)
        return (
            f"m={self.kind} 9 UDP/TLS/RTP/SAVPF {self.formats or FORMATS[self.kind]}\r\n"
            f"c=IN IP4 0.0.0.0\r\na=mid:{self.mid}\r\na={self.direction}\r\na=rtcp-mux\r\n{transport}"
            f"{self.codecs or CODECS[self.kind]}{extensions}{ssrc}"
        )


def offer_text(media: Sequence[OfferedMedia], transport: str, *, session_id: int = 1) -> str:
    """An offer; `transport` are the attribute lines of ICE and DTLS."""
    mids = " ".join(section.mid for section in media)
    head = f"v=0\r\no=- {session_id} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n"
    return head + "".join(section.lines(transport) for section in media)


@dataclass
class Answer:
    """What a client reads of an answer."""

    ufrag: str
    password: str
    port: int
    sent: dict[str, int]
    "SSRC of the server by mid."

    @classmethod
    def parse(cls, text: str) -> Answer:
        sent = {}
        for section in text.split("\r\nm=")[1:]:
            mid, ssrc = re.search(r"a=mid:(.*)\r", section), re.search(r"a=ssrc:(\d+) ", section)
            if mid is not None and ssrc is not None:
                sent[mid[1]] = int(ssrc[1])
        return cls(
            ufrag=_attribute(text, r"a=ice-ufrag:(.*)\r"),
            password=_attribute(text, r"a=ice-pwd:(.*)\r"),
            port=int(_attribute(text, r"a=candidate:1 1 udp \d+ \S+ (\d+) typ host")),
            sent=sent,
        )


def _attribute(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, pattern
    return found[1]


@dataclass
class SyntheticPeer:
    """See the module."""

    name: str
    media: list[OfferedMedia] = field(
        default_factory=lambda: [
            OfferedMedia(AUDIO, "0", ssrc=0x1000_0001),
            OfferedMedia(VIDEO, "1", ssrc=0x1000_0002),
        ]
    )
    ufrag: str = "clientufrag"
    password: str = "client-password-24-chars"
    session_id: int = 1
    profiles: tuple[SRTPProtectionProfile, ...] = (SRTP_AEAD_AES_128_GCM,)

    def __post_init__(self) -> None:
        self.certificate = RTCCertificate.generateCertificate()
        self.answer: Answer | None = None
        self.receiving: Session | None = None
        self.sending: Session | None = None
        self._ssl: SSL.Connection | None = None

    def offer(self, fingerprint: str | None = None) -> str:
        """The text of an offer; `fingerprint` announces another certificate than the real one."""
        value = fingerprint or self.certificate.getFingerprints()[0].value
        transport = (
            f"a=ice-ufrag:{self.ufrag}\r\na=ice-pwd:{self.password}\r\n"
            f"a=fingerprint:sha-256 {value}\r\na=setup:actpass\r\n"
        )
        return offer_text(self.media, transport, session_id=self.session_id)

    def accept(self, answer: str) -> None:
        """Take an answer."""
        self.answer = Answer.parse(answer)

    def check(
        self, *, nominate: bool = True, password: str | None = None, role: str = "ICE-CONTROLLING"
    ) -> bytes:
        """A connectivity check."""
        assert self.answer is not None
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self.answer.ufrag}:{self.ufrag}"
        message.attributes["PRIORITY"] = 1
        message.attributes[role] = 1
        if nominate:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity((password or self.answer.password).encode())
        return bytes(message)

    def is_success(self, datagram: bytes) -> bool:
        """Whether a datagram is an authentic success response."""
        assert self.answer is not None
        message = stun.parse_message(datagram)
        authentic = message.check_message_integrity(self.answer.password.encode())
        return authentic and message.message_class == stun.Class.RESPONSE

    def start_dtls(self) -> list[bytes]:
        """The first flight of a new handshake."""
        self._ssl = SSL.Connection(self.certificate._create_ssl_context(list(self.profiles)))
        self._ssl.set_connect_state()
        return self._handshake()

    def receive_dtls(self, datagram: bytes) -> list[bytes]:
        """Go on with the handshake; afterwards the SRTP sessions are there."""
        assert self._ssl is not None
        self._ssl.bio_write(datagram)
        return self._handshake()

    def shut_down(self) -> list[bytes]:
        """Close the association."""
        assert self._ssl is not None
        self._ssl.shutdown()
        return self._outgoing()

    def _handshake(self) -> list[bytes]:
        assert self._ssl is not None
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return self._outgoing()
        if self.sending is None:
            self._set_up_srtp(self._ssl)
        return self._outgoing()

    def _set_up_srtp(self, connection: SSL.Connection) -> None:
        name = connection.get_selected_srtp_profile()
        profile = next(profile for profile in self.profiles if profile.openssl_profile == name)
        size = 2 * (profile.key_length + profile.salt_length)
        material = connection.export_keying_material(b"EXTRACTOR-dtls_srtp", size)
        self.profile = profile
        self.sending_key = profile.get_key_and_salt(material, 0)
        self.sending = _session(profile, self.sending_key, Policy.SSRC_ANY_OUTBOUND)
        self.receiving = _session(profile, profile.get_key_and_salt(material, 1), Policy.SSRC_ANY_INBOUND)

    def _outgoing(self) -> list[bytes]:
        assert self._ssl is not None
        try:
            return [self._ssl.bio_read(4096)]
        except SSL.WantReadError:
            return []


def _session(profile: SRTPProtectionProfile, key: bytes, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile.libsrtp_profile)
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return Session(policy)


def rtp(
    ssrc: int,
    sequence: int,
    timestamp: int = 0,
    *,
    payload_type: int = 96,
    payload: bytes = b"payload",
    marker: bool = False,
    extension: bytes | None = None,
) -> bytes:
    """An RTP packet; `extension` holds elements in the one-byte form, without the header of the block."""
    first = 0x80 if extension is None else 0x90
    packet = pack("!BBHII", first, marker << 7 | payload_type, sequence, timestamp, ssrc)
    if extension is not None:
        padded = extension + bytes(-len(extension) % 4)
        packet += pack("!HH", 0xBEDE, len(padded) // 4) + padded
    return packet + payload

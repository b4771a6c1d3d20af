"""The passive side of DTLS-SRTP (RFC 5763, RFC 5764) for one peer: datagrams in, datagrams and keys out.

Over OpenSSL's memory buffers, with no socket and no task of its own, so a datagram that is empty, too long or
nonsense can do nothing but be ignored. DTLS 1.2 only. Keys are handed out after the peer's certificate has
been held against the fingerprints of its offer, never before.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from rtc.srtp import PROFILES, Keys

MTU: Final = 1200
"Longest datagram that is sent, bytes."
MAX_RECORD_BYTES: Final = 1 << 14

HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha-512": hashes.SHA512(),
    "sha-384": hashes.SHA384(),
    "sha-256": hashes.SHA256(),
}
"Accepted hash functions of fingerprints, strongest first. SHA-1 and MD5 are not (RFC 8122, section 5)."

_DTLS_1_2: Final = 0xFEFD
_RECORD_HEADER_BYTES: Final = 13
_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
)


class DtlsState(Enum):
    """How far the association is."""

    HANDSHAKING = "handshaking"
    CONNECTED = "connected"
    FAILED = "failed"
    "The handshake failed, or the certificate is not the one that was announced."
    CLOSED = "closed"
    "The peer has said goodbye."


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A certificate's digest as SDP writes it: `sha-256` and upper-case hexadecimal with colons."""

    algorithm: str
    value: str


class Certificate:
    """The worker's self-signed certificate and the TLS context made with it; one for all peers."""

    def __init__(self, now: datetime.datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rapport")])
        builder = x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=365))
        certificate = builder.sign(key, hashes.SHA256())
        self.fingerprint = Fingerprint("sha-256", digest(certificate, "sha-256"))
        self.context = _context(key, certificate)


def _context(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(_DTLS_1_2)
    context.set_max_proto_version(_DTLS_1_2)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION)
    # Certificates of WebRTC are self-signed: what counts is the fingerprint, which `_finish` checks.
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.set_cipher_list(_CIPHERS)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    # OpenSSL as the server takes the first of its own list that the client has.
    context.set_tlsext_use_srtp(b":".join(profile.openssl_name for profile in PROFILES))
    return context


def digest(certificate: x509.Certificate, algorithm: str) -> str:
    """The fingerprint value of `certificate` (RFC 8122, section 5); `algorithm` is a key of `HASHES`."""
    return certificate.fingerprint(HASHES[algorithm]).hex(":").upper()


def is_announced(certificate: x509.Certificate, fingerprints: Sequence[Fingerprint]) -> bool:
    """Whether the certificate matches a fingerprint of the strongest hash among them (RFC 8122, 5)."""
    for algorithm in HASHES:
        values = [fp.value.upper() for fp in fingerprints if fp.algorithm == algorithm]
        if values:
            return digest(certificate, algorithm) in values
    return False


class DtlsEndpoint:
    """One association. `receive` and `handle_timer` return datagrams to send, each at most `MTU` bytes."""

    def __init__(self, certificate: Certificate, fingerprints: Sequence[Fingerprint]) -> None:
        self.state = DtlsState.HANDSHAKING
        self.keys: Keys | None = None
        "The SRTP keys, once connected."
        self._fingerprints = tuple(fingerprints)
        self._ssl = SSL.Connection(certificate.context)
        self._ssl.set_ciphertext_mtu(MTU)
        self._ssl.set_accept_state()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Take a datagram whose first byte says DTLS. What cannot be read is ignored, as DTLS demands."""
        if self.state in (DtlsState.FAILED, DtlsState.CLOSED) or not datagram:
            return []
        self._ssl.bio_write(datagram)
        if self.state is DtlsState.HANDSHAKING:
            self._handshake()
        if self.state is DtlsState.CONNECTED:
            self._discard_data()
        return self._outgoing()

    def timeout(self) -> float | None:
        """Seconds until `handle_timer` is due, or None when nothing waits for a retransmission."""
        return self._ssl.DTLSv1_get_timeout() if self.state is DtlsState.HANDSHAKING else None

    def handle_timer(self) -> list[bytes]:
        """Retransmit the last flight if it is due."""
        if self.state is not DtlsState.HANDSHAKING:
            return []
        try:
            self._ssl.DTLSv1_handle_timeout()
        except SSL.Error:
            # OpenSSL gives up after a dozen of retransmissions.
            self.state = DtlsState.FAILED
        return self._outgoing()

    def close(self) -> list[bytes]:
        """Say goodbye."""
        if self.state is not DtlsState.CONNECTED:
            return []
        self.state = DtlsState.CLOSED
        try:
            self._ssl.shutdown()
        except SSL.Error:
            return []
        return self._outgoing()

    def _handshake(self) -> None:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error:
            self.state = DtlsState.FAILED
            return
        self.state = self._finish()

    def _finish(self) -> DtlsState:
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        if certificate is None or not is_announced(certificate, self._fingerprints):
            return DtlsState.FAILED
        selected = self._ssl.get_selected_srtp_profile()
        profile = next((p for p in PROFILES if p.openssl_name == selected), None)
        if profile is None:
            return DtlsState.FAILED
        size = 2 * (profile.key_bytes + profile.salt_bytes)
        # RFC 5764, section 4.2: client key, server key, client salt, server salt.
        material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", size)
        self.keys = Keys.from_material(profile, material)
        return DtlsState.CONNECTED

    def _discard_data(self) -> None:
        """Let OpenSSL see alerts and retransmissions; data channels are not spoken, so data is dropped."""
        while True:
            try:
                self._ssl.recv(MAX_RECORD_BYTES)
            except SSL.ZeroReturnError:
                self.state = DtlsState.CLOSED
                return
            except SSL.Error:  # nothing more to read, or a record that DTLS drops
                return

    def _outgoing(self) -> list[bytes]:
        chunks = []
        while True:
            try:
                chunks.append(self._ssl.bio_read(MAX_RECORD_BYTES))
            except SSL.WantReadError:
                return _datagrams(b"".join(chunks))


def _datagrams(stream: bytes) -> list[bytes]:
    """Cut what OpenSSL wrote, records one after another, into datagrams (RFC 6347, section 4.1)."""
    datagrams: list[bytes] = []
    current = b""
    at = 0
    while at < len(stream):
        size = _RECORD_HEADER_BYTES + int.from_bytes(stream[at + 11 : at + 13], "big")
        record = stream[at : at + size]
        if current and len(current) + size > MTU:
            datagrams.append(current)
            current = b""
        current += record
        at += size
    return [*datagrams, current] if current else datagrams

"""The DTLS endpoint against OpenSSL's client, and against everything else that may come."""

from __future__ import annotations

import time

import pytest
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    SRTPProtectionProfile,
)
from hypothesis import given
from hypothesis import strategies as st

from rtc.dtls import MTU, DtlsEndpoint, DtlsState, Fingerprint
from tests.rtc.rig import CERTIFICATE
from tests.rtc.synthetic import SyntheticPeer


def fingerprints(peer: SyntheticPeer) -> list[Fingerprint]:
    return [Fingerprint(fp.algorithm, fp.value) for fp in peer.certificate.getFingerprints()]


def shake_hands(endpoint: DtlsEndpoint, peer: SyntheticPeer) -> None:
    to_server = peer.start_dtls()
    while to_server:
        to_client = [answer for datagram in to_server for answer in endpoint.receive(datagram)]
        assert all(len(datagram) <= MTU for datagram in to_client)
        to_server = [answer for datagram in to_client for answer in peer.receive_dtls(datagram)]


ALL = (SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_128_GCM)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (ALL, SRTP_AEAD_AES_128_GCM),
        (ALL[:2], SRTP_AEAD_AES_256_GCM),
        ((SRTP_AES128_CM_SHA1_80,), SRTP_AES128_CM_SHA1_80),
    ],
)
def test_both_sides_arrive_at_the_same_keys(
    offered: tuple[SRTPProtectionProfile, ...], chosen: SRTPProtectionProfile
) -> None:
    peer = SyntheticPeer("alice", profiles=offered)
    endpoint = DtlsEndpoint(CERTIFICATE, fingerprints(peer))
    shake_hands(endpoint, peer)
    assert endpoint.state is DtlsState.CONNECTED
    assert endpoint.keys is not None
    assert endpoint.keys.profile.openssl_name == chosen.openssl_profile
    assert endpoint.keys.receive == peer.sending_key


def test_keys_do_not_show_in_text() -> None:
    peer = SyntheticPeer("alice")
    endpoint = DtlsEndpoint(CERTIFICATE, fingerprints(peer))
    shake_hands(endpoint, peer)
    assert endpoint.keys is not None
    assert str(endpoint.keys.send) not in repr(endpoint.keys)


def test_another_certificate_than_announced_gets_no_keys() -> None:
    peer, other = SyntheticPeer("alice"), SyntheticPeer("mallory")
    endpoint = DtlsEndpoint(CERTIFICATE, fingerprints(other))
    shake_hands(endpoint, peer)
    assert endpoint.state is DtlsState.FAILED
    assert endpoint.keys is None


def test_the_strongest_hash_decides() -> None:
    peer, other = SyntheticPeer("alice"), SyntheticPeer("mallory")
    announced = {fp.algorithm: fp for fp in fingerprints(peer)}
    wrong = {fp.algorithm: fp for fp in fingerprints(other)}
    endpoint = DtlsEndpoint(CERTIFICATE, [announced["sha-256"], wrong["sha-512"]])
    shake_hands(endpoint, peer)
    assert endpoint.state is DtlsState.FAILED


def test_a_lost_flight_is_sent_again() -> None:
    peer = SyntheticPeer("alice")
    endpoint = DtlsEndpoint(CERTIFICATE, fingerprints(peer))
    (hello,) = peer.start_dtls()
    flight = endpoint.receive(hello)
    assert endpoint.handle_timer() == [], "it is not due yet"
    repeated: list[bytes] = []
    while not repeated:
        due = endpoint.timeout()
        assert due is not None
        time.sleep(due)  # OpenSSL has a clock of its own
        repeated = endpoint.handle_timer()
    assert sum(map(len, repeated)) == sum(map(len, flight))
    answers = [answer for datagram in repeated for answer in peer.receive_dtls(datagram)]
    for answer in answers:
        endpoint.receive(answer)
    assert endpoint.state is DtlsState.CONNECTED
    assert endpoint.timeout() is None
    assert endpoint.handle_timer() == []


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(0, 4))
def test_garbage_does_not_disturb_a_handshake(garbage: list[bytes], position: int) -> None:
    peer = SyntheticPeer("alice")
    endpoint = DtlsEndpoint(CERTIFICATE, fingerprints(peer))
    to_server = peer.start_dtls()
    step = 0
    while to_server:
        if step == position:
            for data in garbage:
                # As records of a foreign version: what a third party can forge without keys.
                assert endpoint.receive(b"\x16\xfe\x00" + data) == []
        step += 1
        to_client = [answer for datagram in to_server for answer in endpoint.receive(datagram)]
        to_server = [answer for datagram in to_client for answer in peer.receive_dtls(datagram)]
    assert endpoint.state is DtlsState.CONNECTED


@given(st.integers(20, 63), st.binary(max_size=1500))
def test_garbage_does_not_close_an_association(first: int, data: bytes) -> None:
    endpoint = CONNECTED
    endpoint.receive(bytes((first,)) + data)
    endpoint.receive(b"")
    assert endpoint.state is DtlsState.CONNECTED
    assert endpoint.timeout() is None


def connected() -> DtlsEndpoint:
    peer = SyntheticPeer("alice")
    endpoint = DtlsEndpoint(CERTIFICATE, fingerprints(peer))
    shake_hands(endpoint, peer)
    return endpoint


CONNECTED = connected()


def test_a_goodbye_closes() -> None:
    peer = SyntheticPeer("alice")
    endpoint = DtlsEndpoint(CERTIFICATE, fingerprints(peer))
    shake_hands(endpoint, peer)
    for datagram in peer.shut_down():
        endpoint.receive(datagram)
    assert endpoint.state is DtlsState.CLOSED
    assert endpoint.receive(b"\x16anything") == []
    assert endpoint.close() == []


def test_closing_says_goodbye_once() -> None:
    endpoint = connected()
    assert len(endpoint.close()) == 1
    assert endpoint.close() == []
    assert DtlsEndpoint(CERTIFICATE, []).close() == []

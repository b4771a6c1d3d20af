"""SRTP in place, and the contract with the private parts of pylibsrtp that it stands on."""

from __future__ import annotations

from importlib.metadata import version

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from rtc.slots import SLOT_BYTES, Slots
from rtc.srtp import (
    PROFILES,
    REPLAY_FAIL,
    REPLAY_OLD,
    REPLAY_WINDOW,
    TRAILER_BYTES,
    Keys,
    Profile,
    SrtpContext,
)
from tests.rtc.synthetic import rtp

PROFILE_IDS = [profile.openssl_name.decode() for profile in PROFILES]
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=PROFILE_IDS)


def key(profile: Profile) -> bytes:
    return bytes(range(profile.key_bytes + profile.salt_bytes))


def put(slots: Slots, slot: int, packet: bytes) -> None:
    slots.view[slot * SLOT_BYTES : slot * SLOT_BYTES + len(packet)] = packet


def taken(slots: Slots, slot: int, size: int) -> bytes:
    assert size > 0, f"libsrtp status {-size}"
    return bytes(slots.view[slot * SLOT_BYTES : slot * SLOT_BYTES + size])


def test_the_binding_has_the_functions_as_they_are_called() -> None:
    assert version("pylibsrtp").startswith("1.0.")
    in_place = "srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)"
    for name in ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp"):
        assert ffi.typeof(getattr(lib, name)).cname == in_place
    create = "srtp_err_status_t(*)(struct srtp_ctx_t_ * *, struct srtp_policy_t *)"
    assert ffi.typeof(lib.srtp_create).cname == create
    assert ffi.typeof(lib.srtp_dealloc).cname == "srtp_err_status_t(*)(struct srtp_ctx_t_ *)"
    remove = "srtp_err_status_t(*)(struct srtp_ctx_t_ *, unsigned int)"
    assert ffi.typeof(lib.srtp_remove_stream).cname == remove
    assert pylibsrtp.ERRORS[REPLAY_FAIL] == "replay check failed (bad index)"
    assert pylibsrtp.ERRORS[REPLAY_OLD] == "replay check failed (index too old)"
    assert hasattr(Policy(), "_policy")


@every_profile
def test_what_is_protected_is_what_pylibsrtp_protects(profile: Profile) -> None:
    slots, context = Slots(2), SrtpContext(profile, key(profile), inbound=False)
    oracle = Session(Policy(key(profile), Policy.SSRC_ANY_OUTBOUND, 0, profile.libsrtp_id))
    for sequence in range(10):
        packet = rtp(7, sequence, payload=bytes(sequence * 100))
        put(slots, 1, packet)
        size = context.protect(slots.pointers[1], len(packet))
        assert taken(slots, 1, size) == oracle.protect(packet)
        assert size <= len(packet) + TRAILER_BYTES
        report = b"\x80\xc9\0\1\0\0\0\7"
        put(slots, 0, report)
        size = context.protect_rtcp(slots.pointers[0], len(report))
        assert taken(slots, 0, size) == oracle.protect_rtcp(report)
        assert size <= len(report) + TRAILER_BYTES


@every_profile
def test_what_comes_is_read_once_and_only_if_authentic(profile: Profile) -> None:
    slots, context = Slots(1), SrtpContext(profile, key(profile), inbound=True)
    oracle = Session(Policy(key(profile), Policy.SSRC_ANY_OUTBOUND, 0, profile.libsrtp_id))
    packet = rtp(7, 5000, payload=b"payload")
    protected = oracle.protect(packet)
    put(slots, 0, protected[:-1] + bytes((protected[-1] ^ 1,)))
    assert context.unprotect(slots.pointers[0], len(protected)) < 0
    put(slots, 0, protected)
    assert taken(slots, 0, context.unprotect(slots.pointers[0], len(protected))) == packet
    put(slots, 0, protected)
    assert context.unprotect(slots.pointers[0], len(protected)) == -REPLAY_FAIL
    for sequence in range(5001, 7100):
        put(slots, 0, later := oracle.protect(rtp(7, sequence)))
        assert context.unprotect(slots.pointers[0], len(later)) > 0
    put(slots, 0, protected)
    assert context.unprotect(slots.pointers[0], len(protected)) == -REPLAY_OLD


def test_a_late_packet_is_read_while_it_is_within_the_window() -> None:
    profile = PROFILES[0]
    slots, context = Slots(1), SrtpContext(profile, key(profile), inbound=True)
    oracle = Session(Policy(key(profile), Policy.SSRC_ANY_OUTBOUND, 0, profile.libsrtp_id))
    packets = [oracle.protect(rtp(7, sequence)) for sequence in range(REPLAY_WINDOW)]
    for packet in (*packets[1:], packets[0]):
        put(slots, 0, packet)
        assert context.unprotect(slots.pointers[0], len(packet)) > 0


def test_no_index_is_used_twice() -> None:
    slots, context = Slots(1), SrtpContext(PROFILES[0], key(PROFILES[0]), inbound=False)
    packet = rtp(7, 1, payload=b"one")
    put(slots, 0, packet)
    assert context.protect(slots.pointers[0], len(packet)) > 0
    put(slots, 0, rtp(7, 1, payload=b"two"))
    assert context.protect(slots.pointers[0], len(packet)) == -REPLAY_FAIL


def test_a_forgotten_stream_begins_anew() -> None:
    profile = PROFILES[0]
    slots, context = Slots(1), SrtpContext(profile, key(profile), inbound=True)
    oracle = Session(Policy(key(profile), Policy.SSRC_ANY_OUTBOUND, 0, profile.libsrtp_id))
    protected = oracle.protect(rtp(7, 1))
    for _ in range(2):
        put(slots, 0, protected)
        assert context.unprotect(slots.pointers[0], len(protected)) > 0
        context.forget(7)
    context.forget(8)


@given(st.binary(max_size=1600))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    slots, context = Slots(1), SrtpContext(PROFILES[0], key(PROFILES[0]), inbound=True)
    for first in (0x80, 0x90, 0x9F, 0xBF):
        packet = bytes((first,)) + data
        put(slots, 0, packet)
        assert context.unprotect(slots.pointers[0], len(packet)) < 0
        put(slots, 0, packet)
        assert context.unprotect_rtcp(slots.pointers[0], len(packet)) < 0


def test_keying_material_is_split_as_rfc_5764_says() -> None:
    profile = PROFILES[2]
    material = b"c" * 16 + b"s" * 16 + b"C" * 14 + b"S" * 14
    keys = Keys.from_material(profile, material)
    assert keys.receive == b"c" * 16 + b"C" * 14
    assert keys.send == b"s" * 16 + b"S" * 14

"""SRTP and SRTCP (RFC 3711, RFC 7714) in place, on preallocated buffers, through libsrtp.

pylibsrtp's public `Session` copies every packet twice into buffers of its own and allocates per call. Here
its compiled binding is called directly with pointers into our own buffers. That binding is a private part of
pylibsrtp: the version is pinned, and `tests/rtc/test_srtp.py` holds the contract that is relied upon.
"""

import sys
import weakref
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pylibsrtp  # initialises libsrtp when imported
from pylibsrtp import Policy
from pylibsrtp._binding import ffi, lib

Pointer: TypeAlias = Any
"A `uint8_t *` of cffi into a buffer with `TRAILER_BYTES` of room behind the packet."

TRAILER_BYTES: Final = 16 + 4
"The most that protecting adds: an AEAD tag, and the index of SRTCP."

REPLAY_WINDOW: Final = 1024
"Packets; a retransmission may be this old."

REPLAY_FAIL: Final = 9
"libsrtp's status for a packet that has been seen before (or, when protecting, an index used before)."
REPLAY_OLD: Final = 10
"libsrtp's status for a packet that is older than the window."


@dataclass(frozen=True, slots=True)
class Profile:
    """A protection profile of DTLS-SRTP (RFC 5764, section 4.1.2; RFC 7714, section 14.2)."""

    openssl_name: bytes
    libsrtp_id: int
    key_bytes: int
    salt_bytes: int


PROFILES: Final = (
    Profile(b"SRTP_AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    Profile(b"SRTP_AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    Profile(b"SRTP_AES128_CM_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
)
"In order of preference: AES-128-GCM is the cheapest and has no known weakness here."


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Master keys with their salts for both directions, as seen by the DTLS server."""

    profile: Profile
    receive: bytes
    send: bytes

    @classmethod
    def from_material(cls, profile: Profile, material: bytes) -> "Keys":
        """Split exported keying material (RFC 5764, section 4.2)."""
        key, salt = profile.key_bytes, profile.salt_bytes
        salts = material[2 * key :]
        return cls(
            profile=profile,
            receive=material[:key] + salts[:salt],
            send=material[key : 2 * key] + salts[salt : 2 * salt],
        )


class SrtpContext:
    """All streams of one direction of one peer.

    Each method takes a pointer to a packet and its length in bytes, works in place, and returns the new
    length, or minus libsrtp's status when the packet is refused.
    """

    __slots__ = ("__weakref__", "_handle", "_length")

    def __init__(self, profile: Profile, key: bytes, *, inbound: bool) -> None:
        policy = Policy(
            key=key,
            ssrc_type=Policy.SSRC_ANY_INBOUND if inbound else Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=profile.libsrtp_id,
        )
        policy.window_size = REPLAY_WINDOW
        # `allow_repeat_tx` stays off: with GCM, a second packet under the same index would give the
        # authentication key away. Retransmissions resend the very bytes (`rtc.history`).
        handle = ffi.new("srtp_t *")
        status = lib.srtp_create(handle, policy._policy)
        if status:
            raise pylibsrtp.Error(f"libsrtp status {status}")
        self._handle = handle[0]
        self._length = ffi.new("int *")
        weakref.finalize(self, lib.srtp_dealloc, self._handle)

    def forget(self, ssrc: int) -> None:
        """Free the state of a stream that will not come again."""
        # libsrtp takes the number in network order.
        lib.srtp_remove_stream(self._handle, int.from_bytes(ssrc.to_bytes(4, "big"), sys.byteorder))

    def protect(self, packet: Pointer, length: int) -> int:
        """Encrypt an RTP packet; -9 or -10 when its index was used before or is too old."""
        size = self._length
        size[0] = length
        status = lib.srtp_protect(self._handle, packet, size)
        return -status if status else size[0]  # type: ignore[no-any-return]  # cffi: an int

    def unprotect(self, packet: Pointer, length: int) -> int:
        """Decrypt an SRTP packet; its header lies within the returned length."""
        size = self._length
        size[0] = length
        status = lib.srtp_unprotect(self._handle, packet, size)
        return -status if status else size[0]  # type: ignore[no-any-return]  # cffi: an int

    def protect_rtcp(self, packet: Pointer, length: int) -> int:
        """Encrypt a compound RTCP packet."""
        size = self._length
        size[0] = length
        status = lib.srtp_protect_rtcp(self._handle, packet, size)
        return -status if status else size[0]  # type: ignore[no-any-return]  # cffi: an int

    def unprotect_rtcp(self, packet: Pointer, length: int) -> int:
        """Decrypt a compound SRTCP packet."""
        size = self._length
        size[0] = length
        status = lib.srtp_unprotect_rtcp(self._handle, packet, size)
        return -status if status else size[0]  # type: ignore[no-any-return]  # cffi: an int

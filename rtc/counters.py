"""What a worker counts. Plain integers: reading them is the shell's affair."""

from collections import Counter
from enum import Enum


class Drop(Enum):
    """Why a datagram or packet went no further; the values are names in `WorkerStats` and in metrics."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    UNKNOWN_PROTOCOL = "unknown_protocol"
    UNPROVEN_ADDRESS = "unproven_address"
    STUN_MALFORMED = "stun_malformed"
    STUN_UNKNOWN_UFRAG = "stun_unknown_ufrag"
    STUN_WRONG_INTEGRITY = "stun_wrong_integrity"
    BEFORE_HANDSHAKE = "before_handshake"
    SRTP_REFUSED = "srtp_refused"
    "Not authentic, or not a packet."
    SRTP_REPLAYED = "srtp_replayed"
    UNKNOWN_SOURCE = "unknown_source"
    TOO_MANY_SOURCES = "too_many_sources"
    RTP_MALFORMED = "rtp_malformed"
    RTCP_MALFORMED = "rtcp_malformed"
    NO_PAYLOAD_TYPE = "no_payload_type"
    "The subscriber has not negotiated the format."
    BEFORE_SPLICE = "before_splice"
    INDEX_USED = "index_used"
    SOCKET = "socket"
    "The kernel did not take it."


class Counters:
    """Totals since the worker started; what is sent is counted by the outbox."""

    __slots__ = ("bytes_in", "dropped", "packets_in")

    def __init__(self) -> None:
        self.packets_in = 0
        "Datagrams of any kind."
        self.bytes_in = 0
        self.dropped: Counter[Drop] = Counter()
